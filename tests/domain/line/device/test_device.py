"""Duplicates, gaps and late arrivals by (boot_id, seq)."""

from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain import plant
from bridge.domain.event_data import AndonType
from bridge.domain.line.device.device import Device
from bridge.domain.line.device.sequence import CHECKSUM_BYTES, MAX_CHECKSUMS, MAX_HOLES
from bridge.domain.line.device.state import MAX_PAST_BOOTS, DeviceState, PastBoot
from bridge.domain.place import Place
from bridge.domain.reports import (
    AndonReport,
    BirthReport,
    DeathReport,
    Disposition,
    Report,
    ReportBody,
    StateReport,
    suppressed,
)


def device(modulus: int = 2**32) -> Device:
    return Device(DeviceState(), plant.EquipmentConfig(id="bagger", seq_modulus=modulus), ZoneInfo("UTC"))


UNPLACED: Final = "unplaced"


def put(target: Device, body: ReportBody, *, redelivered: bool = False, at: float = 0) -> int | str | Disposition:
    """Return how many reports it shows to be missing, that its place is not known, or why it has no effect."""
    report = Report(
        place=Place("north", "pack", "L1", "bagger"),
        body=body,
        received_at=round(at * 1000),
        cause="input:1",
        redelivered=redelivered,
    )
    placed = target.place_in_sequence(report)
    if isinstance(placed, Disposition):
        return placed
    return placed.gap if placed.is_certain else UNPLACED


DUPLICATE: Final = suppressed("duplicate")
LATE: Final = suppressed("out_of_order")


def state(seq: int | None, boot: str | int | None = "a", word: str = "running") -> StateReport:
    return StateReport(state=word, seq=seq, boot_id=boot)


def press(seq: int, boot: str | int = "a", andon_type: AndonType = "safety") -> AndonReport:
    return AndonReport(andon_type=andon_type, action="raise", seq=seq, boot_id=boot)


def test_the_same_report_twice_is_a_duplicate() -> None:
    target = device()
    assert put(target, state(7)) == 0
    assert put(target, state(7)) == DUPLICATE


def test_the_same_number_with_another_content_is_news() -> None:
    """A number alone proves nothing: a report with other content was not applied before."""
    target = device()
    put(target, state(7))
    assert put(target, state(7, word="fault")) == UNPLACED
    assert put(target, press(7)) == UNPLACED
    assert put(target, press(7, andon_type="quality")) == UNPLACED
    assert put(target, press(7, andon_type="quality")) == DUPLICATE


def test_a_device_with_a_constant_sequence_is_accepted() -> None:
    target = device()
    states = ["running", "fault", "running", "stopped", "running"]
    assert [put(target, state(3, word=word)) for word in states] == [0, *[UNPLACED] * 4]


def test_missing_reports_are_counted_once() -> None:
    target = device()
    put(target, state(7))
    assert put(target, state(10)) == 2
    assert put(target, state(11)) == 0


def test_a_late_state_is_out_of_order_and_a_late_press_still_happened() -> None:
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


def test_a_live_birth_is_believed_even_where_boots_are_counted_again() -> None:
    target = device()
    for boot in (1, 2, 3):
        put(target, state(5, boot))
    assert put(target, BirthReport(boot_id=1)) == 0
    assert put(target, state(0, 1)) == 0
    assert put(target, state(6, 3)) == suppressed("out_of_order")


def test_a_will_carries_the_sequence_of_when_it_was_written() -> None:
    target = device()
    put(target, BirthReport(boot_id="a", seq=0))
    put(target, state(50))
    assert put(target, DeathReport(boot_id="a", seq=0)) == 0


@pytest.mark.parametrize("body", [state(None), state(7, None), state(None, None)])
def test_without_both_boot_and_seq_nothing_is_a_duplicate(body: ReportBody) -> None:
    target = device()
    assert put(target, body) == 0
    assert put(target, body) == 0


