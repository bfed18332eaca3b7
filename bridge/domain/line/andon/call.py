"""Record of one Andon call, its state table, and its event data. Source: domain.md, «Andon and escalation».

open -> acknowledged -> resolved | cancelled; a call may be resolved or cancelled without an acknowledgement. Escalation
is a level beside the status, never a status.
"""

from collections.abc import Iterable
from typing import Final, Literal, get_args

from msgspec import Struct

from bridge.domain.event_data import Andon, AndonType, CallPriority, CallStatus, EscalationCause, Person
from bridge.domain.events import Standing
from bridge.domain.place import LINE_LEVEL
from bridge.domain.reports import Disposition, Moment, rejected, suppressed
from bridge.domain.utc_time import Millis, rfc3339, rfc3339_or_none

CallAction = Literal["acknowledge", "arrive", "resolve", "cancel", "escalate"]
"""Actions on a call that was raised."""

NEXT: Final[dict[tuple[CallStatus, CallAction], CallStatus]] = {
    ("open", "acknowledge"): "acknowledged",
    ("open", "arrive"): "open",
    ("open", "resolve"): "resolved",
    ("open", "cancel"): "cancelled",
    ("open", "escalate"): "open",
    ("acknowledged", "arrive"): "acknowledged",
    ("acknowledged", "resolve"): "resolved",
    ("acknowledged", "cancel"): "cancelled",
    ("acknowledged", "escalate"): "acknowledged",
}

REFUSALS: Final[dict[tuple[CallStatus, CallAction], Disposition]] = {
    ("acknowledged", "acknowledge"): suppressed("already_acknowledged"),
    ("resolved", "acknowledge"): rejected("already_final"),
    ("resolved", "arrive"): rejected("already_final"),
    ("resolved", "resolve"): suppressed("already_resolved"),
    ("resolved", "cancel"): rejected("already_final"),
    ("resolved", "escalate"): rejected("already_final"),
    ("cancelled", "acknowledge"): rejected("already_final"),
    ("cancelled", "arrive"): rejected("already_final"),
    ("cancelled", "resolve"): rejected("already_final"),
    ("cancelled", "cancel"): suppressed("already_cancelled"),
    ("cancelled", "escalate"): rejected("already_final"),
}

CALL_PRIORITIES: Final[tuple[CallPriority, ...]] = get_args(CallPriority)
"""Lowest first."""

SUMMARY_KEY: Final = f"{LINE_LEVEL}/summary"

FINAL_STATUSES: Final[frozenset[CallStatus]] = frozenset({"resolved", "cancelled"})


