"""Duplicates, gaps and late arrivals by (boot_id, seq)."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import plant
from bridge.core.events import Place
from bridge.core.line.device import MISSING, OLD_BOOTS, Device, DeviceState
from bridge.core.reports import (
    AndonReport,
    BirthReport,
    Body,
    DeathReport,
    Disposition,
    Report,
    StateReport,
    suppressed,
)


def device(modulus: int = 2**32) -> Device:
    return Device(DeviceState(), plant.Equipment(id="bagger", seq_modulus=modulus), ZoneInfo("UTC"))


def put(target: Device, body: Body, *, retained: bool = False) -> int | Disposition:
    report = Report(
        place=Place("north", "pack", "L1", "bagger"), body=body, received_at=0, cause="input:1", retained=retained
    )
    return target.place_in_sequence(report)


def state(seq: int | None, boot: str | int | None = "a") -> StateReport:
    return StateReport(state="running", seq=seq, boot_id=boot)


def press(seq: int, boot: str = "a") -> AndonReport:
    return AndonReport(andon_type="safety", action="raise", seq=seq, boot_id=boot)


def test_the_same_sequence_number_twice_is_a_duplicate() -> None:
    target = device()
    assert put(target, state(7)) == 0
    assert put(target, state(7)) == suppressed("duplicate")
    assert put(target, press(7)) == suppressed("duplicate")


def test_missing_reports_are_counted_once() -> None:
    target = device()
    put(target, state(7))
    assert put(target, state(10)) == 2
    assert put(target, state(11)) == 0


def test_a_late_state_is_out_of_order_and_a_late_deed_still_happened() -> None:
    target = device()
    put(target, state(7))
    put(target, state(10))
    assert put(target, state(8)) == suppressed("out_of_order")
    assert put(target, press(9)) == 0
    assert put(target, press(9)) == suppressed("duplicate")
    assert put(target, state(8)) == suppressed("duplicate")


def test_a_new_boot_is_a_new_sequence_and_an_old_one_is_late() -> None:
    target = device()
    put(target, state(700))
    assert put(target, state(0, "b")) == 0
    assert put(target, state(701)) == suppressed("out_of_order")
    assert put(target, DeathReport(boot_id="a")) == suppressed("out_of_order")
    assert put(target, press(702)) == 0
    assert put(target, state(1, "b")) == 0


def test_a_live_birth_is_believed_even_where_boots_are_counted_anew() -> None:
    target = device()
    for boot in (1, 2, 3):
        put(target, state(5, boot))
    assert put(target, BirthReport(boot_id=1), retained=True) == suppressed("out_of_order")
    assert put(target, BirthReport(boot_id=1)) == 0
    assert put(target, state(0, 1)) == 0
    assert put(target, state(6, 3)) == suppressed("out_of_order")


def test_a_will_carries_the_sequence_of_when_it_was_written() -> None:
    target = device()
    put(target, BirthReport(boot_id="a", seq=0))
    put(target, state(50))
    assert put(target, DeathReport(boot_id="a", seq=0)) == 0


@pytest.mark.parametrize("body", [state(None), state(7, None), state(None, None)])
def test_without_both_boot_and_seq_nothing_is_a_duplicate(body: Body) -> None:
    target = device()
    assert put(target, body) == 0
    assert put(target, body) == 0


@given(
    start=st.integers(0, 2**16),
    shuffle=st.permutations(range(12)),
    again=st.lists(st.integers(0, 11)),
    modulus=st.sampled_from([64, 2**16, 2**32]),
)
def test_every_deed_is_applied_exactly_once_however_it_arrives(
    start: int, shuffle: list[int], again: list[int], modulus: int
) -> None:
    """Twelve presses in any order, some sent again, over a wrap of the sequence: each has its effect once."""
    target = device(modulus)
    put(target, press(start % modulus))
    applied = [
        number
        for number in (*shuffle, *again)
        if put(target, press((start + 1 + number) % modulus)) != suppressed("duplicate")
    ]
    assert sorted(applied) == list(range(12))


@given(seqs=st.lists(st.integers(0, 2**40)), boots=st.lists(st.integers(0, 40), min_size=1))
def test_what_is_remembered_is_bounded(seqs: list[int], boots: list[int]) -> None:
    target = device()
    for index, seq in enumerate(seqs):
        put(target, state(seq, boots[index % len(boots)]))
    assert len(target.state.missing) <= MISSING
    assert len(target.state.old_boots) <= OLD_BOOTS
