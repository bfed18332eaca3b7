"""Calls of people and automatic calls for the same breakdown."""

import pytest

from bridge.domain import event_data
from bridge.domain.event_data import AndonType
from bridge.domain.reports import AndonReport, DowntimeReport, StateReport
from tests.domain.line.andon.broken_machine import FAULT, RUNNING, act, call_ids, calls, ladder, press, running_line
from tests.support.packing_line import seconds


@pytest.mark.parametrize("andon_type", ["equipment", "maintenance", "stop"])
@pytest.mark.parametrize("equipment_id", ["desk", None, "bagger"])
def test_a_call_that_a_person_raised_since_is_linked_and_no_second_one_raised(
    equipment_id: str | None, andon_type: AndonType
) -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, equipment_id, andon_type, at=160)
    act(line, "acknowledge", "L1.call.1", at=200)
    act(line, "arrive", "L1.call.1", at=230)
    line.wait(800)
    assert call_ids(line) == {"L1.call.1"}
    at, last = calls(line)[-1]
    assert (at, last.status, last.downtime_id, last.auto_generated) == (400, "acknowledged", "L1.down.1", False)
    assert not [level for _, level, _ in ladder(line) if level]


@pytest.mark.parametrize(("seconds_later", "culprits"), [(1, "L1.call.2"), (0, "L1.call.1")])
def test_of_two_calls_from_stations_the_latest_is_linked_and_of_one_instant_the_first(
    seconds_later: int, culprits: str
) -> None:
    """Two machines fail at once; somebody resolves at the panel of the culprit, and the other's call stays open."""
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, None, "equipment", at=110)
    press(line, "desk", "equipment", at=110 + seconds_later)
    line.wait(600)
    line.report("bagger", AndonReport(action="resolve", andon_type="equipment", seq=700), at=700)
    last = {data.call_id: data.status for _, data in calls(line)}
    assert {call_id for call_id, status in last.items() if status == "resolved"} == {culprits}
    assert len(last) == 2


@pytest.mark.parametrize("andon_type", ["quality", "material", "process", "safety"])
def test_a_call_of_another_kind_is_about_something_else(andon_type: AndonType) -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, "desk", andon_type, at=160)
    line.wait(800)
    assert call_ids(line) == {"L1.call.1", "L1.call.2"}


def test_a_call_from_another_machine_is_about_that_machine() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, "feeder", "equipment", at=160)
    line.wait(800)
    assert call_ids(line) == {"L1.call.1", "L1.call.2"}


def test_a_call_from_the_machine_that_stopped_is_about_the_machine_that_stopped_it() -> None:
    line = running_line()
    line.report("feeder", FAULT, at=99)
    line.report("bagger", StateReport(state="idle", upstream_stop=True), at=100)
    press(line, "bagger", "maintenance", at=160)
    line.wait(800)
    assert call_ids(line) == {"L1.call.1"}
    assert calls(line)[-1][1].downtime_id == "L1.down.1"


@pytest.mark.parametrize(
    ("equipment_id", "andon_type"), [("desk", "stop"), ("desk", "maintenance"), (None, "equipment")]
)
@pytest.mark.parametrize("actions", [(), ("acknowledge",), ("acknowledge", "arrive")])
def test_a_person_takes_over_the_automatic_call(
    equipment_id: str | None, andon_type: AndonType, actions: tuple[str, ...]
) -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    for number, action in enumerate(actions):
        act(line, action, "L1.call.1", at=410 + number)
    press(line, equipment_id, andon_type, at=450)
    (_, mine), (_, automatic) = calls(line)[-2:]
    assert (mine.call_id, mine.downtime_id, mine.auto_generated) == ("L1.call.2", "L1.down.1", False)
    assert mine.status == ("acknowledged" if actions else "open")
    assert (mine.acknowledged_at is not None, mine.arrived_at is not None) == (bool(actions), len(actions) == 2)
    assert (automatic.call_id, automatic.status, automatic.resolution_notes) == (
        "L1.call.1",
        "cancelled",
        "taken over by L1.call.2",
    )
    assert mine.priority in ("high", "critical")  # never below the call it takes over
    line.wait(720)
    rises = [level for at, level, _ in ladder(line, after=451) if level]
    assert bool(rises) == (not actions)


def test_a_call_that_is_taken_over_keeps_its_level_and_its_deadlines() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, "desk", "maintenance", at=900)  # at level 1 since 700
    line.wait(1_001)
    mine = [entry for entry in ladder(line, after=899) if entry[0] != 900]
    assert mine == [(1_000, 2, "ack_timeout")]
    assert [data.escalation_level for at, data in calls(line) if (at, data.call_id) == (900, "L1.call.2")] == [1]


@pytest.mark.parametrize(
    ("pressed_at", "actions", "steps"),
    [
        (530, (), [(530, 0, None), (530, 1, "ack_timeout"), (640, 2, "ack_timeout")]),
        (645, (), [(645, 0, None), (645, 1, "ack_timeout"), (645, 2, "ack_timeout"), (760, 2, "reminder")]),
        (900, (), [(900, 1, "ack_timeout"), (900, 2, "ack_timeout"), (1_300, 2, "reminder")]),
        (1_500, ("acknowledge",), [(1_500, 0, None), (1_500, 1, "resolve_timeout"), (1_540, 2, "resolve_timeout")]),
    ],
)
def test_a_deadline_overdue_by_a_higher_priority_falls_due_at_the_takeover(
    pressed_at: float, actions: tuple[str, ...], steps: list[tuple[float, int, str | None]]
) -> None:
    """Called automatically at 400 as high; the person's call is critical, and nothing of it is before its raise."""
    line = running_line()
    line.report("bagger", FAULT, at=100)
    for action in actions:
        act(line, action, "L1.call.1", at=410)
    press(line, "desk", "stop", at=pressed_at)
    line.wait(2_000)
    mine = [
        (seconds(event.timestamp), event.data.level, event.data.cause)
        for event in line.events
        if isinstance(event.data, event_data.Escalation) and event.data.call_id == "L1.call.2"
    ]
    assert mine[: len(steps)] == steps
    moments = [event.timestamp for event in line.events]
    assert moments == sorted(moments)


