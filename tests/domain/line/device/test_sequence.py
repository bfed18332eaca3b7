"""Devices whose sequence jumps, wraps, starts again or is used twice: what is not recognised has its effect."""

import pytest
from msgspec.structs import replace

from bridge.domain.event_data import Production
from bridge.domain.events import EventType
from bridge.domain.line.device.sequence import MAX_HOLES
from bridge.domain.place import Place
from bridge.domain.reports import (
    APPLIED,
    BirthReport,
    CountsReport,
    Disposition,
    Report,
    StateReport,
    suppressed,
)
from tests.domain.line.device.numbered_reports import line_of, press, state, status
from tests.support.packing_line import T0, PackingLine

OLD, NEW = 1_767_500_000_000, 1_767_600_000_000


@pytest.mark.parametrize("modulus", [256, 4_096, 65_536, 2**32])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.547, 0.74, 0.95])
def test_a_jump_of_any_size_is_applied_and_counted(modulus: int, share: float) -> None:
    """Also over half of the modulus, where the new number is nearer behind than ahead."""
    line = line_of(modulus)
    to = round(modulus * share)
    line.report("bagger", BirthReport(boot_id=1, seq=0), at=0)
    line.report("bagger", state(1), at=1)
    assert line.report("bagger", state(to, "fault"), at=2).disposition == APPLIED
    assert status(line) == "fault"
    assert line.of(EventType.LINE_STATUS_UPDATE, "bagger")[-1].quality.gap == to - 2
    assert line.core.devices.gaps().missed == to - 2


@pytest.mark.parametrize("modulus", [256, 4_096, 65_536, 2**32])
def test_a_press_after_a_jump_is_a_call(modulus: int) -> None:
    line = line_of(modulus)
    line.report("bagger", BirthReport(boot_id=1, seq=0), at=0)
    line.report("bagger", state(1), at=1)
    line.report("bagger", press(round(modulus * 0.547)), at=2)
    assert len(line.of(EventType.ANDON_EVENT, "bagger")) == 1


def counted_late(line: PackingLine, *, clock: int | None) -> list[Disposition]:
    """Pass 48 counts of an 8-bit sequence on at once, and two of them after the rest; return what became of the two.

    `clock`: the device's at number 0; it counts every 10 s.
    """

    def report_counts(seq: int, at: float) -> Disposition:
        ts = None if clock is None else clock + 10_000 * seq
        body = CountsReport(boot_id=1, seq=seq % 256, ts=ts, good=4 * seq)
        return line.report("bagger", body, at=at).disposition

    line.report("bagger", StateReport(state="running", boot_id=1, seq=239), at=0)
    for number, seq in enumerate(number for number in range(240, 290) if number not in (258, 260)):
        report_counts(seq, 1 + number / 1000)
    late = [report_counts(seq, 2) for seq in (258, 260)]
    for seq in (290, 291):
        report_counts(seq, 10 * (seq - 289))
    line.wait(60)
    return late


def test_a_clock_proves_late_what_a_short_sequence_leaves_open() -> None:
    """The register did not go back: the same number may only have been overtaken by 30 others."""
    line = line_of(256)
    assert counted_late(line, clock=T0 - 700_000) == [suppressed("out_of_order")] * 2
    counted = line.of(EventType.PRODUCTION_UPDATE, "bagger")[-1].data
    assert isinstance(counted, Production)
    assert counted.good_count == 4 * (291 - 240)


@pytest.mark.parametrize("clock", [None, 0])
def test_without_a_clock_or_with_one_never_set_it_is_applied(clock: int | None) -> None:
    assert counted_late(line_of(256), clock=clock) == [APPLIED] * 2


@pytest.mark.parametrize("before", [3, 1_000])
@pytest.mark.parametrize("jump", [129, 140, 160, 190])
def test_all_that_follows_a_jump_over_half_the_modulus_is_applied(before: int, jump: int) -> None:
    """A broker's queue was full; the device may have been seen for many turns of its sequence before."""
    line = line_of(256)
    for index in range(before):
        line.report("bagger", state(index % 256), at=index)
    states = ["fault", "stopped"] * 10
    for index, state_name in enumerate(states):
        seq = (before - 1 + jump + index) % 256
        assert line.report("bagger", state(seq, state_name), at=before + 10 + index).disposition == APPLIED, index
        assert status(line) == state_name
    assert line.core.devices.gaps().missed == jump - 1


