"""The Andon calls of one line: raised, pressed again, acknowledged, arrived at, resolved, cancelled, escalated.

Source: DOMAIN, «Andon and escalation». A call belongs to the equipment that reported it. An Andon station is equipment:
a call from a station has the station's id as its `equipment_code` and as its `station_id`.
"""

from typing import Final, assert_never

from msgspec import Struct, field

from bridge.core.emitter import Emitter
from bridge.core.event_data import AndonType, CallPriority, CallStatus, EscalationCause
from bridge.core.events import EventType, Millis, Place, Priority
from bridge.core.line.andon_call import FINAL, NEXT, REFUSED, Call, Deed, andon_data, is_older, only_call, standing_of
from bridge.core.line.andon_input import WITHOUT_EFFECT, Contact, Reading, read_input
from bridge.core.line.escalation import Step, escalation_data, ladders_of, may_acknowledge, next_step, rises
from bridge.core.plant import Equipment, Line, Plant
from bridge.core.reports import APPLIED, AndonReport, Disposition, Moment, rejected, suppressed

FINAL_CALLS: Final = 200  # ids still answered with `already_final`; bounds the checkpoint of a line that is years old


class AndonState(Struct):
    """Checkpointed. `open` and `contacts` go by `{equipment}/{type}`: at most 8 each per equipment of the plant."""

    next_number: int = 1
    open: dict[str, Call] = field(default_factory=dict)
    contacts: dict[str, Contact] = field(default_factory=dict)
    final: dict[str, CallStatus] = field(default_factory=dict)


