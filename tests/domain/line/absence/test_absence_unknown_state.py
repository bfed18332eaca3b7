"""A machine without a report since an absence: its earlier state need not hold when it is lost."""

from collections.abc import Callable
from typing import Final

import pytest

from bridge.domain.events import EventType
from bridge.domain.reports import BirthReport, DeathReport, StateReport
from tests.domain.line.absence.absent_devices import BufferingDevice, line_of, report_every_minute
from tests.domain.line.absence.test_absence import absent
from tests.domain.line.output.test_oee_base import closed
from tests.support.packing_line import PackingLine

RUNNING: Final = StateReport(state="running")
BACK: Final = 7_200
ConnectionLoss = Callable[[PackingLine], None]


def dies_before(line: PackingLine) -> None:
    line.report("bagger", DeathReport(), at=105)
    absent(line, 110, 130)


def dies_after(line: PackingLine) -> None:
    absent(line, 110, 130)
    line.report("bagger", DeathReport(), at=600)


def falls_silent(line: PackingLine) -> None:
    absent(line, 110, 130)


LATER: Final = [(dies_after, None), (dies_after, 60.0), (falls_silent, 60.0)]


def away(lose: ConnectionLoss, heartbeat: float | None) -> tuple[PackingLine, BufferingDevice]:
    """The bagger, the constraint, is stopped from 100 s on; after an absence only the feeder reports."""
    line = line_of(heartbeat=heartbeat)
    bagger = BufferingDevice(line)
    line.report("feeder", RUNNING, at=0)
    report_every_minute(bagger, 0, 60)
    bagger.state("stopped", 100)
    lose(line)
    heard_at = 131 if lose is not dies_after else 601
    for at in range(heard_at, BACK, 30):
        line.report("feeder", RUNNING, at=at)
    return line, bagger


@pytest.mark.parametrize("new_boot", ["by a birth", "by its reports"])
@pytest.mark.parametrize(("lose", "heartbeat"), [(dies_before, None), (dies_before, 60.0), *LATER])
def test_a_machine_that_is_offline_is_unknown_and_makes_no_call(
    lose: ConnectionLoss, heartbeat: float | None, new_boot: str
) -> None:
    """It returns running, in another boot: the length of its stop is unknown."""
    line, bagger = away(lose, heartbeat)
    bagger.boot, bagger.seq = 2, -1
    if new_boot == "by a birth":
        bagger.report(BirthReport(), BACK)
    bagger.current_state = "running"
    report_every_minute(bagger, BACK + 1, 3 * 3_600 + 60)
    assert line.downtimes() == []
    assert not line.of(EventType.ANDON_EVENT)
    for scope in (None, "bagger"):
        hours = [window for window in line.oee("hour", scope) if window.closed]
        first = [hour for hour in hours if hour.window_start == hours[0].window_start][-1]
        assert (first.unknown_seconds, first.planned_busy_seconds) == (3_600 - 110, 110)
        assert all(hour.planned_busy_seconds == hour.actual_production_seconds for hour in hours)


@pytest.mark.parametrize(("lose", "heartbeat"), LATER)
def test_a_machine_without_a_gap_was_stopped(lose: ConnectionLoss, heartbeat: float | None) -> None:
    """Its last state still holds: it would have reported a change."""
    line, bagger = away(lose, heartbeat)
    bagger.current_state = "running"
    report_every_minute(bagger, BACK, 3 * 3_600 + 60)
    last = {downtime.downtime_id: downtime for downtime in line.downtimes()}
    assert sum(downtime.duration_seconds or 0 for downtime in last.values()) == BACK - 100
    assert sum(window.planned_busy_seconds - window.actual_production_seconds for window in closed(line)) == BACK - 100
