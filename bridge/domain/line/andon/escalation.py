"""Escalation ladder: a call's deadlines, the effect of missing one, and its recipients. Pure functions of the call.

Source: domain.md, «Andon and escalation». Deadlines count from the raise, or from when the trouble came back; in
scheduled time unless the call is critical. A paused call has none.

- Until the call is acknowledged, level k is due at the acknowledge deadline plus k-1 steps (`ack_timeout`).
- Until it is resolved, the resolve deadline and every step after it raise the level by one (`resolve_timeout`).
- At the top level a missed deadline is a reminder: nobody is left to add, but it must not pass silently. At most
  `top_level` + 1 reminders follow the acknowledge deadline, and as many the resolve deadline.
- A level is entered once until the trouble comes back; at one instant a call rises by one level at most.
- After a takeover or a change of the plant file, each level whose acknowledge deadline has passed is due at once.
- Acknowledging stops the acknowledge deadlines and their reminders, nothing else.
- Level 0 has an update too, when the call is raised; it has no cause. Past recipients stay recipients; otherwise a
  responder would see the call vanish from `me` as soon as it rises.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bridge.domain.escalation_policy import EscalationPolicy
from bridge.domain.event_data import AndonType, CallPriority, CallStatus, Escalation, EscalationCause, EscalationStatus
from bridge.domain.line.andon.call import AndonCall
from bridge.domain.plant import Plant, Rules
from bridge.domain.shifts import ShiftPlan
from bridge.domain.utc_time import Millis, rfc3339_or_none

MINUTE_MS: Final = 60_000
RESPONDERS: Final = "responders"
"""Placeholder in a ladder for the roles that respond to the call's type."""

