"""Matching of a downtime's automatic call to the open Andon calls of the line.

Source: domain.md, «Andon and escalation»: one trouble has one call. A call of the family {equipment, maintenance, stop}
that was raised since the downtime began is about it. A call for the same machine that is still open from before,
wherever it was raised, is about a trouble that came back.
"""

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from bridge.domain.event_data import AndonType, CallPriority
from bridge.domain.line.andon.call import AndonCall
from bridge.domain.utc_time import Millis

STANDSTILL_TYPES: Final[frozenset[AndonType]] = frozenset({"equipment", "maintenance", "stop"})
"""Types that people use interchangeably for a stopped machine."""


class CallRequest(Struct, frozen=True, kw_only=True):
    """An automatic Andon call that is due."""

    equipment: str | None
    stopped: str | None  # the machine that decides the line's status
    andon_type: AndonType
    priority: CallPriority
    description: str
    downtime_id: str
    since: Millis  # the beginning of the downtime


class CallRelation(Enum):
    """The relation of an open call to a trouble."""

    LINKED = auto()  # already linked to it
    SAME_TROUBLE = auto()  # about it, not linked yet
    ANSWERED = auto()  # of the same machine, from before; answered since this downtime began
    OTHER_MACHINE = auto()  # of this downtime, but for another machine
    RECURRENCE = auto()  # of the same machine, from before; not answered since


def is_same_family(one: AndonType, other: AndonType) -> bool:
    return one == other or {one, other} <= STANDSTILL_TYPES


def find_related_call(
    calls: Iterable[AndonCall], request: CallRequest, *, is_escalating: Callable[[AndonCall], bool]
) -> tuple[CallRelation, AndonCall] | None:
    """Return the open call with the closest relation to this trouble; None if the trouble is new."""
    related = [
        (relation, call)
        for call in calls
        if not call.summary and (relation := _relation(call, request, is_escalating)) is not None
    ]
    return min(related, key=_closeness, default=None)


def _closeness(related: tuple[CallRelation, AndonCall]) -> tuple[int, Millis, int]:
    """Return a sort key: relation, then the latest raise, then the lowest number."""
    relation, call = related
    return relation.value, -call.raised_at, call.number


def _relation(call: AndonCall, request: CallRequest, is_escalating: Callable[[AndonCall], bool]) -> CallRelation | None:
    if not is_same_family(call.andon_type, request.andon_type):
        return None
    if call.downtime_id == request.downtime_id:
        return CallRelation.LINKED if call.culprit in (None, request.equipment) else CallRelation.OTHER_MACHINE
    if (
        call.downtime_id is None
        and call.raised_at >= request.since
        and is_near(call, request.equipment, request.stopped)
    ):
        return CallRelation.SAME_TROUBLE
    if call.equipment != request.equipment and not (call.culprit is not None and call.culprit == request.equipment):
        return None
    if call.status == "open" and is_escalating(call):
        return CallRelation.SAME_TROUBLE  # its ladder is running: people are already being called
    return CallRelation.ANSWERED if call.answered_at >= request.since else CallRelation.RECURRENCE


def find_automatic_call(
    calls: Iterable[AndonCall], *, equipment: str | None, from_station: bool, andon_type: AndonType
) -> AndonCall | None:
    """Return the automatic call that a person's call takes over: of the same family, for the downtime that lasts.

    Of several, it is that of the machine itself, else the latest.
    """
    matches = [
        call
        for call in calls
        if call.auto_generated
        and not call.line_ran_since
        and not call.summary
        and (from_station or equipment in (None, call.equipment, call.stopped))
        and is_same_family(call.andon_type, andon_type)
    ]
    return max(matches, key=lambda call: (call.equipment == equipment, call.number), default=None)


def find_linked_call(calls: Iterable[AndonCall], *, machine: str, andon_type: AndonType) -> AndonCall | None:
    """Return the only call of the family that is linked to a downtime of this machine, preferring the exact type.

    Returns None if there is none, or if several match.
    """
    family = [
        call
        for call in calls
        if call.culprit == machine and not call.summary and is_same_family(call.andon_type, andon_type)
    ]
    matches = [call for call in family if call.andon_type == andon_type] or family
    return matches[0] if len(matches) == 1 else None


def is_near(call: AndonCall, *machines: str | None) -> bool:
    """Return whether a call is from the line, a station or one of `machines`, not from another machine."""
    return call.equipment is None or call.station_id is not None or call.equipment in machines
