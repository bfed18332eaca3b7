"""The ladder held against an oracle that walks domain.md table minute by minute, and its edges one by one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.escalation_policy import EscalationPolicy
from bridge.domain.event_data import Andon, CallPriority, Escalation
from bridge.domain.events import Standing
from bridge.domain.reports import APPLIED, AndonReport, Moment, suppressed
from tests.domain.line.andon.escalation_line import (
    RECIPIENTS,
    START,
    TABLE,
    ActionName,
    ActionPlan,
    EscalationLine,
    LadderRow,
    at_minute,
    oracle,
    plant_with,
    play,
    plots,
)


@given(st.sampled_from(sorted(TABLE)), plots())
def test_the_ladder_is_the_tables(priority: CallPriority, plot: ActionPlan) -> None:
    line = EscalationLine()
    play(line, priority, plot)
    assert line.rungs() == oracle(TABLE[priority], plot)


@given(st.tuples(st.integers(1, 25), st.integers(1, 70), st.integers(1, 20), st.integers(1, 5)), plots())
def test_any_ladder_is_its_tables(row: LadderRow, plot: ActionPlan) -> None:
    acknowledge, resolve, step, top = row
    rung = EscalationPolicy(
        acknowledge_minutes=acknowledge,
        resolve_minutes=resolve,
        step_minutes=step,
        recipients=(("responders",), *((f"level{number}",) for number in range(1, top + 1))),
    )
    line = EscalationLine(plant_with({"high": rung}))
    play(line, "high", plot)
    assert line.rungs() == oracle(row, plot)


@given(st.sampled_from(sorted(TABLE)), plots(), st.integers(0, 90))
def test_late_firing_and_restarts_change_nothing(priority: CallPriority, plot: ActionPlan, restore_at: int) -> None:
    punctual, late, restarted = EscalationLine(), EscalationLine(), EscalationLine()
    play(punctual, priority, plot)
    play(late, priority, plot, lazy=True)
    play(restarted, priority, plot, restore_at=restore_at)
    assert late.events == punctual.events
    assert restarted.events == punctual.events


@given(st.sampled_from(sorted(TABLE)), plots())
def test_levels_rise_by_one_once_each_and_the_call_follows(priority: CallPriority, plot: ActionPlan) -> None:
    line = EscalationLine()
    play(line, priority, plot)
    data = [escalation for _, escalation in line.escalations()]
    rises = [step for step in data if step.level != step.previous_level]
    assert [rise.level for rise in rises] == list(range(1, len(rises) + 1))
    assert all(later.level in {earlier.level, earlier.level + 1} for earlier, later in pairwise(data))
    calls = [event.data.escalation_level for event in line.events if isinstance(event.data, Andon)]
    assert calls == sorted(calls)
    assert calls[-1] == data[-1].level


@pytest.mark.parametrize("priority", sorted(TABLE))
def test_an_ignored_call_climbs_to_the_top_and_reaches_everybody(priority: CallPriority) -> None:
    acknowledge, _, step, _ = TABLE[priority]
    line = EscalationLine()
    play(line, priority, ())
    rises = [(minute, data) for minute, data in line.escalations() if data.cause == "ack_timeout"]
    assert [minute for minute, _ in rises] == [acknowledge, acknowledge + step]
    responders, first, second = RECIPIENTS[priority]
    assert [set(data.recipients) for _, data in rises] == [responders | first, responders | first | second]
    assert [set(data.recipients[: len(new)]) for (_, data), new in zip(rises, (first, second), strict=True)] == [
        first,
        second,
    ]


def test_an_acknowledged_call_that_is_not_solved_climbs_from_the_resolve_deadline() -> None:
    line = EscalationLine()
    play(line, "high", ((1, "acknowledge"),))
    assert line.rungs() == [
        (20, 0, "reminder"),
        (30, 1, "resolve_timeout"),
        (35, 2, "resolve_timeout"),
        (40, 2, "reminder"),
    ]


@pytest.mark.parametrize("priority", sorted(TABLE))
def test_a_deadline_missed_at_the_top_is_a_reminder_and_never_silent(priority: CallPriority) -> None:
    """With nobody left to add: at the resolve deadline and at each step after it, as often as there are levels."""
    acknowledge, resolve, step, top = TABLE[priority]
    line = EscalationLine()
    play(line, priority, ((1, "escalate"), (1, "escalate")))
    due = {acknowledge, acknowledge + step, acknowledge + 2 * step, resolve, resolve + step, resolve + 2 * step}
    assert due <= {minute for minute, level, cause in line.rungs() if (level, cause) == (top, "reminder")}
    line = EscalationLine()
    play(line, priority, ((1, "escalate"), (1, "escalate"), (1, "acknowledge")))
    late = [(minute, level, cause) for minute, level, cause in line.rungs() if minute >= resolve]
    assert late == [(resolve + number * step, top, "reminder") for number in range(3)]
    last = line.escalations()[-1][1]
    assert (last.deadline, last.status) == (None, "acknowledged")


def test_a_call_acknowledged_at_level_1_continues_from_there() -> None:
    line = EscalationLine()
    play(line, "high", ((5, "acknowledge"),))
    assert (30, 2, "resolve_timeout") in line.rungs()


def test_each_step_reports_the_next_deadline() -> None:
    line = EscalationLine()
    play(line, "medium", ((12, "acknowledge"),))
    reported = [(minute, data.minutes_remaining, data.status) for minute, data in line.escalations()]
    assert reported == [
        (0, 10, "active"),
        (5, 5, "active"),  # reminder
        (10, 10, "active"),  # level 1; the next step is at 20
        (12.5, 32.5, "acknowledged"),  # now 45 is next
        (35, 10, "acknowledged"),  # reminder
        (45, 10, "acknowledged"),  # the top
        (55, 10, "acknowledged"),  # reminders: no recipient is left to add
        (65, None, "acknowledged"),  # nothing more to miss
    ]


def test_acknowledging_stops_the_reminder_of_the_acknowledge_deadline() -> None:
    line = EscalationLine()
    play(line, "low", ((1, "acknowledge"),))
    assert line.rungs() == [
        (50, 0, "reminder"),
        (60, 1, "resolve_timeout"),
        (75, 2, "resolve_timeout"),
        (90, 2, "reminder"),
    ]


@pytest.mark.parametrize(
    ("actions", "remaining"),
    [
        (("escalate",), 8.5),  # level 1 is reported already, yet the call is to be acknowledged by 10
        (("acknowledge",), 43.5),  # the acknowledge deadline is none any more
        (("escalate", "escalate"), 8.5),
        (("escalate", "escalate", "acknowledge"), 43.5),  # at the top there is no rung left, but a deadline
    ],
)
def test_the_deadline_reported_is_the_next_that_can_be_missed(
    actions: tuple[ActionName, ...], remaining: float
) -> None:
    line = EscalationLine()
    line.act("raise", priority="medium")
    for action in actions:
        line.act(action, minute=1.5)
    assert line.escalations()[-1][1].minutes_remaining == remaining


def test_closing_the_call_closes_its_escalation_and_stops_its_clock() -> None:
    for action, status in (("resolve", "resolved"), ("cancel", "cancelled")):
        line = EscalationLine()
        line.act("raise")
        line.run_to(5)
        line.act("resolve" if action == "resolve" else "cancel", minute=6)
        last = line.events[-1]
        assert isinstance(last.data, Escalation)
        assert (last.data.status, last.data.level, last.data.deadline) == (status, 1, None)
        assert last.standing is Standing.CLOSED
        assert set(last.data.recipients) == RECIPIENTS["high"][0] | RECIPIENTS["high"][1]
        assert line.registry.next_deadline() is None


def test_a_manual_escalation_rises_by_one_and_ends_at_the_top() -> None:
    line = EscalationLine()
    line.act("raise")
    assert line.act("escalate", minute=1) == APPLIED
    assert line.act("escalate", minute=2) == APPLIED
    assert line.act("escalate", minute=3) == suppressed("top_level")
    assert [(data.level, data.previous_level, data.cause) for _, data in line.escalations()] == [
        (0, 0, None),
        (1, 0, "manual"),
        (2, 1, "manual"),
    ]


def test_a_level_reached_by_hand_is_not_reported_again_at_its_deadline() -> None:
    line = EscalationLine()
    play(line, "high", ((1, "escalate"),))
    assert line.rungs()[0] == (10, 2, "ack_timeout")


def test_a_deadline_that_passed_below_the_top_is_not_reminded_of_at_the_top() -> None:
    line = EscalationLine()
    play(line, "high", ((1, "escalate"), (6, "escalate")))  # the deadline at 5 would have raised to level 1
    assert line.rungs()[0] == (10, 2, "reminder")


def test_arriving_stops_no_deadline() -> None:
    line = EscalationLine()
    line.act("raise")
    line.act("arrive", minute=1)
    line.run_to(5)
    assert line.rungs() == [(5, 1, "ack_timeout")]


def test_firing_before_a_deadline_does_nothing() -> None:
    line = EscalationLine()
    line.act("raise")
    reported = len(line.events)
    line.registry.fire(Moment(at=at_minute(5) - 1))
    assert line.emitter.drain() == ()
    assert len(line.events) == reported
    assert line.registry.next_deadline() == at_minute(5)


def test_calls_due_at_one_instant_fire_in_the_order_they_were_raised() -> None:
    line = EscalationLine()
    for equipment in (None, "BAG1"):
        body = AndonReport(action="raise", andon_type="equipment")
        line.calls.apply(body, equipment=equipment, moment=Moment(at=START))
    line.restore()
    line.registry.fire(Moment(at=at_minute(5)))
    subjects = [event.subject for event in line.emitter.drain()]
    assert subjects == ["L1.call.1", "L1.esc.1", "L1.call.2", "L1.esc.2"]
