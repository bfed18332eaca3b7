"""The floor as it was: the last checkpoints, then the inputs after them, held against what was journalled then."""

from dataclasses import dataclass
from typing import Final

import msgspec

from bridge.core.events import Event, encode
from bridge.core.intake import TICK, Decode, meaning_of
from bridge.core.line.floor import Floor
from bridge.core.plant import Plant
from bridge.core.records import Applied, Journal
from bridge.core.reports import Disposition, Outcome

PAGE: Final = 1_000  # inputs read at a time: bounds the memory of a long replay
DIFFERENCES_KEPT: Final = 20  # a changed rule differs everywhere; a few show which


@dataclass(frozen=True, slots=True)
class Difference:
    """An input that does something else now than it did. The journal stays as it is: it was told to people."""

    number: int
    topic: str
    was: Disposition
    now: Disposition
    events_were: int
    events_now: int


@dataclass(frozen=True, slots=True)
class Restored:
    floor: Floor
    replayed: int
    differences: int
    first_differences: tuple[Difference, ...]


class ReplayFailed(Exception):
    """The core crashed on an input it had taken before: our fault, and nothing may start on half a state."""

    def __init__(self, number: int, topic: str) -> None:
        super().__init__(f"input {number} on {topic or 'a tick'} was applied before, and now crashes the core")
        self.number = number
        self.topic = topic


class CheckpointUnreadable(Exception):
    """A checkpoint is none that this version understands, and nothing may start without the state it holds."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the journal's checkpoints are of another version of floor-bridge ({reason}): start that version"
        )


def restore(plant: Plant, journal: Journal, *, decode: Decode) -> Restored:
    """Bring the floor to where the journal ends.

    A checkpoint round takes every changed line, so all lines are restored at the number of the newest round.
    """
    checkpoints = journal.checkpoints()
    try:
        floor = Floor.restore(plant, {each.line: each.state for each in checkpoints})
    except msgspec.MsgspecError as error:
        raise CheckpointUnreadable(str(error)) from error
    number = max((each.number for each in checkpoints), default=0)
    replayed = differences = 0
    first: list[Difference] = []
    while page := journal.inputs_after(number, limit=PAGE):
        for entry in page:
            if not entry.reached_core:
                continue
            replayed += 1
            difference = _replay(floor, entry, decode)
            if difference is not None:
                differences += 1
                first = [*first, difference][:DIFFERENCES_KEPT]
        number = page[-1].input.number
    return Restored(floor, replayed, differences, tuple(first))


def _replay(floor: Floor, entry: Applied, decode: Decode) -> Difference | None:
    given = entry.input
    try:
        outcome = _apply(floor, entry, decode)
    except Exception as error:
        raise ReplayFailed(given.number, given.topic) from error
    if outcome.disposition == entry.disposition and _same(outcome.events, entry):
        return None
    return Difference(
        number=given.number,
        topic=given.topic,
        was=entry.disposition,
        now=outcome.disposition,
        events_were=len(entry.events),
        events_now=len(outcome.events),
    )


def _apply(floor: Floor, entry: Applied, decode: Decode) -> Outcome:
    given = entry.input
    if given.topic == TICK:
        events = tuple(event for _, events in floor.tick(given.received_at) for event in events)
        return Outcome(entry.disposition, events)
    meaning = meaning_of(given, decode)
    if isinstance(meaning, Disposition):
        return Outcome(meaning)
    return floor.apply(meaning, given.received_at)


def _same(events: tuple[Event, ...], entry: Applied) -> bool:
    if len(events) != len(entry.events):
        return False
    for event, journalled in zip(events, entry.events, strict=True):
        stream, epoch, _ = journalled.id.split(":")  # the epoch it was written in: a restored backup has a new one
        if encode(event, stream=stream, epoch=epoch, offset=journalled.offset) != journalled.body:
            return False
    return True
