"""A downtime of which a part was not watched: its duration is an estimate, to its last event."""

import pytest

from bridge.domain.events import EventType
from bridge.domain.line.line import Line
from bridge.domain.reports import DowntimeReport, StateReport
from tests.domain.line.absence.test_absence import FAULT, RUNNING, absent, running_line
from tests.domain.line.buffered_bagger import BufferedBagger, line_of
from tests.support.packing_line import LEADER, T0, PackingLine, plant_file


def reported(line: PackingLine) -> list[tuple[str, bool]]:
    """The status of each downtime event, and whether it is an estimate."""
    events = line.of(EventType.DOWNTIME_EVENT)
    return [(data.status, event.quality.estimated) for event, data in zip(events, line.downtimes(), strict=True)]


@pytest.mark.parametrize("restored", [False, True])
def test_a_downtime_over_an_absence_is_an_estimate_to_its_end(*, restored: bool) -> None:
    """The machine may have run for an hour meanwhile, and broken again."""
    line = running_line()
    line.report("bagger", FAULT, at=40)
    line.wait(190)
    assert reported(line) == [("open", False)]
    absent(line, 200, 2_300)
    if restored:
        line.core = Line.restore(plant_file(), plant_file().lines[0], line.core.checkpoint())
    line.report("bagger", RUNNING, at=2_300)
    line.wait(2_400)
    downtime = line.downtimes()[-1]
    assert (reported(line)[-1], downtime.duration_seconds) == (("closed", True), 2_260)
    body = DowntimeReport(action="classify", downtime_id=downtime.downtime_id, reason_code="CLEAN")
    line.report(None, body, at=2_500, actor=LEADER)
    assert reported(line)[-1] == ("closed", True)


def test_the_next_downtime_is_none() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=40)
    absent(line, 200, 300)
    line.report("bagger", RUNNING, at=300)
    line.wait(400)
    line.report("bagger", FAULT, at=400)
    line.wait(600)
    line.report("bagger", RUNNING, at=600)
    line.wait(700)
    assert reported(line)[-2:] == [("open", False), ("closed", False)]


def test_a_downtime_that_the_shift_ends_during_an_absence_is_an_estimate() -> None:
    line = running_line()
    start = 12 * 3_600 - 1_800  # half an hour before the late shift ends
    line.report("bagger", RUNNING, at=start - 100)
    line.report("bagger", FAULT, at=start)
    absent(line, start + 200, start + 9_000)
    line.wait(start + 9_000)
    assert reported(line)[-1] == ("closed", True)


@pytest.mark.parametrize("lost", [False, True])
def test_a_downtime_that_is_found_to_last_is_an_estimate_where_a_part_is_unknown(*, lost: bool) -> None:
    """The broker kept the stop; the content of a report lost within it is unknown."""
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    bagger.absence = (300, 600)
    bagger.state("fault", 310)
    for at in (450, 500, 550):
        bagger.state("fault", at)
    if lost:
        bagger.lose(2)
    bagger.reconnect()
    line.wait(700)
    assert reported(line) == [("open", lost)]


def test_a_downtime_over_a_step_of_the_hosts_clock_is_an_estimate() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=40)
    line.wait(200)
    line.events += line.core.set_forward(600_000, T0 + 800_000)
    line.report("bagger", StateReport(state="running"), at=810)
    line.wait(900)
    assert reported(line)[-1] == ("closed", True)