class AndonCalls:
    """One open call per equipment and type, and its ladder."""

    def __init__(self, state: AndonState, *, place: Place, plant: Plant, spec: Line, emitter: Emitter) -> None:
        self._state = state
        self._line = place.line
        self._spec = spec
        self._emitter = emitter
        self._responders = plant.responders
        self._default_priority = plant.call_priority
        rules = plant.rules_of(spec)
        self._debounce_ms = round(rules.debounce_seconds * 1000)
        self._ladders = ladders_of(plant, rules)
        self._steps: dict[str, Step | None] = {}  # by key of an open call: what its clock does next, kept while true

    def apply(self, body: AndonReport, *, equipment: str | None, moment: Moment) -> Disposition:
        """Do what a report or command asks of the calls, or say why not."""
        if body.action is not None and body.action != "raise":
            return self._act(body.action, body, equipment=equipment, moment=moment)
        if body.andon_type is None:
            return rejected("incomplete")
        if not self._can_call(equipment, body.andon_type):
            return rejected("type_not_at_station")
        if body.action == "raise":
            return self._press(body, body.andon_type, equipment=equipment, moment=moment)
        if body.input is None:
            return rejected("incomplete")
        return self._observe(body, body.andon_type, level=body.input, equipment=equipment, moment=moment)

    def raise_automatic(
        self,
        *,
        equipment: str | None,
        andon_type: AndonType,
        priority: CallPriority,
        description: str,
        downtime_id: str,
        moment: Moment,
    ) -> None:
        """Call for a downtime; an open call of the type is told its downtime instead of being raised again."""
        call = self._state.open.get(Call.key_of(equipment, andon_type))
        if call is None:
            call = self._open(equipment, andon_type, priority, moment=moment, auto_generated=True)
            call.description, call.downtime_id = description, downtime_id
            self._emit_raised(call, moment)
        elif call.downtime_id is None:
            call.downtime_id = downtime_id
            self._emit_call(call, moment)

    def next_deadline(self) -> Millis | None:
        """Return when `fire` has something to do, of all open calls."""
        return min((step.at for key in self._state.open if (step := self._step(key)) is not None), default=None)

    def fire(self, moment: Moment) -> None:
        """Do everything that is due at exactly `moment.at`, calls in the order they were raised."""
        for key, call in self._state.open.items():
            step = self._step(key)
            if step is None or step.at != moment.at:
                continue
            call.passed = max(call.passed, step.at)
            self._steps.pop(key, None)
            if rises(step.cause):
                self._rise(call, step.cause, moment)
            else:
                self._emit_escalation(call, moment, previous_level=call.level, cause=step.cause)

    def _observe(
        self, body: AndonReport, andon_type: AndonType, *, level: bool, equipment: str | None, moment: Moment
    ) -> Disposition:
        key = Call.key_of(equipment, andon_type)
        spec = self._equipment(equipment)
        contact = self._state.contacts.setdefault(key, Contact())
        reading = read_input(
            contact,
            level=level,
            kind="momentary" if spec is None else spec.input,
            call_open=key in self._state.open,
            at=moment.at,
            debounce_ms=self._debounce_ms,
        )
        if reading in WITHOUT_EFFECT:
            return suppressed(reading.value)
        if reading is Reading.PRESSED:
            contact.pressed_at = moment.at
            self._raise(body, andon_type, equipment=equipment, moment=moment)
        return APPLIED

    def _press(self, body: AndonReport, andon_type: AndonType, *, equipment: str | None, moment: Moment) -> Disposition:
        # DESIGN, «Duplicates»: without identity nothing else tells a bounce, or a second copy, from a second press.
        if moment.actor is None and not moment.identified:
            key = Call.key_of(equipment, andon_type)
            contact = self._state.contacts.setdefault(key, Contact())
            # once the call is over somebody was there in between: the next press is not that one's bounce
            if key in self._state.open and contact.is_bounce(moment.at, self._debounce_ms):
                return suppressed(Reading.DEBOUNCED.value)
            contact.pressed_at = moment.at
        self._raise(body, andon_type, equipment=equipment, moment=moment)
        return APPLIED

    def _raise(self, body: AndonReport, andon_type: AndonType, *, equipment: str | None, moment: Moment) -> None:
        call = self._state.open.get(Call.key_of(equipment, andon_type))
        if call is not None:
            call.repeat += 1
            call.description = call.description or body.description
            self._emit_call(call, moment)
            return
        priority = body.priority or self._default_priority[andon_type]
        call = self._open(equipment, andon_type, priority, moment=moment, auto_generated=False)
        call.description, call.raised_by = body.description, moment.person
        self._emit_raised(call, moment)

    def _open(
        self,
        equipment: str | None,
        andon_type: AndonType,
        priority: CallPriority,
        *,
        moment: Moment,
        auto_generated: bool,
    ) -> Call:
        number = self._state.next_number
        self._state.next_number += 1
        spec = self._equipment(equipment)
        call = Call(
            number=number,
            call_id=f"{self._line}.call.{number}",
            equipment=equipment,
            andon_type=andon_type,
            priority=priority,
            raised_at=moment.at,
            dated=None if moment.actor is not None else moment.dated,
            passed=moment.at,
            auto_generated=auto_generated,
            station_id=spec.id if spec is not None and spec.kind == "station" else None,
        )
        self._state.open[Call.key_of(equipment, andon_type)] = call
        return call

    def _act(self, deed: Deed, body: AndonReport, *, equipment: str | None, moment: Moment) -> Disposition:
        call = self._find(body, equipment)
        if isinstance(call, Disposition):
            return call
        if call is None:
            status = self._state.final.get(body.call_id or "")
            return rejected("unknown_call") if status is None else REFUSED[status, deed]
        if is_older(call, moment, equipment=equipment):
            return suppressed("older_than_raise")
        if deed == "cancel" and not self._may_cancel(call, equipment=equipment, moment=moment):
            return rejected("not_allowed")
        after = NEXT.get((call.status, deed))
        return REFUSED[call.status, deed] if after is None else self._do(deed, call, after, body, moment)

    def _do(self, deed: Deed, call: Call, after: CallStatus, body: AndonReport, moment: Moment) -> Disposition:
        match deed:
            case "acknowledge":
                call.acknowledged_at, call.acknowledged_by = moment.at, moment.person
            case "arrive":
                if call.arrived_at is not None:
                    return suppressed("already_arrived")
                call.arrived_at = moment.at
                self._emit_call(call, moment)
                return APPLIED
            case "resolve":
                call.resolved_at, call.resolved_by = moment.at, moment.person
                call.resolution_code, call.resolution_notes = body.resolution_code, body.notes
            case "cancel":
                call.resolution_notes = body.notes
            case "escalate":
                if call.level >= self._ladders[call.priority].top:
                    return suppressed("top_level")
                self._rise(call, "manual", moment)
                return APPLIED
            case _:
                assert_never(deed)
        call.status = after
        if after in FINAL:
            self._close(call)
        self._steps.pop(call.key, None)
        self._emit_call(call, moment)
        self._emit_escalation(call, moment, previous_level=call.level, cause=call.cause)
        return APPLIED

    def _close(self, call: Call) -> None:
        del self._state.open[call.key]
        final = self._state.final
        final[call.call_id] = call.status
        while len(final) > FINAL_CALLS:
            del final[next(iter(final))]

    def _rise(self, call: Call, cause: EscalationCause, moment: Moment) -> None:
        call.level += 1
        call.cause = cause
        self._steps.pop(call.key, None)
        self._emit_call(call, moment)
        self._emit_escalation(call, moment, previous_level=call.level - 1, cause=cause)

    def _find(self, body: AndonReport, equipment: str | None) -> Call | Disposition | None:
        if body.call_id is None:
            if body.andon_type is None:
                return rejected("incomplete")
            own, spec = self._state.open.get(Call.key_of(equipment, body.andon_type)), self._equipment(equipment)
            if own is not None or (spec is not None and spec.kind != "station"):
                return own
            return only_call(self._state.open.values(), body.andon_type)  # a station answers for its line
        call = next((each for each in self._state.open.values() if each.call_id == body.call_id), None)
        if call is not None and body.andon_type not in {None, call.andon_type}:
            return rejected("unknown_call")
        return call

    def _may_cancel(self, call: Call, *, equipment: str | None, moment: Moment) -> bool:
        """Tell whether it is the raiser, the station or equipment that raised it, or a role the call is for."""
        if moment.actor is None:
            return equipment == call.equipment
        raiser = call.raised_by
        if raiser is not None and not raiser.claimed and raiser.id == moment.actor.id:
            return True
        roles = may_acknowledge(call, self._ladders[call.priority], self._responders)
        return not roles.isdisjoint(moment.actor.roles)

    def _step(self, key: str) -> Step | None:
        if key not in self._steps:
            call = self._state.open[key]
            self._steps[key] = next_step(call, self._ladders[call.priority])
        return self._steps[key]

    def _equipment(self, equipment: str | None) -> Equipment | None:
        return None if equipment is None else self._spec.find(equipment)

    def _can_call(self, equipment: str | None, andon_type: AndonType) -> bool:
        spec = self._equipment(equipment)
        return spec is None or not spec.andon_types or andon_type in spec.andon_types

    def _emit_raised(self, call: Call, moment: Moment) -> None:
        self._emit_call(call, moment)
        self._emit_escalation(call, moment, previous_level=0, cause=None)

    def _emit_call(self, call: Call, moment: Moment) -> None:
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
        self, call: Call, moment: Moment, *, previous_level: int, cause: EscalationCause | None
    ) -> None:
        escalation_id = f"{self._line}.esc.{call.number}"
        data = escalation_data(
            call,
            self._ladders[call.priority],
            self._responders,
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
