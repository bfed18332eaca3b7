"""A standing machine whose connection flaps: a trusted clock may correct its stop later, and hides nothing now."""

import pytest

from bridge.domain.reports import BirthReport, StateReport
from tests.domain.line.absence.absent_devices import BufferingDevice, report_every_minute
from tests.domain.line.downtime.test_downtime_turn import at_of, raised
from tests.domain.line.output.test_oee_base import closed
from tests.support.packing_line import PackingLine, equipment, line_spec, plant_file

ONLINE = 4  # seconds: shorter than a backlog is waited for

each_cause = pytest.mark.parametrize("new_boot", [True, False], ids=["a crash loop", "bad Wi-Fi"])


def line_of(clock: str = "device") -> tuple[PackingLine, BufferingDevice]:
    """The bagger, which is the constraint, runs until 100 s."""
    line = PackingLine(plant_file(line_spec(equipment=equipment(clock=clock))))
    for name in ("feeder", "packer"):
        line.report(name, StateReport(state="running"), at=0)
    bagger = BufferingDevice(line)
    bagger.state("running", 0)
    bagger.state("running", 60)
    return line, bagger


def flaps(
    bagger: BufferingDevice, *states: str, since: float, until: float, away: float = 20, new_boot: bool = False
) -> float:
    """Disconnect it repeatedly, with these states reported in between; return the time of the last loss."""
    at = since
    while at < until:
        bagger.disconnect(at)
        at += away
        bagger.line.wait(at)
        bagger.buffered = None
        if new_boot:
            bagger.boot, bagger.seq = bagger.boot + 1, -1
            bagger.report(BirthReport(), at)
        for index, state in enumerate(states):
            bagger.state(state, at + 0.2 + index)
        at += ONLINE
    bagger.disconnect(at)
    return at


def downtimes_of(line: PackingLine) -> list[tuple[str | None, float | None, float | None]]:
    """Each downtime as it was last reported: culprit, from, to."""
    last = {downtime.downtime_id: downtime for downtime in line.downtimes()}
    return [
        (downtime.cause_equipment, at_of(downtime.started_at), at_of(downtime.ended_at)) for downtime in last.values()
    ]


@each_cause
@pytest.mark.parametrize("away", [20, 50, 80])
def test_its_stop_is_a_downtime_and_calls_as_without_a_trusted_clock(away: int, *, new_boot: bool) -> None:
    reported = []
    for clock in ("device", "receive"):
        line, bagger = line_of(clock)
        bagger.state("fault", 100)
        flaps(bagger, "fault", since=103, until=3_700, away=away, new_boot=new_boot)
        reported.append((downtimes_of(line), raised(line), closed(line)[-1].actual_production_seconds))
    assert reported[0] == reported[1]
    assert reported[0] == ([("bagger", 100, None)], [(400, "L1.down.1")], 100)


@each_cause
def test_a_machine_that_returns_stopped_is_stopped_from_its_next_loss(*, new_boot: bool) -> None:
    """Its state before the first loss is unknown; that the line waits for it, it has reported."""
    line, bagger = line_of()
    flaps(bagger, "fault", since=100, until=1_000, new_boot=new_boot)
    assert downtimes_of(line) == [("bagger", 124, None)]
    assert raised(line) == [(424, "L1.down.1")]


def test_the_cause_of_a_finished_stop_is_no_finding_on_the_next() -> None:
    line, bagger = line_of()
    flaps(bagger, "fault", "running", "stopped", since=100, until=130)
    line.wait(300)
    assert downtimes_of(line) == [(None, 148, None)]


def test_buffered_reports_correct_the_end_of_the_stop() -> None:
    line, bagger = line_of()
    bagger.state("fault", 100)
    lost_at = flaps(bagger, "fault", since=103, until=400)
    bagger.state("running", lost_at + 10)
    line.wait(1_000)
    bagger.reconnect(1_000)
    report_every_minute(bagger, 1_050, 3_660)
    assert downtimes_of(line) == [("bagger", 100, lost_at + 10)]
    hour = closed(line)[-1]
    assert hour.unknown_seconds == 0
    assert hour.planned_busy_seconds - hour.actual_production_seconds == lost_at + 10 - 100


def test_one_that_runs_and_flaps_is_unknown() -> None:
    line, bagger = line_of()
    flaps(bagger, "running", since=100, until=3_600, new_boot=True)
    assert downtimes_of(line) == []
    assert closed(line)[-1].unknown_seconds == 3_500
