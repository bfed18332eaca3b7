"""The call for help of a downtime, and which open Andon call of the line is about the same trouble.

Source: DOMAIN, «Andon and escalation»: one trouble has one call. A call of the family {equipment, maintenance, stop}
that was raised since the downtime began is about it; a call for the same machine, from wherever, that is still open
from before is about a trouble that came again.
"""

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from bridge.domain.event_data import AndonType, CallPriority
from bridge.domain.events import Millis
from bridge.domain.line.andon.call import AndonCall

STANDSTILL_TYPES: Final[frozenset[AndonType]] = frozenset({"equipment", "maintenance", "stop"})
"""Types that people use for the same thing: a machine that stands."""


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
    """What an open call is to a trouble."""

    LINKED = auto()  # linked to it already
    SAME_TROUBLE = auto()  # about it, not linked yet
    ANSWERED = auto()  # of the same machine before; people have answered it since this downtime began
    OTHER_MACHINE = auto()  # of this downtime, but for another machine of it
    RECURRENCE = auto()  # of the same machine before, and nobody came since


def is_same_family(one: AndonType, other: AndonType) -> bool:
    return one == other or {one, other} <= STANDSTILL_TYPES


def find_related_call(
    calls: Iterable[AndonCall], request: CallRequest, *, is_escalating: Callable[[AndonCall], bool]
) -> tuple[CallRelation, AndonCall] | None:
    """Return the open call that is about this trouble, the closest relation first; None where it is a new one."""
    found = [
        (relation, call)
        for call in calls
        if not call.summary and (relation := _relation(call, request, is_escalating)) is not None
    ]
    return min(found, key=_closeness, default=None)


def _closeness(found: tuple[CallRelation, AndonCall]) -> tuple[int, Millis, int]:
    """Order by relation, then the latest first; of calls of one instant, the first."""
    relation, call = found
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
        return CallRelation.SAME_TROUBLE  # its ladder runs: people are being called already
    return CallRelation.ANSWERED if call.answered_at >= request.since else CallRelation.RECURRENCE


def find_automatic_call(
    calls: Iterable[AndonCall], *, equipment: str | None, from_station: bool, andon_type: AndonType
) -> AndonCall | None:
    """Return the automatic call that a person's call takes over: of the same family, for the downtime that lasts.

    Of several that of the machine itself, else the latest.
    """
    found = [
        call
        for call in calls
        if call.auto_generated
        and not call.over
        and not call.summary
        and (from_station or equipment in (None, call.equipment, call.stopped))
        and is_same_family(call.andon_type, andon_type)
    ]
    return max(found, key=lambda call: (call.equipment == equipment, call.number), default=None)


def find_linked_call(calls: Iterable[AndonCall], *, machine: str, andon_type: AndonType) -> AndonCall | None:
    """Return the one call of the family that is linked to a downtime of this machine, its very type first.

    None where there is none, or where it would be a guess which is meant.
    """
    family = [
        call
        for call in calls
        if call.culprit == machine and not call.summary and is_same_family(call.andon_type, andon_type)
    ]
    found = [call for call in family if call.andon_type == andon_type] or family
    return found[0] if len(found) == 1 else None


def is_near(call: AndonCall, *machines: str | None) -> bool:
    """Return whether a person calls from where this trouble is called for: not from another machine of the line."""
    return call.equipment is None or call.station_id is not None or call.equipment in machines
