"""A stop between breakdown and changeover, partly within an absence: only what held before the absence still holds."""

import msgspec
import pytest

from bridge.domain.events import EventType
from bridge.domain.reports import ChangeoverReport, StateReport
from tests.domain.line.absence.test_absence import absent
from tests.support.packing_line import LEADER, T0, PackingLine, equipment, line_spec, plant_file

STARVED = StateReport(state="idle", upstream_stop=True)
FAULT = StateReport(state="fault")
RUNNING = StateReport(state="running", speed=90.0)


def changed_over(line: PackingLine, at: float) -> None:
    line.report(None, ChangeoverReport(action="start", to_product="nuts"), at=at, actor=LEADER)


def test_machines_that_are_lost_together_carry_their_fault_on() -> None:
    """At no instant of it the bagger is known and the feeder is not."""
    line = PackingLine()
    for name in ("feeder", "bagger"):
        line.report(name, RUNNING, at=0)
    line.report("feeder", FAULT, at=100)
    line.report("bagger", STARVED, at=110)
    changed_over(line, 120)
    absent(line, 200, 330)
    line.report("feeder", FAULT, at=331)
    line.report("bagger", STARVED, at=332)
    line.wait(409)
    assert not line.of(EventType.ANDON_EVENT, "feeder")
    line.wait(411)
    assert line.of(EventType.ANDON_EVENT, "feeder"), "its call stays due while the fault lasts"


def test_a_machine_lost_together_with_the_one_worked_on_is_not_left_stopped_without_a_cause() -> None:
    """No call is made: people worked on the feeder when it was last known to be stopped."""
    line = PackingLine()
    for name in ("feeder", "bagger"):
        line.report(name, RUNNING, at=0)
    line.report("feeder", StateReport(state="maintenance"), at=100)
    line.report("bagger", StateReport(state="stopped"), at=110)
    absent(line, 200, 330)
    line.report("feeder", RUNNING, at=331)
    line.wait(1_000)
    (downtime,) = {downtime.downtime_id: downtime for downtime in line.downtimes()}.values()
    assert (downtime.status, downtime.cause_equipment) == ("open", "feeder")
    assert not line.of(EventType.ANDON_EVENT, "bagger")


def test_a_fault_observed_for_seconds_is_no_separate_downtime() -> None:
    """The changeover's downtime is not split during the absence."""
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    changed_over(line, 99)
    line.report("bagger", StateReport(state="setup"), at=100)
    line.report("bagger", FAULT, at=290)
    absent(line, 300, 500)
    line.report("bagger", RUNNING, at=501)
    line.wait(600)
    last = {downtime.downtime_id: downtime for downtime in line.downtimes()}
    assert [(downtime.category, downtime.status) for downtime in last.values()] == [("changeover", "closed")]


@pytest.mark.parametrize("began", [303, 305])
@pytest.mark.parametrize("first_report", [STARVED, StateReport(state="stopped")], ids=["starved", "stopped"])
def test_a_stop_after_an_absence_becomes_a_changeover_as_one_that_is_watched(
    first_report: StateReport, began: float
) -> None:
    """The changeover has not run from the beginning of the stop that is evaluated."""
    outcomes = []
    for away in (True, False):
        line = PackingLine()
        for name in ("feeder", "bagger"):
            line.report(name, RUNNING, at=0)
        if away:
            absent(line, 100, 300)
            line.report("feeder", RUNNING, at=301)
        line.report("bagger", first_report, at=302)
        line.report("feeder", FAULT, at=303)
        changed_over(line, began)
        line.report("bagger", StateReport(state="setup"), at=305)
        line.wait(1_000)
        last = {downtime.downtime_id: downtime for downtime in line.downtimes()}
        calls = [event.timestamp for event in line.of(EventType.ANDON_EVENT, "feeder")]
        outcomes.append(
            ([(downtime.category, downtime.cause_equipment, downtime.started_at) for downtime in last.values()], calls)
        )
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0][0][1] == "feeder"


def test_findings_before_a_changeover_belong_to_the_breakdown_before() -> None:
    """They began during an absence: the downtime is split before the states of the machines are known."""
    line = PackingLine(plant_file(line_spec(equipment=equipment(clock="device"))))
    line.report("bagger", StateReport(state="fault", ts=T0), at=0)
    absent(line, 100, 300)
    changed_over(line, 301)
    for index, (at, state) in enumerate(((200, FAULT), (250, StateReport(state="stopped")), (310, STARVED))):
        line.report("bagger", msgspec.structs.replace(state, ts=T0 + at * 1_000), at=320 + index / 100)
    line.wait(600)
    last = {downtime.downtime_id: downtime for downtime in line.downtimes()}
    assert [(downtime.category, downtime.cause) for downtime in last.values()] == [
        ("unplanned", "internal"),
        ("changeover", "upstream"),
    ]
