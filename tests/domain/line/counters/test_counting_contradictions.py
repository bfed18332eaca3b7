"""Counters that contradict each other."""

import pytest

from bridge.domain.reports import CountsReport, StateReport
from tests.domain.line.counters.counted_line import RUNNING, feed, line_of, qualities
from tests.support.packing_line import PackingLine


def contradicting() -> PackingLine:
    """The line's total is the feeder's, its good the bagger's; 10 pieces were made, 40 of them good."""
    line = line_of(total_from=("feeder",), good_from=("bagger",), reject_from=())
    for equipment_id in ("feeder", "bagger"):
        line.report(equipment_id, RUNNING, at=0)
    line.report("bagger", CountsReport(good=0), at=1)
    feed(line, "feeder", (0, 1), (10, 60))
    line.report("bagger", CountsReport(good=40), at=60)
    line.wait(120)
    return line


def test_more_good_pieces_than_pieces_are_flagged_and_quality_stays_a_share() -> None:
    reported = contradicting().oee("shift")[-1]
    assert "counts_contradict" in reported.flags
    assert reported.quality == 1
    assert (reported.total_count, reported.good_count) == (10, 40)
    assert reported.oee == pytest.approx(10 * 2.0 / reported.planned_busy_seconds)


def test_production_of_contradicting_counters_is_estimated() -> None:
    assert qualities(contradicting())[-1].estimated


def test_more_rejects_than_pieces_are_flagged() -> None:
    line = line_of(total_from=("feeder",), good_from=(), reject_from=("bagger",))
    for equipment_id in ("feeder", "bagger"):
        line.report(equipment_id, RUNNING, at=0)
    line.report("bagger", CountsReport(reject=0), at=1)
    feed(line, "feeder", (0, 1), (10, 60))
    line.report("bagger", CountsReport(reject=40), at=60)
    line.wait(120)
    reported = line.oee("shift")[-1]
    assert "counts_contradict" in reported.flags
    assert reported.quality == 0


def test_counters_that_agree_are_not_flagged() -> None:
    line = line_of()
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", CountsReport(total=0, good=0), at=1)
    line.report("bagger", CountsReport(total=10, good=10), at=60)
    line.wait(120)
    assert "counts_contradict" not in line.oee("shift")[-1].flags
    assert not qualities(line)[-1].estimated


def test_pieces_of_a_window_that_was_down_throughout_contradict_its_state() -> None:
    """OEE is more than 0 then, though availability is 0: either the counts are wrong, or the state is."""
    line = PackingLine()
    line.report("bagger", CountsReport(total=0, good=0), at=0)
    line.report("bagger", StateReport(state="fault"), at=0)
    for at in range(10, 5_000, 10):
        line.report("bagger", CountsReport(total=at, good=at), at=at)
    line.wait(7_300)
    hour = [window for window in line.oee("hour") if window.closed][-1]
    assert hour.total_count > 0
    assert (hour.availability, hour.performance) == (0, None)
    assert hour.oee is not None
    assert hour.oee > 0
    assert "counts_contradict" in hour.flags


def test_a_window_that_was_down_without_a_piece_contradicts_nothing() -> None:
    line = PackingLine()
    line.report("bagger", CountsReport(total=0, good=0), at=0)
    line.report("bagger", StateReport(state="fault"), at=0)
    line.wait(3_700)
    assert all("counts_contradict" not in window.flags for window in line.oee("hour"))