def test_a_reminder_that_is_overdue_at_the_takeover_comes_then() -> None:
    line = running_line(reminder_before_resolve_seconds=60)
    line.report("bagger", FAULT, at=100)
    act(line, "acknowledge", "L1.call.1", at=410)
    press(line, "desk", "stop", at=1_270)
    line.wait(1_301)
    mine = [(at, level, cause) for at, level, cause in ladder(line, after=1_269) if cause]
    assert mine == [(1_270, 0, "reminder"), (1_300, 1, "resolve_timeout")]


def test_a_call_from_before_the_breakdown_is_called_again_by_it() -> None:
    """Somebody has come because of a noise; an hour later the machine breaks down."""
    line = running_line()
    press(line, "bagger", "maintenance", at=10)
    act(line, "acknowledge", "L1.call.1", at=50)
    line.report("bagger", FAULT, at=1_000)
    line.wait(1_301)
    assert call_ids(line) == {"L1.call.1"}
    at, last = calls(line)[-1]
    assert (at, last.status, last.repeat, last.downtime_id) == (1_300, "open", 1, "L1.down.1")


def test_people_who_came_since_the_breakdown_are_not_called_away() -> None:
    """They have acknowledged the call that was open from before: it is linked, and stays theirs."""
    line = running_line()
    press(line, "bagger", "equipment", at=10)
    line.report("bagger", FAULT, at=200)
    act(line, "acknowledge", "L1.call.1", at=250)
    line.wait(501)
    at, last = calls(line)[-1]
    assert (at, last.status, last.downtime_id, last.acknowledged_at is not None) == (
        500,
        "acknowledged",
        "L1.down.1",
        True,
    )
    assert last.response_seconds == 240


def test_a_classified_downtime_links_by_the_type_of_its_reason() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, "desk", "material", at=150)
    line.wait(200)
    line.report(None, DowntimeReport(action="classify", downtime_id="L1.down.1", reason_code="MAT_JAM"), at=250)
    line.wait(2_000)
    assert call_ids(line) == {"L1.call.1"}
    assert "L1.down.1" in {data.downtime_id for _, data in calls(line)}


@pytest.mark.parametrize("equipment_id", ["desk", None, "bagger"])
@pytest.mark.parametrize("andon_type", ["equipment", "maintenance", "stop"])
@pytest.mark.parametrize("pressed_at", [160, 450])
@pytest.mark.parametrize("acknowledged", [True, False])
@pytest.mark.parametrize("restarts", [True, False])
def test_a_persons_call_is_called_again_when_its_breakdown_recurs(
    equipment_id: str | None, andon_type: AndonType, pressed_at: float, *, acknowledged: bool, restarts: bool
) -> None:
    """Pressed before or after the automatic call was due; the machine runs for half an hour, and fails again."""
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, equipment_id, andon_type, at=pressed_at)
    (_, mine) = next(call for call in calls(line) if call[0] == pressed_at and call[1].status != "cancelled")
    if acknowledged:
        act(line, "acknowledge", mine.call_id, at=pressed_at + 10)
    line.report("bagger", RUNNING, at=600)
    line.wait(2_000)
    if restarts:
        line.restart()
    ids_before = call_ids(line)
    line.report("bagger", FAULT, at=2_400)
    line.wait(2_700)
    assert call_ids(line) == ids_before, "no second call"
    at, last = calls(line)[-1]
    assert (at, last.call_id, last.downtime_id, last.status) == (2_700, mine.call_id, "L1.down.2", "open")
    assert ladder(line, after=2_699) == [(2_700, 0, None)], "people are called, from the first level on"


@pytest.mark.parametrize("equipment_id", ["desk", None])
def test_a_persons_call_is_not_called_again_by_another_machine(equipment_id: str | None) -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, equipment_id, "equipment", at=160)
    line.report("bagger", RUNNING, at=600)
    line.wait(2_000)
    line.report("feeder", FAULT, at=2_000)
    line.report("bagger", StateReport(state="idle", upstream_stop=True), at=2_001)
    line.wait(2_400)
    assert call_ids(line) == {"L1.call.1", "L1.call.2"}
    assert calls(line)[-1][1].downtime_id == "L1.down.2"


@pytest.mark.parametrize("andon_type", ["equipment", "maintenance", "stop"])
@pytest.mark.parametrize("linked", [True, False])
def test_a_call_past_its_last_reminder_is_called_again(andon_type: AndonType, *, linked: bool) -> None:
    """Nobody answered until its last reminder: the breakdown hours later must notify its recipients again."""
    line = running_line()
    if linked:
        line.report("bagger", FAULT, at=0)
    press(line, "bagger", andon_type, at=10)
    line.wait(6_000)
    line.report("bagger", RUNNING, at=6_000)
    line.wait(7_000)
    line.report("bagger", FAULT, at=7_000)
    line.wait(7_300)
    assert call_ids(line) == {"L1.call.1"}
    at, last = calls(line)[-1]
    assert (at, last.downtime_id, last.status) == (7_300, f"L1.down.{1 + linked}", "open")
    assert ladder(line, after=7_299) == [(7_300, 0, None)]
