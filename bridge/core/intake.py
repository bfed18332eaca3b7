"""One message, or one tick, becomes one journal entry: decoded, told from resends, applied to the floor, positioned."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from bridge.core.events import Event, Millis
from bridge.core.line.adoption import migrate_floor
from bridge.core.line.floor import Floor
from bridge.core.plant_text import PLANT, plant_of
from bridge.core.presence import ABSENCE, CLOCK, Absence, ClockStep
from bridge.core.records import Applied, CommandRecord, Committed, Input, Position, Resend, position_event
from bridge.core.reports import APPLIED, LEVELS, Disposition, Effect, Outcome, Report, place_of, quarantined, suppressed
from bridge.core.resends import Resends, digest, resend_of

TICK: Final = ""  # the topic of an input that is the passing of time

_DUPLICATE: Final = suppressed("duplicate")
_DUPLICATE_COMMAND: Final = suppressed("duplicate_command")
CRASHED: Final = quarantined("crashed")
"""The core crashed at this message in an earlier run: it is kept aside for whoever mends the core."""


class Decode(Protocol):
    """Bytes on a topic relative to the root -> what they say, or why they are quarantined; never raises."""

    def __call__(
        self, topic: str, payload: bytes, *, received_at: Millis, cause: str, retained: bool
    ) -> Report | Disposition: ...


@dataclass(frozen=True, slots=True)
class Decoded:
    """An input with its meaning, not applied yet."""

    input: Input
    meaning: Report | Disposition
    generation: int
    mid: int | None = None
    asked: bool = False  # somebody wants this quarantined input taken in again: its content being known is no reason

    @property
    def command(self) -> tuple[str, str] | None:
        """The (user, command id) of a user's command."""
        report = self.meaning
        if isinstance(report, Disposition) or report.command_id is None or report.actor is None:
            return None
        return (report.actor.id, report.command_id)


def cause_of(number: int) -> str:
    return f"input:{number}"


def meaning_of(given: Input, decode: Decode) -> Report | Disposition:
    """Return what an input says: the same at its arrival and in every replay."""
    cause = cause_of(given.number)
    meaning = decode(given.topic, given.payload, received_at=given.received_at, cause=cause, retained=given.retained)
    if given.redelivered and isinstance(meaning, Report):
        return replace(meaning, redelivered=True)
    return meaning


def overlook(floor: Floor, given: Input, disposition: Disposition) -> None:
    """Let the floor know of a message that was decided before it: the device lives, and had no effect."""
    levels = given.topic.split("/", LEVELS)
    if len(levels) == LEVELS and levels[0] == "report":
        floor.overlook(place_of(levels), disposition, given.received_at)


def configured(floor: Floor, given: Input) -> tuple[Floor, Outcome]:
    """Return the floor under the plant file that an input is, and what that did."""
    floor, events = migrate_floor(floor, plant_of(given.payload), given.received_at, cause=cause_of(given.number))
    return floor, Outcome(APPLIED, events)


def absent(floor: Floor, given: Input) -> Outcome:
    """Apply the absence that an input is."""
    since = Absence.decode(given.payload).since
    return Outcome(APPLIED, floor.absent(since, given.received_at, cause=cause_of(given.number)))


def stepped(floor: Floor, given: Input) -> Outcome:
    """Apply the step of the host's clock that an input is."""
    by = ClockStep.decode(given.payload).by
    return Outcome(APPLIED, floor.set_forward(by, given.received_at))


