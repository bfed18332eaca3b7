"""Registry of one line's open Andon calls and their ladders: changes of a call, and the events that report them.

Source: domain.md, «Andon and escalation». `calls` decides what people and devices may do to a call, and
`automatic_calls` what the line itself does.
"""

from typing import Final

from msgspec import Struct, field

from bridge.domain.bounded_dict import drop_oldest
from bridge.domain.emitter import Emitter
from bridge.domain.event_data import AndonType, CallPriority, CallStatus, EscalationCause
from bridge.domain.events import EventType, Priority
from bridge.domain.line.andon.call import FINAL_STATUSES, AndonCall, andon_data, standing_of
from bridge.domain.line.andon.contacts import Contact
from bridge.domain.line.andon.escalation import EscalationStep, build_ladders, escalation_data, is_level_rise, next_step
from bridge.domain.line.flood_tracker import FloodState
from bridge.domain.place import LINE_LEVEL, Place
from bridge.domain.plant import EquipmentConfig, LineConfig, Plant
from bridge.domain.reports import Moment
from bridge.domain.utc_time import Millis

MAX_FINAL_CALLS: Final = 200  # ids still answered with `already_final`; bounds the checkpoint of an old line


class FinalCall(Struct, array_like=True):
    """The status of a call that has ended, and its equipment level; None: it is not known."""

    status: CallStatus
    level: str | None


class AndonState(Struct):
    """Checkpointed. `open` and `contacts` by `{equipment}/{type}`, at most 8 each per equipment; `final` by call id."""

    next_number: int = 1
    open: dict[str, AndonCall] = field(default_factory=dict)
    contacts: dict[str, Contact] = field(default_factory=dict)
    final: dict[str, FinalCall | CallStatus] = field(default_factory=dict)  # a bare status: of an earlier version
    flood: FloodState = field(default_factory=FloodState)


