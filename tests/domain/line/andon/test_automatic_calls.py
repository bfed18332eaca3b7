"""One trouble has one call: linked to its downtime, quiet while the line runs again, called again when it recurs."""

import pytest

from bridge.domain import event_data, plant
from bridge.domain.events import EventType
from bridge.domain.reports import StateReport
from tests.domain.line.andon.broken_machine import (
    FAULT,
    HOUR,
    RUNNING,
    act,
    call_ids,
    calls,
    ladder,
    press,
    running_line,
)
from tests.support.packing_line import RARE_OEE, PackingLine, plant_file

# The breakdown occurs again


@pytest.mark.parametrize("actions", [(), ("acknowledge",), ("acknowledge", "arrive")])
def test_a_breakdown_that_recurs_calls_the_people_again(actions: tuple[str, ...]) -> None:
    """Ten minutes of fault, three hours of running with the call unresolved, an hour of fault."""
    line = running_line()
    line.report("bagger", FAULT, at=100)
    for number, action in enumerate(actions):
        act(line, action, "L1.call.1", at=410 + number)
    line.report("bagger", RUNNING, at=700)
    again = 700 + 3 * HOUR
    line.report("bagger", FAULT, at=again)
    due = again + 300
    line.wait(due + 3_000)
    assert call_ids(line) == {"L1.call.1"}
    at, called = next((at, data) for at, data in calls(line) if data.repeat == 1)
    assert (at, called.status, called.escalation_level, called.downtime_id) == (due, "open", 0, "L1.down.2")
    assert (called.acknowledged_at, called.acknowledged_by, called.arrived_at) == (None, None, None)
    assert called.called_again_at is not None
    assert called.raised_at < called.called_again_at
    assert ladder(line, after=due - 1)[:3] == [
        (due, 0, None),
        (due + 300, 1, "ack_timeout"),
        (due + 600, 2, "ack_timeout"),
    ]


def test_the_response_to_a_breakdown_that_recurred_counts_from_then() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    line.report("bagger", RUNNING, at=700)
    line.report("bagger", FAULT, at=10_000)
    line.wait(10_301)
    act(line, "acknowledge", "L1.call.1", at=10_330)
    assert calls(line)[-1][1].response_seconds == 30


def test_those_who_were_recipients_once_stay_recipients_when_the_ladder_begins_again() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    line.report("bagger", RUNNING, at=1_100)  # level 2 was reached at 1,000
    line.report("bagger", FAULT, at=10_000)
    line.wait(10_301)
    last = [event.data for event in line.events if isinstance(event.data, event_data.Escalation)][-1]
    assert (last.level, last.previous_level, last.cause) == (0, 2, None)
    assert last.recipients == ["maintenance", "shift_manager", "engineer", "production_manager"]


def test_a_resolved_breakdown_that_recurs_is_a_new_call() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    line.wait(500)
    act(line, "resolve", "L1.call.1", at=600)
    line.report("bagger", RUNNING, at=700)
    line.report("bagger", FAULT, at=5_000)
    line.wait(6_000)
    assert call_ids(line) == {"L1.call.1", "L1.call.2"}


def test_another_machine_that_fails_is_another_breakdown() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    line.report("bagger", RUNNING, at=700)
    line.report("packer", FAULT, at=5_000)
    line.report("bagger", StateReport(state="idle", downstream_stop=True), at=5_001)
    line.wait(6_000)
    raised = [(event.place.equipment, event.subject) for event in line.events if event.type is EventType.ANDON_EVENT]
    assert dict.fromkeys(raised) == dict.fromkeys([("bagger", "L1.call.1"), ("packer", "L1.call.2")])


# Pause after the restart


@pytest.mark.parametrize("acknowledged", [False, True])
def test_a_call_is_quiet_after_the_restart_and_stays_open(*, acknowledged: bool) -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    line.wait(401)
    if acknowledged:
        act(line, "acknowledge", "L1.call.1", at=410)
    line.report("bagger", RUNNING, at=500)
    line.wait(4 * HOUR)
    steps = [event.data for event in line.events if isinstance(event.data, event_data.Escalation)]
    assert ladder(line, after=509) == [(510, 0, None)]
    assert (steps[-1].paused, steps[-1].deadline) == (True, None)
    assert steps[-1].status == ("acknowledged" if acknowledged else "active")
    assert calls(line)[-1][1].status == ("acknowledged" if acknowledged else "open")
    act(line, "resolve", "L1.call.1", at=4 * HOUR)
    assert calls(line)[-1][1].status == "resolved"


def test_a_restart_that_does_not_hold_pauses_nothing() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    line.report("bagger", RUNNING, at=500)
    line.report("bagger", FAULT, at=505)
    line.wait(720)
    assert ladder(line, after=401) == [(700, 1, "ack_timeout")]


def test_the_end_of_the_shift_is_no_restart() -> None:
    """The call's clock pauses over night, and continues in the morning with the same trouble."""
    line = PackingLine(plant_file(oee_period_seconds=RARE_OEE))
    end, morning = 12 * HOUR, 20 * HOUR
    line.report("bagger", RUNNING, at=end - 1_000)
    line.report(
        "bagger", FAULT, at=end - 400
    )  # called 100 s before the end, to be acknowledged 200 s into the next shift
    line.wait(morning + 1_000)
    assert [(at, data.repeat, data.downtime_id) for at, data in calls(line) if data.escalation_level == 0] == [
        (end - 100, 0, "L1.down.1")
    ]
    assert ladder(line, after=end)[0] == (morning + 200, 1, "ack_timeout")
    assert calls(line)[-1][1].downtime_id == "L1.down.2"
    assert not [event for event in line.events if isinstance(event.data, event_data.Escalation) and event.data.paused]


def test_a_critical_call_is_never_paused() -> None:
    reason = plant.DowntimeReason(code="FIRE", text="Fire", call_after_minutes=5, priority="critical")
    line = PackingLine(plant_file(oee_period_seconds=RARE_OEE).model_copy(update={"reasons": (reason,)}))
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", StateReport(state="fault", reason_code="FIRE"), at=100)
    line.report("bagger", RUNNING, at=405)
    line.wait(600)
    assert ladder(line, after=401) == [(520, 1, "ack_timeout")]


@pytest.mark.parametrize("acknowledged", [False, True])
def test_pressing_for_a_call_that_is_quiet_calls_the_people_again(*, acknowledged: bool) -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    line.wait(401)
    if acknowledged:
        act(line, "acknowledge", "L1.call.1", at=410)
    line.report("bagger", RUNNING, at=500)
    press(line, "bagger", "equipment", at=2_000)
    line.wait(2_400)
    assert calls(line)[-2][1].status == "open"
    assert ladder(line, after=1_999) == [(2_000, 0, None), (2_300, 1, "ack_timeout")]
