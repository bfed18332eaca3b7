"""A changed plant file at start: journalled, the floor brought under it, and what it no longer has retired."""

from dataclasses import dataclass

from bridge.core.events import Millis
from bridge.core.intake import Decode, Intake
from bridge.core.line.adoption import gone
from bridge.core.line.floor import Floor
from bridge.core.plant import Plant
from bridge.core.plant_text import text_of
from bridge.core.records import Batch, Journal, KnownResends
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
    every line: no replay at a start crosses it. Then a new epoch begins where something current is not in the plant
    any more; killed between the two, the next start finds it still current.
    """
    floor, text = restored.floor, text_of(plant)
    if text != restored.plant:
        intake = Intake(
            floor,
            decode=decode,
            position=journal.position(),
            last_input=journal.last_input(),
            resends=Resends(KnownResends((), 0), doubt_ms=0),  # no message is taken here
            suspects=(),
        )
        entry = intake.configure(text, now)
        floor = intake.floor
        journal.commit(Batch(entries=[entry], checkpoints={line.id: floor.checkpoint(line.id) for line in plant.lines}))
    retired = gone((event.state_key for event in journal.snapshot().events), plant)
    if retired:
        journal.begin_epoch(reason="plant", retired=retired)
    return Taken(floor, text != restored.plant, len(retired))