class Intake:
    """Numbers inputs, gives events their offsets, and never applies the same message twice."""

    def __init__(
        self,
        floor: Floor,
        *,
        decode: Decode,
        position: Position,
        last_input: tuple[int, Millis],
        resends: Resends,
        suspects: Iterable[bytes],
    ) -> None:
        self.floor = floor
        self.offset = position.offset
        self.number, self.latest = last_input
        self.resends = resends
        self.unknown_fields = 0
        self._decode = decode
        self._stream = position.stream
        self._epoch = position.epoch
        self._suspects = frozenset(suspects)
        self._commands: dict[tuple[str, str], CommandRecord] = {}

    def read(
        self,
        topic: str,
        payload: bytes,
        *,
        now: Millis,
        retained: bool,
        redelivered: bool,
        generation: int,
        mid: int | None = None,
        asked: bool = False,
    ) -> Decoded:
        """Give a message its number and its meaning. `topic` is relative to the root."""
        self.latest = max(self.latest, now)  # the floor's time never goes back
        given = Input(
            number=self.number + 1,
            topic=topic,
            payload=payload,
            received_at=self.latest,
            retained=retained,
            redelivered=redelivered,
        )
        if mid is not None and not redelivered:
            self.resends.free(mid)
        if self._suspects and not asked and digest(topic, payload) in self._suspects:
            return Decoded(given, CRASHED, generation)
        return Decoded(given, meaning_of(given, self._decode), generation, mid, asked)

    def recall(self, decoded: Decoded) -> CommandRecord | None:
        """Return what became of this command, if it was applied and is not committed yet."""
        return None if decoded.command is None else self._commands.get(decoded.command)

    def apply(self, decoded: Decoded, *, known: CommandRecord | None) -> Applied:
        """Apply what was read last. `known`: what became of the same command before."""
        given, report = decoded.input, decoded.meaning
        if isinstance(report, Disposition):
            return self._overlook(given, report)
        self.unknown_fields += report.unknown_fields
        if known is not None:
            return self._enter(given, Outcome(_DUPLICATE_COMMAND), command=known, reached_core=False)
        resend = resend_of(report, given.topic, given.payload, mid=decoded.mid)
        if decoded.asked and resend is not None and not resend.dated:
            resend = None  # the broker does not send it again
        known_content = resend is not None and self.resends.take(
            given.number,
            resend,
            redelivered=given.redelivered,
            generation=decoded.generation,
            clock_proves=resend.dated and self.floor.is_proven_repeat(report),
        )
        if known_content and not decoded.asked:  # of what was quarantined before, the content may well be known
            return self._overlook(given, _DUPLICATE, resend=resend)
        outcome = self.floor.apply(report, given.received_at)
        entry = self._enter(given, outcome, resend=resend)
        if decoded.command is None:
            return entry
        return self._with_result(entry, decoded.command, outcome)

    def tick(self, now: Millis) -> Applied | None:
        """Let time pass; None where nothing came of it."""
        self.latest = max(self.latest, now)
        events = tuple(event for _, events in self.floor.tick(self.latest) for event in events)
        if not events:
            return None
        given = Input(number=self.number + 1, topic=TICK, payload=b"", received_at=self.latest)
        return self._enter(given, Outcome(Disposition(Effect.APPLIED), events))

    def configure(self, text: bytes, now: Millis) -> Applied:
        """Take a plant file in: from here on the floor stands under it."""
        self.latest = max(self.latest, now)
        given = Input(number=self.number + 1, topic=PLANT, payload=text, received_at=self.latest)
        self.floor, outcome = configured(self.floor, given)
        return self._enter(given, outcome)

    def absence(self, absence: Absence, now: Millis) -> Applied:
        """Take in that nobody watched: what the floor does from then on is not known."""
        self.latest = max(self.latest, now)
        given = Input(number=self.number + 1, topic=ABSENCE, payload=absence.encode(), received_at=self.latest)
        return self._enter(given, absent(self.floor, given))

    def clock_step(self, by: Millis, now: Millis) -> Applied:
        """Take in that the host's clock was set forward, to `now`."""
        self.latest = max(self.latest, now)
        given = Input(number=self.number + 1, topic=CLOCK, payload=ClockStep(by=by).encode(), received_at=self.latest)
        return self._enter(given, stepped(self.floor, given))

    def committed(self, entries: Sequence[Applied]) -> None:
        """Forget the results of commands that the journal knows by now."""
        for entry in entries:
            if entry.command is not None:
                self._commands.pop((entry.command.user, entry.command.command_id), None)

    def _overlook(self, given: Input, disposition: Disposition, *, resend: Resend | None = None) -> Applied:
        overlook(self.floor, given, disposition)
        return self._enter(given, Outcome(disposition), resend=resend, reached_core=False)

    def _enter(
        self,
        given: Input,
        outcome: Outcome,
        *,
        resend: Resend | None = None,
        command: CommandRecord | None = None,
        reached_core: bool = True,
    ) -> Applied:
        self.number = given.number
        return Applied(
            input=given,
            disposition=outcome.disposition,
            events=self._position(outcome.events),
            command=command,
            resend=resend,
            reached_core=reached_core,
        )

    def _position(self, events: Sequence[Event]) -> tuple[Committed, ...]:
        first = self.offset + 1
        self.offset += len(events)
        return tuple(
            position_event(event, stream=self._stream, epoch=self._epoch, offset=first + index)
            for index, event in enumerate(events)
        )

    def _with_result(self, entry: Applied, command: tuple[str, str], outcome: Outcome) -> Applied:
        user, command_id = command
        disposition = outcome.disposition
        result = "rejected" if disposition.rejected else disposition.effect.value
        if disposition.effect is Effect.QUARANTINED:
            result = "rejected"  # to the user it is one: the plant has no such place
        record = CommandRecord(
            user=user,
            command_id=command_id,
            outcome=result,
            reason=disposition.reason,
            event_ids=tuple(event.id for event in entry.events[outcome.of_deadlines :]),
            at=entry.input.received_at,
        )
        self._commands[command] = record
        return Applied(
            input=entry.input, disposition=disposition, events=entry.events, command=record, resend=entry.resend
        )
