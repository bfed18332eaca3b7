"""Intake of messages and ticks: decoding, deduplication, application to the floor, and one journal entry for each."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.dedup import Deduplicator, digest_message, message_digest_of
from bridge.domain.envelope import position_event
from bridge.domain.events import Event
from bridge.domain.internal_inputs import (
    ABSENCE_TOPIC,
    CLOCK_TOPIC,
    PLANT_TOPIC,
    BridgeAbsence,
    ClockStep,
    plant_from_json,
)
from bridge.domain.line.floor import Floor
from bridge.domain.line.plant_migration import migrate_floor
from bridge.domain.messages import IncomingMessage
from bridge.domain.probe_topics import probe_disposition
from bridge.domain.records import CommandRecord, CommittedEvent, Input, JournalEntry, MessageDigest, Position
from bridge.domain.report_topic import ReportTopic
from bridge.domain.reports import (
    APPLIED,
    Disposition,
    Effect,
    Outcome,
    Report,
    quarantined,
    suppressed,
)
from bridge.domain.topic_tree import TopicBranch
from bridge.domain.utc_time import Millis

TICK_TOPIC: Final = ""  # the topic of an input that is a tick

_DUPLICATE: Final = suppressed("duplicate")
_DUPLICATE_COMMAND: Final = suppressed("duplicate_command")
CRASHED: Final = quarantined("crashed")
"""The core crashed at this message in an earlier run: it stays in quarantine until the core is fixed."""


class Decoder(Protocol):
    """Decoder of bytes on a topic relative to the root: a report, or the reason for quarantine; never raises."""

    def __call__(
        self, topic: str, payload: bytes, *, received_at: Millis, cause: str, retained: bool
    ) -> Report | Disposition: ...


class DecodedInput(Struct, frozen=True):
    """An input and its decoded content, not applied yet."""

    input: Input
    result: Report | Disposition
    message: IncomingMessage

    @property
    def command(self) -> tuple[str, str] | None:
        """Return the (user, command id) of a user's command; None for any other input."""
        report = self.result
        if isinstance(report, Disposition) or report.command_id is None or report.actor is None:
            return None
        return (report.actor.id, report.command_id)


def cause_id(number: int) -> str:
    return f"input:{number}"


def decode_input(input_: Input, decode: Decoder) -> Report | Disposition:
    """Decode an input; the result is the same at its arrival and in every replay."""
    cause = cause_id(input_.number)
    result = decode(input_.topic, input_.payload, received_at=input_.received_at, cause=cause, retained=input_.retained)
    if input_.redelivered and isinstance(result, Report):
        return replace(result, redelivered=True)
    return result


def record_unapplied(floor: Floor, input_: Input, disposition: Disposition) -> None:
    """Record a message that was decided before the floor saw it: its device is alive, the message had no effect.

    A message of the probe is no device's, whatever its place.
    """
    topic = ReportTopic.parse(input_.topic)
    if topic is not None and topic.branch is TopicBranch.REPORT and probe_disposition(input_.topic) is None:
        floor.record_unapplied(topic.place, disposition, input_.received_at)


def apply_plant(floor: Floor, input_: Input) -> tuple[Floor, Outcome]:
    """Return the floor under the plant file in an input, and the outcome of the change."""
    floor, events = migrate_floor(
        floor, plant_from_json(input_.payload), input_.received_at, cause=cause_id(input_.number)
    )
    return floor, Outcome(APPLIED, events)


def apply_absence(floor: Floor, input_: Input) -> Outcome:
    """Apply the absence in an input to the floor."""
    since = BridgeAbsence.decode(input_.payload).since
    return Outcome(APPLIED, floor.apply_absence(since, input_.received_at, cause=cause_id(input_.number)))


def apply_clock_step(floor: Floor, input_: Input) -> Outcome:
    """Apply the step of the host's clock in an input to the floor."""
    by = ClockStep.decode(input_.payload).by
    return Outcome(APPLIED, floor.set_forward(by, input_.received_at))