def test_repeated_jumps_hide_nothing_either() -> None:
    """The number that a jump leads to may be one that an earlier jump left out."""
    line, seq = line_of(256), 0
    for index in range(200):
        seq += 140 if index % 7 == 0 else 1
        state_name = ("running", "fault", "stopped")[index % 3]
        assert line.report("bagger", state(seq % 256, state_name), at=index).disposition == APPLIED, index
        assert status(line) == state_name


@pytest.mark.parametrize("reports_before", [5, 500])
def test_a_sequence_that_starts_again_without_a_birth_is_applied_and_flagged(reports_before: int) -> None:
    line = PackingLine()
    for index in range(reports_before):
        line.report("bagger", state(index), at=index)
    states = ["fault", "stopped"] * 10
    for index, state_name in enumerate(states):
        assert line.report("bagger", state(index, state_name), at=1_000 + index).disposition == APPLIED, index
        assert status(line) == state_name
    events = line.of(EventType.LINE_STATUS_UPDATE, "bagger")
    assert events[-len(states)].quality.unplaced
    assert not events[-1].quality.unplaced, "from the third on the sequence is known again"
    assert line.core.devices.gaps() == (0, 0, 2)


def test_one_stray_number_does_not_hide_what_follows() -> None:
    line = PackingLine()
    for index in range(300):
        line.report("bagger", state(index), at=index)
    assert line.report("bagger", state(4, "fault"), at=301).disposition == APPLIED
    assert line.report("bagger", state(300, "stopped"), at=302).disposition == APPLIED
    assert line.core.devices.gaps() == (0, 0, 1)


def test_one_number_far_ahead_hides_what_follows_for_a_minute_at_most() -> None:
    """5, 90005, 6: what comes then looks late, and is where the sequence is."""
    line = PackingLine()
    line.report("bagger", state(5), at=0)
    line.report("bagger", state(60_005), at=1)
    applied = [line.report("bagger", state(6 + index, "fault"), at=2 + 10 * index).disposition for index in range(12)]
    assert applied[-1] == APPLIED
    assert applied.index(APPLIED) <= 7
    assert applied[applied.index(APPLIED) :] == [APPLIED] * (12 - applied.index(APPLIED))
    assert status(line) == "fault"


def test_a_report_that_the_broker_marks_is_known_further_behind_than_one_that_is_only_equal() -> None:
    """With a small modulus an equal report a third of a turn back may be a new one."""
    line = line_of(64)
    for index in range(41):
        line.report("bagger", press(index), at=10 * index)
    again = Report(
        place=Place("north", "pack", "L1", "bagger"), body=press(15), received_at=T0 + 500_000, cause="input:0"
    )
    redelivered = replace(again, redelivered=True)
    assert line.core.apply(redelivered, redelivered.received_at).disposition == suppressed("duplicate")
    assert line.core.apply(again, again.received_at).disposition == APPLIED


def test_a_redelivery_from_before_a_boot_id_was_used_again_is_known() -> None:
    line = PackingLine()
    line.report("bagger", BirthReport(boot_id=1, seq=0), at=0)
    for index in range(1, 40):
        line.report("bagger", press(index), at=10 * index)
    line.report("bagger", BirthReport(boot_id=1, seq=0), at=500)
    again = Report(
        place=Place("north", "pack", "L1", "bagger"), body=press(30), received_at=T0 + 501_000, cause="input:0"
    )
    redelivered = replace(again, redelivered=True)
    assert line.core.apply(redelivered, redelivered.received_at).disposition == suppressed("duplicate")
    assert line.core.apply(again, again.received_at).disposition == APPLIED, "the new run has come there"


def test_a_number_before_the_first_one_seen_is_no_jump_over_all_numbers() -> None:
    line = PackingLine()
    line.report("bagger", state(5_000), at=0)
    assert line.report("bagger", state(4_000, "fault"), at=1).disposition == APPLIED
    assert status(line) == "fault"
    assert line.core.devices.gaps() == (0, 0, 1)


def test_a_report_overtaken_before_the_first_one_seen_is_late() -> None:
    line = PackingLine()
    line.report("bagger", state(7), at=0)
    assert line.report("bagger", state(5, "fault"), at=1).disposition == suppressed("out_of_order")
    assert line.report("bagger", press(6), at=2).disposition == APPLIED
    assert line.core.devices.gaps() == (1, 1, 0)


def test_holes_that_are_forgotten_prove_nothing() -> None:
    line = PackingLine()
    for index in range(MAX_HOLES + 2):
        line.report("bagger", state(2 * index), at=index)
    assert line.report("bagger", press(1), at=100).disposition == APPLIED
    assert line.report("bagger", press(101), at=101).disposition == APPLIED
    assert line.core.devices.gaps() == (MAX_HOLES + 1, 1, 1)
