"""A known stop stays a stop through any loss of connection, until another state is known."""

from collections.abc import Callable

import pytest

from bridge.domain import event_data
from bridge.domain.reports import BirthReport, CountsReport, DeathReport, StateReport
from tests.domain.line.absence.test_absence import absent
from tests.domain.line.output.test_oee_base import closed
from tests.support.packing_line import PackingLine, equipment, line_spec, plant_file

RUNNING = StateReport(state="running", speed=90.0)
HOUR = 3_600


def line_with_heartbeat() -> PackingLine:
    """The bagger is the constraint, and is lost after 20 s of silence."""
    line = PackingLine(plant_file(line_spec(equipment=equipment(heartbeat_seconds=20.0))))
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", CountsReport(total=0), at=0)
    return line


def dies(line: PackingLine, at: float) -> None:
    line.report("bagger", DeathReport(), at=at)


def falls_silent(line: PackingLine, at: float) -> None:
    line.wait(at + 20)


LOSSES = {"death": dies, "silence": falls_silent}


def lost(line: PackingLine, window: str = "hour") -> float:
    """Return the seconds of the closed windows that went into downtime."""
    return sum(oee.planned_busy_seconds - oee.actual_production_seconds for oee in closed(line, window))


@pytest.mark.parametrize("lose", LOSSES.values(), ids=list(LOSSES))
@pytest.mark.parametrize("status", ["fault", "stopped", "maintenance", "setup", "idle"])
def test_a_repair_with_the_power_off_costs_what_it_costs(
    lose: Callable[[PackingLine, float], None], status: str
) -> None:
    """The downtime's length is what OEE loses: two hours, not the ninety seconds until the power went."""
    line = line_with_heartbeat()
    line.report("bagger", StateReport(state=status), at=15)
    lose(line, 30)
    line.wait(2 * HOUR)
    assert line.statuses("bagger")[-1].status == "offline", "that it cannot be seen is shown"
    line.report("bagger", BirthReport(), at=2 * HOUR + 60)
    line.report("bagger", RUNNING, at=2 * HOUR + 61)
    at = 2 * HOUR + 70.0
    while at < 4 * HOUR:
        line.report("bagger", RUNNING, at=at)
        at += 15
    line.wait(4 * HOUR)
    downtime = line.downtimes()[-1]
    assert (downtime.status, downtime.duration_seconds) == ("closed", 2 * HOUR + 46)
    assert lost(line) == downtime.duration_seconds
    assert sum(window.unknown_seconds for window in closed(line)) == 0


@pytest.mark.parametrize("lose", LOSSES.values(), ids=list(LOSSES))
def test_a_machine_that_ran_is_unknown_when_it_is_lost(lose: Callable[[PackingLine, float], None]) -> None:
    line = line_with_heartbeat()
    lose(line, 1)
    line.wait(HOUR)
    assert line.downtimes() == []
    assert closed(line)[-1].unknown_seconds > HOUR - 30


def test_an_unobserved_stop_is_unknown() -> None:
    """The bridge was absent itself: unlike one lost machine, the line may have been repaired and have run since."""
    line = line_with_heartbeat()
    line.report("bagger", StateReport(state="fault"), at=15)
    dies(line, 30)
    absent(line, 60, HOUR)
    line.wait(HOUR)
    assert line.downtimes() == []
    assert closed(line)[-1].unknown_seconds == HOUR - 60


def test_pieces_end_a_stop_of_a_lost_machine() -> None:
    line = line_with_heartbeat()
    line.report("bagger", StateReport(state="fault"), at=15)
    dies(line, 30)
    line.report("bagger", CountsReport(total=5), at=1_000)
    line.wait(1_020)
    last = line.downtimes()[-1]
    assert isinstance(last, event_data.Downtime)
    assert (last.status, last.duration_seconds) == ("closed", 985)


def test_a_restart_keeps_a_known_stop() -> None:
    line = line_with_heartbeat()
    line.report("bagger", StateReport(state="fault"), at=15)
    dies(line, 30)
    line.restart()
    line.wait(HOUR)
    assert closed(line)[-1].unknown_seconds == 0
    assert line.downtimes()[-1].status == "open"