class AndonCall(Struct, kw_only=True, rename={"handled_until": "passed", "line_ran_since": "over"}):
    """A call that is not final. `handled_until`: every deadline up to this instant has been handled.

    Deadlines count from `counted_from`: the raise, or the last time the trouble came back. A paused call has none: the
    line runs again, but nobody has resolved the call yet.
    """

    number: int
    call_id: str
    equipment: str | None
    andon_type: AndonType
    priority: CallPriority
    raised_at: Millis
    dated: Millis | None  # the raise, by the clock of the device that raised it
    handled_until: Millis
    auto_generated: bool
    status: CallStatus = "open"
    level: int = 0
    cause: EscalationCause | None = None  # of the latest level rise; None: not escalated
    repeat: int = 0
    station_id: str | None = None
    description: str | None = None
    raised_by: Person | None = None
    acknowledged_at: Millis | None = None
    acknowledged_by: Person | None = None
    response_ms: Millis | None = None
    arrived_at: Millis | None = None
    resolved_at: Millis | None = None
    resolved_by: Person | None = None
    resolution_code: str | None = None
    resolution_notes: str | None = None
    downtime_id: str | None = None
    called_again_at: Millis | None = None
    counting_since: Millis | None = None  # None: since the raise
    paused: bool = False
    line_ran_since: bool = False  # the line has run since the downtime that it is linked to
    highest_level: int = 0  # since the raise
    culprit: str | None = None  # of the downtime that it is linked to
    stopped: str | None = None  # of an automatic call: the machine that decides the line's status
    summary: bool = False  # the one call of a flood, instead of many automatic calls

    @staticmethod
    def key_of(equipment: str | None, andon_type: AndonType) -> str:
        """Return the key under which at most one call is open."""
        return f"{equipment or LINE_LEVEL}/{andon_type}"

    @staticmethod
    def owner_of(key: str) -> str:
        """Return the equipment in the key of a call, `_` for the line."""
        return key.split("/", 1)[0]

    @property
    def key(self) -> str:
        return SUMMARY_KEY if self.summary else self.key_of(self.equipment, self.andon_type)

    @property
    def counted_from(self) -> Millis:
        return self.raised_at if self.counting_since is None else self.counting_since

    @property
    def answered_at(self) -> Millis:
        """The last instant at which a person called, acknowledged or arrived."""
        answers = (self.called_again_at, self.acknowledged_at, self.arrived_at)
        return max((self.raised_at, *(at for at in answers if at is not None)))

    def acknowledge(self, person: Person | None, *, at: Millis) -> None:
        self.acknowledged_at, self.acknowledged_by = at, person
        self.response_ms = at - self.counted_from

    def call_again(self, downtime_id: str | None, *, at: Millis, answered: bool) -> int:
        """Restart the ladder and, unless people have `answered`, reopen the call; return the previous level."""
        previous_level = self.level
        self.repeat += 1
        self.line_ran_since = self.line_ran_since and downtime_id == self.downtime_id
        self.downtime_id = downtime_id
        self.called_again_at = self.counting_since = self.handled_until = at
        self.level, self.cause, self.paused = 0, None, False
        if not answered:
            self.status = "open"
            self.acknowledged_at = self.acknowledged_by = self.response_ms = self.arrived_at = None
        return previous_level

    def set_forward(self, by: Millis) -> None:
        """Delay every deadline by a forward step of the host's clock."""
        self.counting_since = self.counted_from + by
        self.handled_until += by

    def take_over(self, other: "AndonCall") -> None:
        """Take over the responses and the ladder progress of another call for the same trouble."""
        self.status = other.status
        self.acknowledged_at, self.acknowledged_by = other.acknowledged_at, other.acknowledged_by
        self.response_ms = other.response_ms
        self.arrived_at, self.downtime_id, self.stopped = other.arrived_at, other.downtime_id, other.stopped
        self.culprit = other.culprit or other.equipment
        self.counting_since, self.handled_until = other.counted_from, other.handled_until
        self.level, self.cause, self.highest_level = other.level, other.cause, other.highest_level


def is_before_raise(call: AndonCall, moment: Moment, *, equipment: str | None) -> bool:
    """Return whether an action precedes the raise: by the device's clock if one device did both, else by the line's.

    The device's clock is ignored for its latest report, which cannot be older: the clock may have been set meanwhile.
    """
    own = moment.actor is None and equipment == call.equipment and not moment.latest
    if own and call.dated is not None and moment.dated is not None:
        return moment.dated < call.dated
    return moment.at < call.raised_at


def standing_of(call: AndonCall) -> Standing:
    return Standing.CLOSED if call.status in FINAL_STATUSES else Standing.CURRENT


def andon_data(call: AndonCall) -> Andon:
    """Return the data of the call's andon_event."""
    response_ms = call.response_ms
    if response_ms is None and call.acknowledged_at is not None:  # acknowledged before `response_ms` was kept
        response_ms = call.acknowledged_at - call.raised_at
    return Andon(
        call_id=call.call_id,
        andon_type=call.andon_type,
        priority=call.priority,
        status=call.status,
        raised_at=rfc3339(call.raised_at),
        escalation_level=call.level,
        repeat=call.repeat,
        auto_generated=call.auto_generated,
        station_id=call.station_id,
        description=call.description,
        raised_by=call.raised_by,
        acknowledged_at=rfc3339_or_none(call.acknowledged_at),
        acknowledged_by=call.acknowledged_by,
        arrived_at=rfc3339_or_none(call.arrived_at),
        resolved_at=rfc3339_or_none(call.resolved_at),
        resolved_by=call.resolved_by,
        response_seconds=None if response_ms is None else response_ms / 1000,
        resolution_code=call.resolution_code,
        resolution_notes=call.resolution_notes,
        downtime_id=call.downtime_id,
        called_again_at=rfc3339_or_none(call.called_again_at),
    )


def find_only_call(calls: Iterable[AndonCall], andon_type: AndonType) -> AndonCall | None:
    """Return the only call of this type; None if there is none, or more than one."""
    matches = [call for call in calls if call.andon_type == andon_type and not call.summary]
    return matches[0] if len(matches) == 1 else None
