"""Migration of a floor to another plant file: the state that it keeps, and the events that it emits.

Calls, alerts and counts of removed equipment are dropped without an event: nobody could close them any more, and their
current events are retired with the epoch. The line's own state stays. A line that moved to another area or site is
another line: it is removed from the old place and starts new at the new one.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from msgspec.structs import replace

from bridge.domain import plant
from bridge.domain.emitter import SubjectKey
from bridge.domain.event_topic import StateKey
from bridge.domain.events import Category, Event
from bridge.domain.line.andon.call import AndonCall
from bridge.domain.line.counters.machine_counters import CounterFit
from bridge.domain.line.downtime.findings import DowntimeFindings
from bridge.domain.line.floor import Floor
from bridge.domain.line.line_state import LineState
from bridge.domain.line.output.line_output import counter_sources, tracked_machines
from bridge.domain.place import LINE_LEVEL
from bridge.domain.utc_time import Millis


def migrate_floor(
    floor: Floor, plant_config: plant.Plant, now: Millis, *, cause: str
) -> tuple[Floor, tuple[Event, ...]]:
    """Return the floor under another plant file, and the events; deadlines up to `now` fire by the old rules."""
    events = [event for _, fired in floor.tick(now) for event in fired]
    kept: dict[str, bytes] = {}
    for spec in plant_config.lines:
        line = floor.line(spec.id)
        if line is not None and line.place == plant_config.place_of(spec):
            state = LineState.decode(line.checkpoint())
            remove_orphans(state, spec)
            reset_changed_rates(state, spec, line.counter_fits())
            kept[spec.id] = state.encode()
    migrated = Floor(plant_config, kept)
    events += migrated.emit_plant_changes(now, cause=cause)
    return migrated, tuple(events)


def orphaned_keys(keys: Iterable[StateKey], plant_config: plant.Plant) -> list[StateKey]:
    """Return the state keys of places missing from the plant file: they would stay current for ever."""
    places = {plant_config.place_of(spec).levels()[:3]: _StateOwners(spec) for spec in plant_config.lines}
    orphaned = []
    for key in keys:
        site, area, line, equipment, category, _ = key
        owners = places.get((site, area, line))
        if owners is None or not owners.is_owner(equipment, category):
            orphaned.append(key)
    return orphaned


def remove_orphans(state: LineState, spec: plant.LineConfig) -> None:
    """Remove from a line's state what the plant file no longer has, and set the ideal cycles it now has."""
    owners = _StateOwners(spec)
    equipment = owners.equipment
    operations, output, quality = state.operations, state.output, state.operations.quality
    state.equipment = {name: equipment_state for name, equipment_state in state.equipment.items() if name in equipment}
    output.counts = {scope: counts for scope, counts in output.counts.items() if scope in equipment}
    for counts in output.counts.values():
        counts.held = {source: pieces for source, pieces in counts.held.items() if source in equipment}
    output.oee = {scope: oee for scope, oee in output.oee.items() if scope in owners.oee_scopes}
    for machine in spec.equipment:
        if machine.id in output.oee:
            output.oee[machine.id].ideal_cycle = machine.ideal_cycle_seconds
    counted = {
        name
        for name, sources in counter_sources(spec).items()
        if any(name in state.equipment[source].registers for source in sources if source in state.equipment)
    }
    output.counters_seen = [name for name in output.counters_seen if name in counted]
    andon = operations.andon
    andon.open = {key: call for key, call in andon.open.items() if AndonCall.owner_of(key) in equipment}
    andon.contacts = {key: contact for key, contact in andon.contacts.items() if AndonCall.owner_of(key) in equipment}
    flood = andon.flood
    if flood.held is not None and flood.held.request.equipment not in {None, *equipment}:
        flood.held = None
    quality.active = {
        key: alert for key, alert in quality.active.items() if (alert.equipment or LINE_LEVEL) in equipment
    }
    quality.windows = {name: windows for name, windows in quality.windows.items() if name in equipment}
    for oee_state in output.oee.values():
        oee_state.unwatched = oee_state.device_offline = False
    state.absences.records.clear()  # of machines as they were: time not rebuilt yet stays unknown
    if state.downtimes.pending is not None:
        _remove_equipment(state.downtimes.pending, equipment)
    if state.downtimes.open is not None:
        _remove_equipment(state.downtimes.open.findings, equipment)
        interrupted = state.downtimes.open.interrupted_call
        if interrupted is not None and interrupted.equipment not in equipment:
            state.downtimes.open.interrupted_call = None
    if state.downtimes.split.findings is not None:
        _remove_equipment(state.downtimes.split.findings, equipment)
    subjects = state.subjects
    subjects.current = {
        text: revision
        for text, revision in subjects.current.items()
        if owners.is_owner((key := SubjectKey.parse(text)).equipment, key.category)
    }


def reset_changed_rates(state: LineState, spec: plant.LineConfig, fits: Mapping[str, CounterFit]) -> None:
    """Reset a machine's measured rates if its `max_rate_per_minute` changed: they may have been wrong."""
    for machine in spec.equipment:
        fit = fits.get(machine.id)
        if fit is None or machine.id not in state.equipment or fit.max_rate == machine.counters.max_rate_per_minute:
            continue
        registers = state.equipment[machine.id].registers
        for name, register in registers.items():
            registers[name] = replace(register, refuted_limit=0.0, fastest=0.0, spells=0, spell_ms=0, spell_pieces=0)


class _StateOwners:
    """Owners of current events on a line: the line itself, its equipment, and the scopes with an OEE."""

    def __init__(self, spec: plant.LineConfig) -> None:
        self.equipment = frozenset({LINE_LEVEL, *(config.id for config in spec.equipment)})
        self.oee_scopes = frozenset({LINE_LEVEL, *tracked_machines(spec)})

    def is_owner(self, equipment: str, category: str) -> bool:
        return equipment in (self.oee_scopes if category == Category.OEE else self.equipment)


def _remove_equipment(findings: DowntimeFindings, equipment: AbstractSet[str]) -> None:
    """Remove missing equipment from the findings of a downtime; the downtime stays the line's."""
    if findings.equipment not in equipment:
        findings.equipment = None
    if findings.cause_equipment not in equipment:
        findings.cause_equipment = None
    if findings.further is not None and findings.further.equipment not in equipment:
        findings.further = None