class CallRegistry:
    """At most one open call per equipment and type, and its ladder."""

    def __init__(self, state: AndonState, *, place: Place, plant: Plant, spec: LineConfig, emitter: Emitter) -> None:
        self.state = state
        self.responders = plant.responders
        self.ladders = build_ladders(plant, plant.rules_of(spec))
        self._line = place.line
        self._spec = spec
        self._emitter = emitter
        self._steps: dict[str, EscalationStep | None] = {}  # cached next step, by key of an open call

    def find_final(self, call_id: str) -> FinalCall | None:
        """Return one of the latest calls that have ended."""
        final = self.state.final.get(call_id)
        return final if final is None or isinstance(final, FinalCall) else FinalCall(final, None)

    def find_equipment(self, equipment: str | None) -> EquipmentConfig | None:
        return None if equipment is None else self._spec.find_equipment(equipment)

    def next_deadline(self) -> Millis | None:
        """Return when `fire` next has something to do."""
        return min((step.at for key in self.state.open if (step := self._step(key)) is not None), default=None)

    def set_forward(self, by: Millis) -> None:
        """Delay every deadline by a forward step of the host's clock."""
        for call in self.state.open.values():
            call.set_forward(by)
        self._steps.clear()

    def fire(self, moment: Moment) -> None:
        """Take one due step of each open call, in the order they were raised."""
        for key, call in self.state.open.items():
            due = self._step(key)
            if due is None or due.at > moment.at:
                continue
            step = next_step(call, self.ladders[call.priority], now=moment.at) or due
            call.handled_until = max(call.handled_until, moment.at)
            self._steps.pop(key, None)
            if is_level_rise(step.cause):
                self.escalate(call, step.cause, moment)
            else:
                self._emit_escalation(call, moment, previous_level=call.level, cause=step.cause)

    def open(
        self,
        equipment: str | None,
        andon_type: AndonType,
        priority: CallPriority,
        *,
        moment: Moment,
        auto_generated: bool,
        summary: bool = False,
    ) -> AndonCall:
        number = self.state.next_number
        self.state.next_number += 1
        spec = self.find_equipment(equipment)
        call = AndonCall(
            number=number,
            call_id=f"{self._line}.call.{number}",
            equipment=equipment,
            andon_type=andon_type,
            priority=priority,
            raised_at=moment.at,
            dated=None if moment.actor is not None else moment.dated,
            handled_until=moment.at,
            auto_generated=auto_generated,
            station_id=spec.id if spec is not None and spec.kind == "station" else None,
            summary=summary,
        )
        self.state.open[call.key] = call
        return call

    def call_again(self, call: AndonCall, *, downtime_id: str | None, answered: bool, moment: Moment) -> None:
        """Restart a call's ladder: its trouble has come back."""
        previous_level = call.call_again(downtime_id, at=moment.at, answered=answered)
        self._steps.pop(call.key, None)
        self.emit_call(call, moment)
        self._emit_escalation(call, moment, previous_level=previous_level, cause=None)

    def is_escalating(self, call: AndonCall) -> bool:
        """Return whether the call's ladder has steps left, unless somebody ends it."""
        return self._step(call.key) is not None

    def link(self, call: AndonCall, downtime_id: str, *, culprit: str | None, moment: Moment) -> None:
        call.downtime_id, call.culprit = downtime_id, culprit
        call.line_ran_since = False
        self.emit_call(call, moment)

    def pause(self, call: AndonCall, *, moment: Moment) -> None:
        """Pause a call's ladder; the call stays open until somebody ends it or its trouble comes back."""
        call.paused = True
        self._steps.pop(call.key, None)
        self._emit_escalation(call, moment, previous_level=call.level, cause=call.cause)

    def withdraw(self, call: AndonCall, note: str, moment: Moment) -> None:
        """Cancel a call without a person; the note gives the reason."""
        call.status, call.resolution_notes = "cancelled", note
        self.emit_status_change(call, moment)

    def describe(self, call: AndonCall, description: str, *, moment: Moment) -> None:
        call.description = description
        self.emit_call(call, moment)

    def emit_raised(self, call: AndonCall, moment: Moment) -> None:
        self.emit_call(call, moment)
        self._emit_escalation(call, moment, previous_level=call.level, cause=call.cause)

    def emit_status_change(self, call: AndonCall, moment: Moment) -> None:
        """Emit a call whose status has changed; close it if it is final."""
        if call.status in FINAL_STATUSES:
            self._close(call)
        self._steps.pop(call.key, None)
        self.emit_call(call, moment)
        self._emit_escalation(call, moment, previous_level=call.level, cause=call.cause)

    def _close(self, call: AndonCall) -> None:
        del self.state.open[call.key]
        final = self.state.final
        final[call.call_id] = FinalCall(call.status, call.equipment or LINE_LEVEL)
        drop_oldest(final, limit=MAX_FINAL_CALLS)

    def escalate(self, call: AndonCall, cause: EscalationCause, moment: Moment) -> None:
        call.level += 1
        call.cause = cause
        call.handled_until = max(call.handled_until, moment.at)  # earlier deadlines were due at the previous level
        self._steps.pop(call.key, None)
        self.emit_call(call, moment)
        self._emit_escalation(call, moment, previous_level=call.level - 1, cause=cause)

    def _step(self, key: str) -> EscalationStep | None:
        if key not in self._steps:
            call = self.state.open[key]
            self._steps[key] = next_step(call, self.ladders[call.priority])
        return self._steps[key]

    def emit_call(self, call: AndonCall, moment: Moment) -> None:
        self._emitter.emit(
            EventType.ANDON_EVENT,
            andon_data(call),
            moment=moment,
            equipment=call.equipment,
            subject=call.call_id,
            priority=Priority(call.priority),
            standing=standing_of(call),
        )

    def _emit_escalation(
        self, call: AndonCall, moment: Moment, *, previous_level: int, cause: EscalationCause | None
    ) -> None:
        call.highest_level = max(call.highest_level, call.level)
        escalation_id = f"{self._line}.esc.{call.number}"
        data = escalation_data(
            call,
            self.ladders[call.priority],
            self.responders,
            escalation_id=escalation_id,
            previous_level=previous_level,
            cause=cause,
            at=moment.at,
        )
        self._emitter.emit(
            EventType.ESCALATION_UPDATE,
            data,
            moment=moment,
            equipment=call.equipment,
            subject=escalation_id,
            priority=Priority(call.priority),
            standing=standing_of(call),
        )
