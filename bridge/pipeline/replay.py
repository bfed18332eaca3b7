"""Restore of the floor: the last checkpoints, then a replay of the inputs after them, compared with the journal."""

from dataclasses import dataclass
from typing import Final

import msgspec
from pydantic import ValidationError

from bridge.domain.envelope import encode_event
from bridge.domain.events import Event
from bridge.domain.intake import (
    TICK_TOPIC,
    Decoder,
    apply_absence,
    apply_clock_step,
    apply_plant,
    decode_input,
    record_unapplied,
)
from bridge.domain.internal_inputs import ABSENCE_TOPIC, CLOCK_TOPIC, PLANT_TOPIC, plant_from_json
from bridge.domain.line.floor import Floor
from bridge.domain.plant import Plant
from bridge.domain.records import JournalEntry
from bridge.domain.reports import Disposition, Outcome
from bridge.ports.journal import Journal

PAGE: Final = 1_000  # inputs read at a time: bounds the memory of a long replay
MAX_DIFFERENCES: Final = 20  # a changed rule differs everywhere; a few examples show which


@dataclass(frozen=True, slots=True)
class ReplayDifference:
    """An input whose effect differs from the journalled one. The journal stays as it is: its events were published."""

    number: int
    topic: str
    was: Disposition
    now: Disposition
    events_were: int
    events_now: int


@dataclass(frozen=True, slots=True)
class RestoredFloor:
    """The floor as the journal has it, and how its replay compares: inputs replayed, and those that differ."""

    floor: Floor
    plant: bytes | None  # the plant file in force, as last journalled; None: there was none
    replayed: int
    differences: int
    first_differences: tuple[ReplayDifference, ...]


class ReplayFailed(Exception):
    """The core crashed on an input it had applied before: a bug of ours. Nothing may start on a partial state."""

    def __init__(self, number: int, topic: str) -> None:
        super().__init__(
            f"input {number} ({topic or 'a tick'}) was applied before, but its replay fails: start the former version"
        )
        self.number = number
        self.topic = topic


class CheckpointUnreadable(Exception):
    """A checkpoint that this version cannot decode. Nothing may start without the state it holds."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the journal has checkpoints of another version of floor-bridge ({reason}): start that version"
        )


def restore_floor(plant: Plant, journal: Journal, *, decode: Decoder) -> RestoredFloor:
    """Restore the floor to the journal's end, under the plant files in force at each input.

    `plant` stands in for a journal without one. A checkpoint round takes every changed line, and a new plant file every
    line, so all lines are restored at the number of the newest round. Raise `CheckpointUnreadable` and `ReplayFailed`.
    """
    checkpoints = journal.checkpoints()
    number = max((checkpoint.number for checkpoint in checkpoints), default=0)
    text = _plant_at(number, journal)
    try:
        plant_in_force = plant if text is None else plant_from_json(text)
        floor = Floor.restore(plant_in_force, {checkpoint.line: checkpoint.state for checkpoint in checkpoints})
    except (msgspec.MsgspecError, ValidationError) as error:
        raise CheckpointUnreadable(str(error)) from error
    replayed = differences = 0
    first: list[ReplayDifference] = []
    while page := journal.inputs_after(number, limit=PAGE):
        for entry in page:
            if not entry.reached_core:
                record_unapplied(floor, entry.input, entry.disposition)
                continue
            replayed += 1
            floor, difference = _replay(floor, entry, decode)
            if entry.input.topic == PLANT_TOPIC:
                text = entry.input.payload
            if difference is not None:
                differences += 1
                first = [*first, difference][:MAX_DIFFERENCES]
        number = page[-1].input.number
    return RestoredFloor(floor, text, replayed, differences, tuple(first))


def _plant_at(number: int, journal: Journal) -> bytes | None:
    """Return the plant file in force after this input."""
    newest = journal.config(PLANT_TOPIC)
    if newest is None or newest.number <= number:
        return None if newest is None else newest.payload
    following = journal.inputs_after(number, limit=1)  # a journal begins with its plant file
    return following[0].input.payload if following and following[0].input.topic == PLANT_TOPIC else None


def _replay(floor: Floor, entry: JournalEntry, decode: Decoder) -> tuple[Floor, ReplayDifference | None]:
    input_ = entry.input
    try:
        floor, outcome = _apply(floor, entry, decode)
    except Exception as error:
        raise ReplayFailed(input_.number, input_.topic) from error
    if outcome.disposition == entry.disposition and _same(outcome.events, entry):
        return floor, None
    return floor, ReplayDifference(
        number=input_.number,
        topic=input_.topic,
        was=entry.disposition,
        now=outcome.disposition,
        events_were=len(entry.events),
        events_now=len(outcome.events),
    )


def _apply(floor: Floor, entry: JournalEntry, decode: Decoder) -> tuple[Floor, Outcome]:
    input_ = entry.input
    if input_.topic == TICK_TOPIC:
        events = tuple(event for _, events in floor.tick(input_.received_at) for event in events)
        return floor, Outcome(entry.disposition, events)
    if input_.topic == PLANT_TOPIC:
        return apply_plant(floor, input_)
    if input_.topic == ABSENCE_TOPIC:
        return floor, apply_absence(floor, input_)
    if input_.topic == CLOCK_TOPIC:
        return floor, apply_clock_step(floor, input_)
    meaning = decode_input(input_, decode)
    if isinstance(meaning, Disposition):
        record_unapplied(floor, input_, meaning)
        return floor, Outcome(meaning)
    return floor, floor.apply(meaning, input_.received_at)


def _same(events: tuple[Event, ...], entry: JournalEntry) -> bool:
    if len(events) != len(entry.events):
        return False
    for event, journalled in zip(events, entry.events, strict=True):
        stream, epoch, _ = journalled.id.split(":")  # the epoch it was written in: a restored backup has a new one
        if encode_event(event, stream=stream, epoch=epoch, offset=journalled.offset) != journalled.body:
            return False
    return True
