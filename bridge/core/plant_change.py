"""A changed plant file at start: journalled, the floor brought under it, and what it no longer has retired."""

from dataclasses import dataclass

from bridge.core.events import Millis, Standing, StateKey
from bridge.core.intake import Decode, Intake
from bridge.core.line.adoption import gone
from bridge.core.line.floor import Floor
from bridge.core.plant import Plant
from bridge.core.plant_text import text_of
from bridge.core.records import Applied, Batch, Journal, KnownResends
from bridge.core.replay import Restored
from bridge.core.resends import Resends


@dataclass(frozen=True, slots=True)
class Taken:
    """The floor under a plant file; whether that is another than before, and how many current events it retired."""

    floor: Floor
    changed: bool
    retired: int


def take_plant(plant: Plant, restored: Restored, journal: Journal, *, decode: Decode, now: Millis) -> Taken:
    """Return the floor under this plant file, when the journal knows that it is. Raises `CommitFailed`.

    A file that differs from the one last journalled is an input like any other, and its commit carries a checkpoint of
    every line: no replay at a start crosses it. By the same commit a new epoch begins where something current is not in
    the plant any more: were it left current, a file put back would find it so, with nothing of the floor behind it.
    """
    text = text_of(plant)
    if text == restored.plant:
        return Taken(restored.floor, changed=False, retired=0)
    intake = Intake(
        restored.floor,
        decode=decode,
        position=journal.position(),
        last_input=journal.last_input(),
        resends=Resends(KnownResends((), 0), doubt_ms=0),  # no message is taken here
        suspects=(),
    )
    entry = intake.configure(text, now)
    retired = gone(_current_after(entry, journal), plant)
    checkpoints = {line.id: intake.floor.checkpoint(line.id) for line in plant.lines}
    journal.commit(Batch(entries=[entry], checkpoints=checkpoints, retired=retired or None))
    return Taken(intake.floor, changed=True, retired=len(retired))


def _current_after(entry: Applied, journal: Journal) -> frozenset[StateKey]:
    keys = {event.state_key for event in journal.snapshot().events}
    for event in entry.events:
        if event.standing is Standing.CURRENT:
            keys.add(event.state_key)
        elif event.standing is Standing.CLOSED:
            keys.discard(event.state_key)
    return frozenset(keys)