STATUS_OF: Final[Mapping[CallStatus, EscalationStatus]] = {
    "open": "active",
    "acknowledged": "acknowledged",
    "resolved": "resolved",
    "cancelled": "cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationLadder:
    """One priority's deadlines in ms after the raise; a reminder that would come before half of its limit is None.

    `plan` defines which time counts; None: all of it.
    """

    acknowledge_ms: int
    resolve_ms: int
    step_ms: int
    acknowledge_reminder_ms: int | None
    resolve_reminder_ms: int | None
    levels: tuple[tuple[str, ...], ...]
    plan: ShiftPlan | None = None

    @classmethod
    def from_policy(cls, policy: EscalationPolicy, rules: Rules, *, plan: ShiftPlan | None) -> "EscalationLadder":
        acknowledge = round(policy.acknowledge_minutes * MINUTE_MS)
        resolve = round(policy.resolve_minutes * MINUTE_MS)
        return cls(
            acknowledge_ms=acknowledge,
            resolve_ms=resolve,
            step_ms=max(1, round(policy.step_minutes * MINUTE_MS)),
            acknowledge_reminder_ms=_reminder(acknowledge, rules.reminder_before_acknowledge_seconds),
            resolve_reminder_ms=_reminder(resolve, rules.reminder_before_resolve_seconds),
            levels=policy.recipients,
            plan=plan,
        )

    @property
    def top_level(self) -> int:
        return len(self.levels) - 1


def build_ladders(plant: Plant, rules: Rules) -> dict[CallPriority, EscalationLadder]:
    """Return the ladder of each priority; for critical calls, all time counts."""
    plan = plant.shift_plan
    return {
        priority: EscalationLadder.from_policy(policy, rules, plan=None if priority == "critical" else plan)
        for priority, policy in plant.ladder.items()
    }


@dataclass(frozen=True, slots=True)
class EscalationStep:
    """The next due step: the level rises by one or, for a reminder, stays."""

    at: Millis
    cause: EscalationCause


def deadline(call: AndonCall, within_ms: int, ladder: EscalationLadder) -> Millis:
    """Return the instant `within_ms` after the ladder's start; the only place that applies the shift plan."""
    if ladder.plan is None:
        return call.counted_from + within_ms
    return ladder.plan.scheduled_after(call.counted_from, within_ms)


def next_step(call: AndonCall, ladder: EscalationLadder, *, now: Millis = 0) -> EscalationStep | None:
    """Return the next step; a rise replaces a reminder that is due at the same instant, or also overdue at `now`."""
    if call.paused:
        return None
    return min(_steps(call, ladder), key=lambda step: max(step.at, now), default=None)


def is_level_rise(cause: EscalationCause) -> bool:
    return cause != "reminder"


def escalation_data(
    call: AndonCall,
    ladder: EscalationLadder,
    responders: Mapping[AndonType, tuple[str, ...]],
    *,
    escalation_id: str,
    previous_level: int,
    cause: EscalationCause | None,
    at: Millis,
) -> Escalation:
    """Return the data of the call's escalation_update at an instant."""
    ended = call.paused or STATUS_OF[call.status] in {"resolved", "cancelled"}
    due = None if ended else next_call_deadline(call, ladder, at=at)
    return Escalation(
        escalation_id=escalation_id,
        call_id=call.call_id,
        andon_type=call.andon_type,
        level=call.level,
        previous_level=previous_level,
        status=STATUS_OF[call.status],
        cause=cause,
        recipients=list(recipients(call, ladder, responders)),
        deadline=rfc3339_or_none(due),
        minutes_remaining=None if due is None else (due - at) / MINUTE_MS,
        paused=call.paused,
    )


def next_call_deadline(call: AndonCall, ladder: EscalationLadder, *, at: Millis) -> Millis | None:
    """Return the first deadline after `at` that the call can still miss; None if none is left."""
    limits = [step.at for step in _upcoming_deadlines(call, ladder)]
    limits.append(deadline(call, ladder.resolve_ms, ladder))
    if call.acknowledged_at is None:
        limits.append(deadline(call, ladder.acknowledge_ms, ladder))
    return min((limit for limit in limits if limit > at), default=None)


def recipients(
    call: AndonCall, ladder: EscalationLadder, responders: Mapping[AndonType, tuple[str, ...]]
) -> tuple[str, ...]:
    """Return the roles of the call's level, then of the levels below, then of higher levels it had before."""
    below, earlier = ladder.levels[: call.level + 1], ladder.levels[call.level + 1 : call.highest_level + 1]
    return _roles(call.andon_type, (*reversed(below), *earlier), responders)


def acknowledging_roles(
    call: AndonCall, ladder: EscalationLadder, responders: Mapping[AndonType, tuple[str, ...]]
) -> frozenset[str]:
    """Return the roles that a call is for: its responders, the roles of every level, and admin."""
    return frozenset((*_roles(call.andon_type, ((RESPONDERS,), *ladder.levels), responders), "admin"))


def _reminder(limit_ms: int, before_seconds: float) -> int | None:
    at = limit_ms - round(before_seconds * 1000)
    return at if 2 * at >= limit_ms else None


def _steps(call: AndonCall, ladder: EscalationLadder) -> Iterator[EscalationStep]:
    """Yield the upcoming steps; of two at one instant, the one to take comes first."""
    yield from _upcoming_deadlines(call, ladder)
    reminders = [ladder.resolve_reminder_ms]
    if call.acknowledged_at is None:
        reminders.append(ladder.acknowledge_reminder_ms)
    for within_ms in reminders:
        if within_ms is not None and (at := deadline(call, within_ms, ladder)) > call.handled_until:
            yield EscalationStep(at, "reminder")


def _upcoming_deadlines(call: AndonCall, ladder: EscalationLadder) -> Iterator[EscalationStep]:
    """Yield the next deadline of each kind that the call can miss."""
    is_at_top = call.level >= ladder.top_level
    if call.acknowledged_at is None:
        if not is_at_top:
            yield EscalationStep(
                deadline(call, ladder.acknowledge_ms + call.level * ladder.step_ms, ladder), "ack_timeout"
            )
        elif (at := _first_open_deadline(call, ladder.acknowledge_ms, ladder)) is not None:
            yield EscalationStep(at, "reminder")
    # Below the top fewer than `top_level` of these have passed, because each one raised the level.
    if (at := _first_open_deadline(call, ladder.resolve_ms, ladder)) is not None:
        yield EscalationStep(at, "reminder" if is_at_top else "resolve_timeout")


def _first_open_deadline(call: AndonCall, within_ms: int, ladder: EscalationLadder) -> Millis | None:
    """Return the first of a deadline and the steps after it that has not passed; None after one per level."""
    steps = (deadline(call, within_ms + step * ladder.step_ms, ladder) for step in range(ladder.top_level + 1))
    return next((at for at in steps if at > call.handled_until), None)


def _roles(
    andon_type: AndonType,
    levels: tuple[tuple[str, ...], ...],
    responders: Mapping[AndonType, tuple[str, ...]],
) -> tuple[str, ...]:
    roles: dict[str, None] = {}
    for level in levels:
        for role in level:
            roles.update(dict.fromkeys(responders[andon_type] if role == RESPONDERS else (role,)))
    return tuple(roles)
