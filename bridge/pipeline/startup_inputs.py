"""Inputs that a start enters before any message: an absence, and a changed plant file with what it retires."""

from dataclasses import dataclass

from bridge.domain.dedup import Deduplicator
from bridge.domain.event_topic import StateKey
from bridge.domain.events import Standing
from bridge.domain.intake import Decoder, Intake
from bridge.domain.internal_inputs import UNWATCHED_MS, BridgeAbsence, plant_to_json
from bridge.domain.line.floor import Floor
from bridge.domain.line.plant_migration import orphaned_keys
from bridge.domain.plant import Plant
from bridge.domain.records import DedupWindow, JournalEntry
from bridge.domain.utc_time import Millis
from bridge.pipeline.replay import RestoredFloor
from bridge.ports.journal import Batch, Journal


@dataclass(frozen=True, slots=True)
class PlantChange:
    """The floor under a plant file, whether the file has changed, and how many current events it retired."""

    floor: Floor
    changed: bool
    retired: int


def journal_absence(
    restored: RestoredFloor, journal: Journal, *, decode: Decoder, now: Millis, clock_trusted: bool
) -> Millis | None:
    """Journal an absence if the floor was unwatched for long enough to matter; return when it began, else None.

    With a clock that is behind the journal (not `clock_trusted`) the duration is unknown, so the absence is journalled.
    Raise `CommitFailed`.
    """
    number, since = journal.last_input()
    if not number or (clock_trusted and now - since < UNWATCHED_MS):
        return None
    intake = _intake(restored.floor, journal, decode)
    journal.commit(Batch(entries=[intake.enter_absence(BridgeAbsence(since=since, reason="restart"), now)]))
    return since


def journal_plant(
    plant: Plant, restored: RestoredFloor, journal: Journal, *, decode: Decoder, now: Millis
) -> PlantChange:
    """Return the floor under this plant file, once the journal holds the file. Raise `CommitFailed`.

    A file that differs from the one last journalled is an input like any other. Its commit carries a checkpoint of
    every line, so no replay at a start crosses it. If current events belong to equipment that left the plant, the same
    commit retires them and begins a new epoch. Otherwise restoring the old file would bring them back as current, with
    nothing on the floor behind them.
    """
    text = plant_to_json(plant)
    if text == restored.plant:
        return PlantChange(restored.floor, changed=False, retired=0)
    intake = _intake(restored.floor, journal, decode)
    entry = intake.enter_plant(text, now)
    retired = orphaned_keys(_current_after(entry, journal), plant)
    checkpoints = {line.id: intake.floor.checkpoint(line.id) for line in plant.lines}
    journal.commit(Batch(entries=[entry], checkpoints=checkpoints, retired_keys=retired or None))
    return PlantChange(intake.floor, changed=True, retired=len(retired))


def _intake(floor: Floor, journal: Journal, decode: Decoder) -> Intake:
    return Intake(
        floor,
        decode=decode,
        position=journal.position(),
        last_input=journal.last_input(),
        dedup=Deduplicator(DedupWindow((), 0), doubt_ms=0),  # no message is received here
        crash_digests=(),
    )


def _current_after(entry: JournalEntry, journal: Journal) -> frozenset[StateKey]:
    keys = {event.state_key for event in journal.snapshot().events}
    for event in entry.events:
        if event.standing is Standing.CURRENT:
            keys.add(event.state_key)
        elif event.standing is Standing.CLOSED:
            keys.discard(event.state_key)
    return frozenset(keys)