class Intake:
    """Numbers inputs, gives events their offsets, and never applies the same message twice."""

    def __init__(
        self,
        floor: Floor,
        *,
        decode: Decoder,
        position: Position,
        last_input: tuple[int, Millis],
        dedup: Deduplicator,
        crash_digests: Iterable[bytes],
    ) -> None:
        self.floor = floor
        self.offset = position.offset
        self.number, self.latest_time = last_input
        self.dedup = dedup
        self.unknown_fields = 0
        self._decode = decode
        self._stream = position.stream
        self._epoch = position.epoch
        self._crash_digests = frozenset(crash_digests)
        self._commands: dict[tuple[str, str], CommandRecord] = {}

    def receive(self, message: IncomingMessage, *, now: Millis) -> DecodedInput:
        """Number and decode a message."""
        input_ = self._next_input(
            message.topic, message.payload, now, retained=message.retained, redelivered=message.redelivered
        )
        if message.packet_id is not None and not message.redelivered:
            self.dedup.release_packet_id(message.packet_id)
        if message.replayed is None and self._has_crashed(message):
            return DecodedInput(input_, CRASHED, message)
        return DecodedInput(input_, decode_input(input_, self._decode), message)

    def pending_result(self, decoded: DecodedInput) -> CommandRecord | None:
        """Return the result of this command, if it was applied and is not committed yet."""
        return None if decoded.command is None else self._commands.get(decoded.command)

    def apply(self, decoded: DecodedInput, *, earlier_result: CommandRecord | None) -> JournalEntry:
        """Apply the input received last; a command with an `earlier_result` is not applied again."""
        input_, report, message = decoded.input, decoded.result, decoded.message
        is_replay = message.replayed is not None  # the same content again, and yet no duplicate
        if isinstance(report, Disposition):
            return self._enter_unapplied(input_, report)
        self.unknown_fields += report.unknown_fields
        if earlier_result is not None:
            return self._enter(input_, Outcome(_DUPLICATE_COMMAND), command=earlier_result, reached_core=False)
        digest = message_digest_of(report, input_.topic, input_.payload, packet_id=message.packet_id)
        if is_replay and digest is not None and not digest.has_timestamp:
            digest = None  # the broker does not send it again
        is_duplicate = digest is not None and self.dedup.check_and_add(
            input_.number,
            digest,
            redelivered=input_.redelivered,
            generation=message.generation,
            clock_proves=digest.has_timestamp and self.floor.is_proven_repeat(report),
        )
        if is_duplicate and not is_replay:
            return self._enter_unapplied(input_, _DUPLICATE, digest=digest)
        outcome = self.floor.apply(report, input_.received_at)
        entry = self._enter(input_, outcome, digest=digest)
        if decoded.command is None:
            return entry
        return self._with_result(entry, decoded.command, outcome)

    def tick(self, now: Millis) -> JournalEntry | None:
        """Advance the floor to `now`; None if that caused no event."""
        input_ = self._next_input(TICK_TOPIC, b"", now)
        events = tuple(event for _, events in self.floor.tick(input_.received_at) for event in events)
        return self._enter(input_, Outcome(APPLIED, events)) if events else None

    def enter_plant(self, text: bytes, now: Millis) -> JournalEntry:
        """Apply a plant file: the floor runs under it from here on."""
        input_ = self._next_input(PLANT_TOPIC, text, now)
        self.floor, outcome = apply_plant(self.floor, input_)
        return self._enter(input_, outcome)

    def enter_absence(self, absence: BridgeAbsence, now: Millis) -> JournalEntry:
        """Apply an absence of the bridge: the state of the machines is unknown from its start on."""
        input_ = self._next_input(ABSENCE_TOPIC, absence.encode(), now)
        return self._enter(input_, apply_absence(self.floor, input_))

    def enter_clock_step(self, by: Millis, now: Millis) -> JournalEntry:
        """Apply a step of the host's clock, which was set forward to `now`."""
        input_ = self._next_input(CLOCK_TOPIC, ClockStep(by=by).encode(), now)
        return self._enter(input_, apply_clock_step(self.floor, input_))

    def forget_committed(self, entries: Sequence[JournalEntry]) -> None:
        """Forget the results of commands that the journal now holds."""
        for entry in entries:
            if entry.command is not None:
                self._commands.pop((entry.command.user, entry.command.command_id), None)

    def _has_crashed(self, message: IncomingMessage) -> bool:
        return bool(self._crash_digests) and digest_message(message.topic, message.payload) in self._crash_digests

    def _next_input(
        self, topic: str, payload: bytes, now: Millis, *, retained: bool = False, redelivered: bool = False
    ) -> Input:
        """Return the input that follows, received at `now`, or later: the floor's time never goes back."""
        self.latest_time = max(self.latest_time, now)
        return Input(
            number=self.number + 1,
            topic=topic,
            payload=payload,
            received_at=self.latest_time,
            retained=retained,
            redelivered=redelivered,
        )

    def _enter_unapplied(
        self, input_: Input, disposition: Disposition, *, digest: MessageDigest | None = None
    ) -> JournalEntry:
        record_unapplied(self.floor, input_, disposition)
        return self._enter(input_, Outcome(disposition), digest=digest, reached_core=False)

    def _enter(
        self,
        input_: Input,
        outcome: Outcome,
        *,
        digest: MessageDigest | None = None,
        command: CommandRecord | None = None,
        reached_core: bool = True,
    ) -> JournalEntry:
        self.number = input_.number
        return JournalEntry(
            input=input_,
            disposition=outcome.disposition,
            events=self._position(outcome.events),
            command=command,
            message_digest=digest,
            reached_core=reached_core,
        )

    def _position(self, events: Sequence[Event]) -> tuple[CommittedEvent, ...]:
        first = self.offset + 1
        self.offset += len(events)
        return tuple(
            position_event(event, stream=self._stream, epoch=self._epoch, offset=first + index)
            for index, event in enumerate(events)
        )

    def _with_result(self, entry: JournalEntry, command: tuple[str, str], outcome: Outcome) -> JournalEntry:
        user, command_id = command
        disposition = outcome.disposition
        # To the user, a quarantined command is rejected: the plant has no such place.
        is_rejected = disposition.rejected or disposition.effect is Effect.QUARANTINED
        record = CommandRecord(
            user=user,
            command_id=command_id,
            outcome="rejected" if is_rejected else disposition.effect.value,
            reason=disposition.reason,
            event_ids=tuple(event.id for event in entry.events[outcome.deadline_events :]),
            at=entry.input.received_at,
        )
        self._commands[command] = record
        return replace(entry, command=record)
