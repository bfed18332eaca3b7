"""The call for help of a downtime, and which open Andon call of the line is about the same trouble.

Source: DOMAIN, «Andon and escalation»: one trouble has one call. A call of the family {equipment, maintenance, stop}
that was raised since the downtime began is about it; a call for the same machine, from wherever, that is still open
from before is about a trouble that came again.
"""

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from bridge.core.event_data import AndonType, CallPriority
from bridge.core.events import Millis
from bridge.core.line.andon_call import Call

STANDSTILL: Final[frozenset[AndonType]] = frozenset({"equipment", "maintenance", "stop"})
"""Types that people use for the same thing: a machine that stands."""


class CallForHelp(Struct, frozen=True, kw_only=True):
    """An automatic Andon call that is due."""

    equipment: str | None
    stopped: str | None  # the machine that decides the line's status
    andon_type: AndonType
    priority: CallPriority
    description: str
    downtime_id: str
    since: Millis  # the beginning of the downtime


class Relation(Enum):
    """What an open call is to a trouble."""

    KNOWN = auto()  # linked to it already
    SAME = auto()  # about it, not linked yet
    ANSWERED = auto()  # of the same machine before; people have answered it since this downtime began
    OTHER = auto()  # of this downtime, but for another machine of it
    BEFORE = auto()  # of the same machine before, and nobody came since


def same_family(one: AndonType, other: AndonType) -> bool:
    return one == other or {one, other} <= STANDSTILL


def find_call(
    calls: Iterable[Call], help_: CallForHelp, *, is_calling: Callable[[Call], bool]
) -> tuple[Relation, Call] | None:
    """Return the open call that is about this trouble, the closest relation first; None where it is a new one."""
    found = [
        (relation, call)
        for call in calls
        if not call.summary and (relation := _relation(call, help_, is_calling)) is not None
    ]
    return min(found, key=_closeness, default=None)


def _closeness(found: tuple[Relation, Call]) -> tuple[int, Millis, int]:
    """Order by relation, then the latest first; of calls of one instant, the first."""
    relation, call = found
    return relation.value, -call.raised_at, call.number


def _relation(call: Call, help_: CallForHelp, is_calling: Callable[[Call], bool]) -> Relation | None:
    if not same_family(call.andon_type, help_.andon_type):
        return None
    if call.downtime_id == help_.downtime_id:
        return Relation.KNOWN if call.culprit in (None, help_.equipment) else Relation.OTHER
    if call.downtime_id is None and call.raised_at >= help_.since and is_near(call, help_.equipment, help_.stopped):
        return Relation.SAME
    if call.equipment != help_.equipment and not (call.culprit is not None and call.culprit == help_.equipment):
        return None
    if call.status == "open" and is_calling(call):
        return Relation.SAME  # its ladder runs: people are being called already
    return Relation.ANSWERED if call.answered_at >= help_.since else Relation.BEFORE


def find_automatic(
    calls: Iterable[Call], *, equipment: str | None, station: bool, andon_type: AndonType
) -> Call | None:
    """Return the automatic call that a person's call takes over: of the same family, for the downtime that lasts.

    Of several that of the machine itself, else the latest.
    """
    found = [
        call
        for call in calls
        if call.auto_generated
        and not call.over
        and not call.summary
        and (station or equipment in (None, call.equipment, call.stopped))
        and same_family(call.andon_type, andon_type)
    ]
    return max(found, key=lambda call: (call.equipment == equipment, call.number), default=None)


def find_linked(calls: Iterable[Call], *, machine: str, andon_type: AndonType) -> Call | None:
    """Return the one call of the family that is linked to a downtime of this machine, its very type first.

    None where there is none, or where it would be a guess which is meant.
    """
    family = [
        call
        for call in calls
        if call.culprit == machine and not call.summary and same_family(call.andon_type, andon_type)
    ]
    found = [call for call in family if call.andon_type == andon_type] or family
    return found[0] if len(found) == 1 else None


def is_near(call: Call, *machines: str | None) -> bool:
    """Return whether a person calls from where this trouble is called for: not from another machine of the line."""
    return call.equipment is None or call.station_id is not None or call.equipment in machines
