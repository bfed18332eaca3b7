"""Reports that arrive after an absence was evaluated."""

import pytest

from bridge.domain.reports import ReportBody, StateReport
from tests.domain.line.absence.test_absence import absent
from tests.domain.line.buffered_bagger import BufferedBagger, line_of, replace_seq, send, store
from tests.domain.line.output.test_oee_base import closed
from tests.domain.line.output.test_oee_oracle import millis
from tests.support.packing_line import T0


def test_reports_after_the_absence_was_evaluated_are_added_by_revision() -> None:
    """A second gateway sends its buffer an hour later: the closed hour is reported again, the state stays."""
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    bagger.absence = (300, 900)
    for at, state in ((310.0, "fault"), (410.0, "running"), (500.0, "running")):
        bagger.state(state, at)
    stored, bagger.waiting = bagger.waiting, []
    bagger.reconnect()
    bagger.state("running", 901)
    line.wait(4_000)
    assert closed(line)[0].unknown_seconds == 601
    for index, body in enumerate(stored):
        line.report("bagger", replace_seq(body, bagger.seq + index), at=4_001 + index * 0.01)
    line.wait(4_100)
    assert line.statuses("bagger")[-1].status == "running"
    assert [(downtime.status, downtime.duration_seconds) for downtime in line.downtimes()] == [("closed", 100)]
    assert closed(line)[0].unknown_seconds == 601 - 190, "from the first stored report to the last"


def test_late_reports_fill_each_of_the_latest_eight_absences() -> None:
    """A buffer of all reports is sent after nine absences; the oldest absence can no longer be revised."""
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    stored: list[ReportBody] = []
    for begin in range(300, 300 + 9 * 900, 900):
        bagger.absence = (begin, begin + 300)
        for at, state in (
            (begin + 10, "running"),
            (begin + 50, "fault"),
            (begin + 150, "running"),
            (begin + 290, "running"),
        ):
            bagger.state(state, at)
        stored, bagger.waiting = [*stored, *bagger.waiting][-8 * 4 :], []
        bagger.reconnect()
        bagger.state("running", begin + 301)
    line.wait(4 * 3_600)
    assert line.downtimes() == []
    for index, body in enumerate(stored):
        line.report("bagger", replace_seq(body, bagger.seq + index), at=4 * 3_600 + index * 0.01)
    line.wait(4 * 3_600 + 100)
    expected = [T0 + (begin + 50) * 1000 for begin in range(1_200, 300 + 9 * 900, 900)]
    assert [millis(downtime.started_at) for downtime in line.downtimes()] == expected
    assert {(downtime.status, downtime.duration_seconds) for downtime in line.downtimes()} == {("closed", 100)}
    hours = {window.window_start: window for window in closed(line)}
    assert sum(hour.unknown_seconds for hour in hours.values()) == 301 + 8 * (301 - 280)


@pytest.mark.parametrize(("clock", "missing", "unknown"), [("device", 1, 300), ("device", 0, 109), ("receive", 0, 300)])
def test_a_machine_that_reports_only_after_the_absence_was_evaluated(clock: str, missing: int, unknown: int) -> None:
    """If none of its reports is missing, its state before the absence still held. Otherwise it stays unknown."""
    line = line_of(clock=clock)
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    line.report("packer", StateReport(state="running", ts=T0), at=0)
    absent(line, 300, 400)
    line.report("packer", StateReport(state="running", ts=T0 + 310_000), at=401)
    bagger.seq += missing
    bagger.state("running", 600)
    if missing:
        line.report("packer", StateReport(state="running", ts=T0 + 350_000), at=700)
    line.wait(3_600)
    assert closed(line)[-1].unknown_seconds == pytest.approx(unknown, abs=1), "the wait for it ended at 491"


def test_a_known_downtime_is_not_added_again_by_later_reports() -> None:
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    stored = store(bagger, (300, 900), (310, "fault"), (410, "running"), (500, "running"), (600, "running"))
    bagger.state("running", 901)
    send(bagger, stored[:3], 1_000)
    line.wait(1_100)
    send(bagger, stored[3:], 1_200)
    line.wait(1_300)
    assert [(downtime.status, downtime.duration_seconds) for downtime in line.downtimes()] == [("closed", 100)]


def test_late_reports_of_an_old_absence_do_not_change_the_current_stop() -> None:
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    stored = store(bagger, (300, 900), (310, "fault"), (410, "running"), (500, "running"))
    bagger.state("running", 901)
    bagger.state("fault", 1_000)
    line.wait(1_100)
    send(bagger, stored, 1_200)
    line.wait(3_600)
    assert [(downtime.status, downtime.duration_seconds) for downtime in line.downtimes()] == [
        ("open", None),
        ("closed", 100),
    ]
    (hour,) = closed(line)
    assert hour.planned_busy_seconds - hour.actual_production_seconds == 2_600 + 100