@given(
    start=st.integers(0, 2**16),
    shuffle=st.permutations(range(12)),
    again=st.lists(st.integers(0, 11)),
    modulus=st.sampled_from([64, 2**16, 2**32]),
)
def test_every_press_is_applied_exactly_once_however_it_arrives(
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


def test_a_boot_that_follows_another_began_at_zero() -> None:
    """The first reports after a restart count as missing like any other; late ones are no duplicates."""
    target = device()
    assert put(target, state(700, "a")) == 0, "of a device never seen before nothing is known to be missing"
    assert put(target, state(3, "b")) == 3
    assert put(target, press(1, "b")) == 0
    assert put(target, press(1, "b")) == suppressed("duplicate")
    assert (target.state.missed, target.state.filled) == (3, 1)


@pytest.mark.parametrize(
    ("first", "seconds", "expected"),
    [(65_536, 0, 65_536), (65_537, 0, UNPLACED), (5_000_000, 0, UNPLACED), (70_000, 60, 70_000)],
)
def test_a_boot_that_follows_another_far_from_zero_is_of_no_known_place(
    first: int, seconds: float, expected: int | str
) -> None:
    """The number of missing reports is unknown and not claimed to be zero; following reports are placed by it."""
    target = device()
    put(target, state(700, 1))
    assert put(target, press(first, 2), at=seconds) == expected
    assert target.state.unplaced == (expected == UNPLACED)
    assert target.state.missed == (0 if expected == UNPLACED else expected)
    assert put(target, press(first, 2), at=seconds) == DUPLICATE
    assert put(target, press(first + 3, 2), at=seconds) == 2


def test_a_birth_far_from_zero_is_where_its_sequence_begins() -> None:
    target = device()
    put(target, state(700, 1))
    assert put(target, BirthReport(boot_id=2, seq=5_000_000)) == 0


def test_reports_of_an_earlier_boot_are_known_again() -> None:
    """After a crash of the bridge the broker redelivers committed reports, across the device's restart."""
    target = device()
    window: list[ReportBody] = [
        BirthReport(boot_id="a", seq=0),
        press(1, "a"),
        press(3, "a"),
        BirthReport(boot_id="b", seq=0),
    ]
    window += [press(1, "b")]
    assert [put(target, report) for report in window] == [0, 0, 1, 0, 0]
    assert [put(target, report, redelivered=True) for report in window] == [suppressed("duplicate")] * len(window)
    assert put(target, press(2, "a")) == 0, "the missing one came late, as a press of the boot before"
    assert put(target, press(2, "a")) == suppressed("duplicate")
    assert put(target, press(2, "b")) == 0


def test_a_resent_report_of_an_earlier_boot_is_a_duplicate_without_the_flag_too() -> None:
    target = device()
    for report in (press(1, "a"), press(1, "b"), press(1, "c")):
        put(target, report)
    assert put(target, press(1, "a")) == suppressed("duplicate")
    assert put(target, press(2, "a")) == 0


def test_a_wrap_is_no_gap() -> None:
    target = device(modulus=256)
    put(target, state(254))
    assert [put(target, state(seq)) for seq in (255, 0, 1)] == [0, 0, 0]
    assert put(target, state(5)) == 3
    assert put(target, state(255)) == DUPLICATE, "what is proven to be behind is not ahead by a whole turn"
    assert put(target, state(3)) == LATE


def test_boots_recorded_by_an_earlier_version_are_read() -> None:
    noted = msgspec.msgpack.encode({"boot_id": "b", "seq": 4, "old_boots": ["a", 7], "missing": [2]})
    target = Device(msgspec.msgpack.decode(noted, type=DeviceState), None, ZoneInfo("UTC"))
    assert put(target, press(2, "b")) == 0
    assert put(target, press(4, "b")) == UNPLACED, "what was taken by an earlier version is not known by its content"
    assert put(target, press(6, "b")) == 1
    assert put(target, press(1, "a")) == 0, "its sequence is not known"
    assert put(target, state(1, 7)) == LATE


@given(steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 11)), max_size=60))
def test_missing_is_what_was_never_seen_below_the_newest_of_each_boot(steps: list[tuple[int, int]]) -> None:
    """Against an oracle that remembers everything: missing = missed - filled, over all boots."""
    target = device()
    put(target, press(0, "first"))
    seqs_by_boot: dict[str, set[int]] = {"first": {0}}
    for boot, seq in steps:
        name = f"boot{boot}"
        new = seq not in seqs_by_boot.setdefault(name, set())
        assert (put(target, press(seq, name)) != suppressed("duplicate")) == new
        seqs_by_boot[name].add(seq)
    missing = sum(max(seqs) + 1 - len(seqs) for seqs in seqs_by_boot.values())
    assert target.state.missed - target.state.filled == missing


@given(seqs=st.lists(st.integers(0, 2**40)), boots=st.lists(st.integers(0, 40), min_size=1))
def test_the_memory_of_duplicates_is_bounded(seqs: list[int], boots: list[int]) -> None:
    target = device()
    for index, seq in enumerate(seqs):
        put(target, state(seq, boots[index % len(boots)]))
    assert len(target.state.old_boots) <= MAX_PAST_BOOTS
    past = [boot.run for boot in target.state.old_boots if isinstance(boot, PastBoot)]
    for run in (target.state.run, *past):
        assert run is None or (len(run.holes) <= MAX_HOLES and len(run.sums) <= MAX_CHECKSUMS * CHECKSUM_BYTES)
