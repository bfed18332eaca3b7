"""The escalation ladder: a call's deadlines, what passing each does, and who is told. Pure arithmetic on a `Call`.

Source: DOMAIN, «Andon and escalation». Every deadline counts from `raised_at`, in scheduled time unless the call is
critical.

- While nobody acknowledged, level k is due at the acknowledge deadline plus k-1 steps (`ack_timeout`).
- While nobody resolved, the resolve deadline and every step after it raise the level by one from where it stands
  (`resolve_timeout`): a missed deadline is never silent while somebody is left to tell.
- A level is entered once and never left; at one instant a call rises by one level at most.
- Acknowledging stops the first of these rules and its reminder, nothing else.
- Level 0 is told too, when the call is raised: its update has no cause. Those told once stay among the recipients, or
  a responder would see the call vanish from `me` as soon as it rises.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bridge.core.event_data import AndonType, CallPriority, CallStatus, Escalation, EscalationCause, EscalationStatus
from bridge.core.events import Millis, maybe_rfc3339
from bridge.core.line.andon_call import Call
from bridge.core.plant import Plant, Rules, Rung
from bridge.core.shifts import ShiftPlan

MINUTE_MS: Final = 60_000
RESPONDERS: Final = "responders"
"""In a ladder, the roles that respond to the call's type."""

STATUS_OF: Final[Mapping[CallStatus, EscalationStatus]] = {
    "open": "active",
    "acknowledged": "acknowledged",
    "resolved": "resolved",
    "cancelled": "cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """One priority's deadlines in ms after the raise; a reminder is None where it would come before half of them.

    `plan` says which time counts; None: all of it.
    """

    acknowledge_ms: int
    resolve_ms: int
    step_ms: int
    acknowledge_reminder_ms: int | None
    resolve_reminder_ms: int | None
    levels: tuple[tuple[str, ...], ...]
    plan: ShiftPlan | None = None

    @classmethod
    def of(cls, rung: Rung, rules: Rules, *, plan: ShiftPlan | None) -> "Ladder":
        acknowledge = round(rung.acknowledge_minutes * MINUTE_MS)
        resolve = round(rung.resolve_minutes * MINUTE_MS)
        return cls(
            acknowledge_ms=acknowledge,
            resolve_ms=resolve,
            step_ms=max(1, round(rung.step_minutes * MINUTE_MS)),
            acknowledge_reminder_ms=_reminder(acknowledge, rules.reminder_before_acknowledge_seconds),
            resolve_reminder_ms=_reminder(resolve, rules.reminder_before_resolve_seconds),
            levels=rung.recipients,
            plan=plan,
        )

    @property
    def top(self) -> int:
        return len(self.levels) - 1


def ladders_of(plant: Plant, rules: Rules) -> dict[CallPriority, Ladder]:
    """Return the ladder of each priority; a critical call waits for no shift to begin."""
    plan = plant.shift_plan
    return {
        priority: Ladder.of(rung, rules, plan=None if priority == "critical" else plan)
        for priority, rung in plant.ladder.items()
    }


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes due, and when: the level rises by one, or (a reminder) stays."""

    at: Millis
    cause: EscalationCause


def deadline(call: Call, within_ms: int, ladder: Ladder) -> Millis:
    """Return the instant that lies `within_ms` after the raise; the one place that knows which time counts."""
    if ladder.plan is None:
        return call.raised_at + within_ms
    return ladder.plan.scheduled_after(call.raised_at, within_ms)


def next_step(call: Call, ladder: Ladder) -> Step | None:
    """Return what the call's clock does next; at one instant a rise makes a reminder needless."""
    return min(_steps(call, ladder), key=lambda step: step.at, default=None)


def rises(cause: EscalationCause) -> bool:
    return cause != "reminder"


def escalation_data(
    call: Call,
    ladder: Ladder,
    responders: Mapping[AndonType, tuple[str, ...]],
    *,
    escalation_id: str,
    previous_level: int,
    cause: EscalationCause | None,
    at: Millis,
) -> Escalation:
    """Return the call's escalation as an escalation_update tells it at an instant."""
    due = None if STATUS_OF[call.status] in {"resolved", "cancelled"} else next_limit(call, ladder, at=at)
    return Escalation(
        escalation_id=escalation_id,
        call_id=call.call_id,
        andon_type=call.andon_type,
        level=call.level,
        previous_level=previous_level,
        status=STATUS_OF[call.status],
        cause=cause,
        recipients=list(recipients(call, ladder, responders)),
        deadline=maybe_rfc3339(due),
        minutes_remaining=None if due is None else (due - at) / MINUTE_MS,
    )


def next_limit(call: Call, ladder: Ladder, *, at: Millis) -> Millis | None:
    """Return the first deadline after an instant that the call can still miss; None when none is left."""
    limits = [step.at for step in _rises(call, ladder)]
    limits.append(deadline(call, ladder.resolve_ms, ladder))
    if call.acknowledged_at is None:
        limits.append(deadline(call, ladder.acknowledge_ms, ladder))
    return min((limit for limit in limits if limit > at), default=None)


def recipients(call: Call, ladder: Ladder, responders: Mapping[AndonType, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the roles told so far: those of the call's level first, then of the levels below."""
    return _roles(call.andon_type, reversed(ladder.levels[: call.level + 1]), responders)


def may_acknowledge(call: Call, ladder: Ladder, responders: Mapping[AndonType, tuple[str, ...]]) -> frozenset[str]:
    """Return the roles that a call is for: its responders, whoever any level tells, and admin."""
    return frozenset((*_roles(call.andon_type, ((RESPONDERS,), *ladder.levels), responders), "admin"))


def _reminder(limit_ms: int, before_seconds: float) -> int | None:
    at = limit_ms - round(before_seconds * 1000)
    return at if 2 * at >= limit_ms else None


def _steps(call: Call, ladder: Ladder) -> Iterator[Step]:
    """Yield what is ahead; where two fall on one instant, the one to take comes first."""
    yield from _rises(call, ladder)
    reminders = [ladder.resolve_reminder_ms]
    if call.acknowledged_at is None:
        reminders.append(ladder.acknowledge_reminder_ms)
    for within_ms in reminders:
        if within_ms is not None and (at := deadline(call, within_ms, ladder)) > call.passed:
            yield Step(at, "reminder")


def _rises(call: Call, ladder: Ladder) -> Iterator[Step]:
    if call.level >= ladder.top:
        return
    if call.acknowledged_at is None:
        yield Step(deadline(call, ladder.acknowledge_ms + call.level * ladder.step_ms, ladder), "ack_timeout")
    # Below the top fewer than `top` of these have passed, for each that passed raised the level.
    for step in range(ladder.top + 1):
        at = deadline(call, ladder.resolve_ms + step * ladder.step_ms, ladder)
        if at > call.passed:
            yield Step(at, "resolve_timeout")
            return


def _roles(
    andon_type: AndonType,
    levels: Iterator[tuple[str, ...]] | tuple[tuple[str, ...], ...],
    responders: Mapping[AndonType, tuple[str, ...]],
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for level in levels:
        for role in level:
            found.update(dict.fromkeys(responders[andon_type] if role == RESPONDERS else (role,)))
    return tuple(found)
