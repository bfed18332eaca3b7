"""Actions on one line's Andon calls: raise, press again, acknowledge, arrive, resolve, cancel, escalate.

Source: domain.md, «Andon and escalation». A call belongs to the equipment that reported it. An Andon station is
equipment: a call from a station has the station's id as its `equipment_code` and as its `station_id`. Automatic calls
are in `automatic_calls`.
"""

from typing import assert_never

from bridge.domain.event_data import AndonType, CallStatus
from bridge.domain.line.andon.call import (
    CALL_PRIORITIES,
    NEXT,
    REFUSALS,
    AndonCall,
    CallAction,
    find_only_call,
    is_before_raise,
)
from bridge.domain.line.andon.call_matching import find_automatic_call, find_linked_call
from bridge.domain.line.andon.call_registry import CallRegistry
from bridge.domain.line.andon.contacts import IGNORED_READINGS, Contact, LevelReading, read_level
from bridge.domain.line.andon.escalation import acknowledging_roles
from bridge.domain.place import LINE_LEVEL
from bridge.domain.plant import LineConfig, Plant
from bridge.domain.reports import APPLIED, AndonReport, Disposition, Moment, rejected, suppressed


class AndonActions:
    """Actions of devices and users on calls."""

    def __init__(self, registry: CallRegistry, *, plant: Plant, spec: LineConfig) -> None:
        self._registry = registry
        self._state = registry.state
        self._default_priority = plant.call_priority
        self._debounce_ms = round(plant.rules_of(spec).debounce_seconds * 1000)

    def apply(self, body: AndonReport, *, equipment: str | None, moment: Moment) -> Disposition:
        """Apply a report or command to the calls; the disposition gives the reason if it has no effect."""
        if body.action is not None and body.action != "raise":
            return self._apply_action(body.action, body, equipment=equipment, moment=moment)
        if body.andon_type is None:
            return rejected("incomplete")
        if not self._can_call(equipment, body.andon_type):
            return rejected("type_not_at_station")
        if body.action == "raise":
            return self._press(body, body.andon_type, equipment=equipment, moment=moment)
        if body.input is None:
            return rejected("incomplete")
        return self._observe(body, body.andon_type, level=body.input, equipment=equipment, moment=moment)

    def _observe(
        self, body: AndonReport, andon_type: AndonType, *, level: bool, equipment: str | None, moment: Moment
    ) -> Disposition:
        key = AndonCall.key_of(equipment, andon_type)
        spec = self._registry.find_equipment(equipment)
        contact = self._state.contacts.setdefault(key, Contact())
        reading = read_level(
            contact,
            level=level,
            kind="momentary" if spec is None else spec.input,
            call_open=key in self._state.open,
            received_at=moment.received,
            device_time=moment.device_time,
            latest=moment.latest,
            late=moment.late,
            gap=moment.gap is not None,
            debounce_ms=self._debounce_ms,
        )
        if reading in IGNORED_READINGS:
            return suppressed(reading.value)
        if reading is LevelReading.PRESSED:
            contact.record_press(received_at=moment.received, device_time=moment.device_time)
            self._raise(body, andon_type, equipment=equipment, moment=moment)
        return APPLIED

    def _press(self, body: AndonReport, andon_type: AndonType, *, equipment: str | None, moment: Moment) -> Disposition:
        # design.md, «Duplicates»: without identity nothing else distinguishes a bounce, or a copy, from a second press.
        if moment.actor is None and not moment.identified:
            key = AndonCall.key_of(equipment, andon_type)
            contact = self._state.contacts.setdefault(key, Contact())
            if contact.is_bounce(
                self._debounce_ms,
                call_open=key in self._state.open,
                received_at=moment.received,
                device_time=moment.device_time,
            ):
                return suppressed(LevelReading.DEBOUNCED.value)
            contact.record_press(received_at=moment.received, device_time=moment.device_time)
        self._raise(body, andon_type, equipment=equipment, moment=moment)
        return APPLIED

    def _raise(self, body: AndonReport, andon_type: AndonType, *, equipment: str | None, moment: Moment) -> None:
        call = self._state.open.get(AndonCall.key_of(equipment, andon_type))
        if call is not None:
            call.description = call.description or body.description
            if call.paused:  # pressed while the line runs: the responders must come again
                self._registry.call_again(call, downtime_id=call.downtime_id, answered=False, moment=moment)
                return
            call.repeat += 1
            self._registry.emit_call(call, moment)
            return
        priority = body.priority or self._default_priority[andon_type]
        spec = self._registry.find_equipment(equipment)
        automatic = find_automatic_call(
            self._state.open.values(),
            equipment=equipment,
            from_station=spec is not None and spec.kind == "station",
            andon_type=andon_type,
        )
        if automatic is not None:
            priority = max(priority, automatic.priority, key=CALL_PRIORITIES.index)
        call = self._registry.open(equipment, andon_type, priority, moment=moment, auto_generated=False)
        call.description, call.raised_by = body.description, moment.person
        if automatic is not None:
            call.take_over(automatic)
            call.level = min(call.level, self._registry.ladders[priority].top_level)
        self._registry.emit_raised(call, moment)
        if automatic is not None:
            self._registry.withdraw(automatic, f"taken over by {call.call_id}", moment)

    def _apply_action(
        self, action: CallAction, body: AndonReport, *, equipment: str | None, moment: Moment
    ) -> Disposition:
        call = self._find(body, equipment)
        if isinstance(call, Disposition):
            return call
        if call is None or not moment.is_granted_at(call.equipment or LINE_LEVEL):
            final = self._registry.find_final(body.call_id or "")
            # A user learns only of a call where the action is granted.
            if final is None or not moment.is_granted_at(final.level):
                return rejected("unknown_call")
            return REFUSALS[final.status, action]
        if is_before_raise(call, moment, equipment=equipment):
            return suppressed("older_than_raise")
        if action == "cancel" and not self._may_cancel(call, equipment=equipment, moment=moment):
            return rejected("not_allowed")
        after = NEXT.get((call.status, action))
        return REFUSALS[call.status, action] if after is None else self._perform(action, call, after, body, moment)

    def _perform(
        self, action: CallAction, call: AndonCall, next_status: CallStatus, body: AndonReport, moment: Moment
    ) -> Disposition:
        match action:
            case "acknowledge":
                call.acknowledge(moment.person, at=moment.at)
            case "arrive":
                if call.arrived_at is not None:
                    return suppressed("already_arrived")
                call.arrived_at = moment.at
                self._registry.emit_call(call, moment)
                return APPLIED
            case "resolve":
                call.resolved_at, call.resolved_by = moment.at, moment.person
                call.resolution_code, call.resolution_notes = body.resolution_code, body.notes
            case "cancel":
                call.resolution_notes = body.notes
            case "escalate":
                if call.level >= self._registry.ladders[call.priority].top_level:
                    return suppressed("top_level")
                self._registry.escalate(call, "manual", moment)
                return APPLIED
            case _:
                assert_never(action)
        call.status = next_status
        self._registry.emit_status_change(call, moment)
        return APPLIED

    def _find(self, body: AndonReport, equipment: str | None) -> AndonCall | Disposition | None:
        if body.call_id is None:
            if body.andon_type is None:
                return rejected("incomplete")
            own = self._state.open.get(AndonCall.key_of(equipment, body.andon_type))
            spec = self._registry.find_equipment(equipment)
            if own is not None:
                return own
            if spec is not None and spec.kind != "station":  # the call for its trouble may be from a station
                return find_linked_call(self._state.open.values(), machine=spec.id, andon_type=body.andon_type)
            return find_only_call(self._state.open.values(), body.andon_type)  # a station acts for its whole line
        call = next((open_call for open_call in self._state.open.values() if open_call.call_id == body.call_id), None)
        if call is not None and body.andon_type not in {None, call.andon_type}:
            return rejected("unknown_call")
        return call

    def _may_cancel(self, call: AndonCall, *, equipment: str | None, moment: Moment) -> bool:
        """Return whether the request is from the raiser, the raising equipment, or a role that the call is for."""
        if moment.actor is None:
            return equipment == call.equipment
        raiser = call.raised_by
        if raiser is not None and not raiser.claimed and raiser.id == moment.actor.id:
            return True
        roles = acknowledging_roles(call, self._registry.ladders[call.priority], self._registry.responders)
        return not roles.isdisjoint(moment.actor.roles)

    def _can_call(self, equipment: str | None, andon_type: AndonType) -> bool:
        spec = self._registry.find_equipment(equipment)
        return spec is None or not spec.andon_types or andon_type in spec.andon_types
