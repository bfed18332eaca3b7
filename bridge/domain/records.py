"""What the journal holds and hands on: inputs with dispositions, committed events, and the interface of a journal.

`Journal` is small on purpose: SQLite serves one machine, another store may serve several.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from bridge.domain.events import (
    CONFLATED_TYPES,
    Event,
    EventType,
    Millis,
    Priority,
    Standing,
    StateKey,
    encode_event,
    event_id,
)
from bridge.domain.reports import BODY_OF, Disposition

DEDUP_INPUTS: Final = 100_000
"""Inputs back to which a resend is known by its content: bounds memory, and the look back at start."""

CONFIG_PREFIX: Final = "config/"
"""Where the topics of inputs begin that are configuration: no message's topic does."""

PRESENCE_PREFIX: Final = "presence/"
"""Where the topics of absences of the bridge and of steps of the clock begin: no message's topic does."""

EpochReason = Literal["created", "restored", "plant"]
"""Why a journal's epoch began: it was made, put back from a backup, or its plant lost what had current events."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a stream stands: the offset of its last event, 0 before the first."""

    stream: str
    epoch: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One message as it arrived, or a tick (topic ``) that made events. `number` counts from 1 within a journal."""

    number: int
    topic: str  # relative to the root: `report/…` or `command/…`; empty for a tick
    payload: bytes
    received_at: Millis
    retained: bool = False
    redelivered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedEvent:
    """An event at its position, encoded once: `body` is what is journalled, published and delivered."""

    offset: int
    id: str
    type: EventType
    topic: str  # relative to `{root}/event/`, 8 levels
    priority: Priority
    state_key: StateKey
    standing: Standing
    timestamp: Millis
    audience: tuple[str, ...]
    body: bytes

    @property
    def is_lossless(self) -> bool:
        return self.type not in CONFLATED_TYPES


def position_event(event: Event, *, stream: str, epoch: str, offset: int) -> CommittedEvent:
    """Give an event its position and its bytes."""
    return CommittedEvent(
        offset=offset,
        id=event_id(stream, epoch, offset),
        type=event.type,
        topic=event.topic,
        priority=event.priority,
        state_key=event.state_key,
        standing=event.standing,
        timestamp=event.timestamp,
        audience=event.audience,
        body=encode_event(event, stream=stream, epoch=epoch, offset=offset),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """The result of a user's command, kept 24 h so that the same (user, command) is answered, not done again."""

    user: str
    command_id: str
    outcome: str  # applied, suppressed, rejected
    reason: str | None
    event_ids: tuple[str, ...]
    at: Millis


@dataclass(frozen=True, slots=True)
class MessageDigest:
    """By what a resend of the same content is known (DESIGN, Duplicates): a digest of topic and payload."""

    digest: bytes
    has_timestamp: bool  # the payload has a ts, so the same bytes are the same report; else only a redelivery can be
    mid: int | None = None  # the packet identifier it came with, if known: MQTT 5 4.4: a redelivery has the same


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """One input and all that it did; the unit the pipeline commits."""

    input: Input
    disposition: Disposition
    events: tuple[CommittedEvent, ...] = ()
    command: CommandRecord | None = None
    message_digest: MessageDigest | None = None
    reached_core: bool = True  # False: decided before the core, which a replay therefore leaves alone


def input_kind(topic: str) -> str:
    """Return the kind an input is counted by, of its topic: the kinds are ours, never the sender's text."""
    if not topic:
        return "tick"
    if topic.startswith(CONFIG_PREFIX):
        return "config"
    if topic.startswith(PRESENCE_PREFIX):
        return topic.removeprefix(PRESENCE_PREFIX)
    levels = topic.split("/")
    kind = levels[-1] if levels[-1] in BODY_OF else "other"
    return f"command/{kind}" if levels[0] == "command" else kind


def count_key(entry: JournalEntry) -> tuple[str, str, str]:
    """Return the (kind, effect, reason) an input is counted by."""
    return (input_kind(entry.input.topic), entry.disposition.effect.value, entry.disposition.reason or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one transaction commits. `checkpoints`: line id -> state after the batch's last input.

    `settled`: the broker is known to have taken the acknowledgements of inputs up to this number (None: as before).
    `suspect`: digest of a message at which the core crashed; it will not be applied a second time.
    `replayed`: numbers of quarantined inputs whose asked replay is among the entries.
    `retired`: state keys that are not current any more; after the batch a new epoch begins (None: this one goes on).
    `watched`: floor time until which the floor was watched, whether or not anything was reported (None: as before).
    """

    entries: Sequence[JournalEntry]
    checkpoints: Mapping[str, bytes] = field(default_factory=dict)
    acked_up_to: int | None = None
    crash_digest: bytes | None = None
    quarantined_numbers: Sequence[int] = ()
    retired_keys: Collection[StateKey] | None = None
    watched_until: Millis | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A line's state after input `number`."""

    line: str
    number: int
    state: bytes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The current events, oldest first, and the position they are true at: read in one transaction."""

    position: Position
    events: tuple[CommittedEvent, ...]


@dataclass(frozen=True, slots=True)
class DedupWindow:
    """What of the past tells a resend from news: the window's digests by input number, oldest first."""

    digests: tuple[tuple[int, MessageDigest], ...]
    acked_up_to: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionLimits:
    """How long a journal holds events and inputs, and how large it may be; None: for ever, and without bound."""

    events_ms: Millis | None = None
    inputs_ms: Millis | None = None
    max_bytes: int | None = None


class JournalError(Exception):
    """The journal can't do what was asked. The disk's, the file's or the operator's fault, never the sender's."""


class JournalUnavailable(JournalError):
    """Nothing was read, for a reason that may pass: no file descriptors, an input or output error, a lock."""


class CommitFailed(JournalError):
    """Nothing of the batch was committed; the same batch may be tried again."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"commit failed: {reason}")
        self.reason = reason


class Journal(Protocol):
    """A durable log of one stream. Every method blocks; adapters run them off the loop. One writer, many readers."""

    stream: str
    epoch: str

    def commit(self, batch: Batch) -> None:
        """Make the batch durable, fsync included, or raise `CommitFailed` and change nothing.

        Where it begins a new epoch `epoch` is that one; offsets go on.
        """

    def prune(self, now: Millis, keep: RetentionLimits) -> int:
        """Let go of a bounded number of old events and inputs; returns how many, 0 when no more may go now.

        What is current or unpublished, what a restart replays and what the quarantine holds stays. Over the size the
        oldest goes first, an hour at a time. Raises `CommitFailed` and changes nothing.
        """

    def position(self) -> Position:
        """Return the last committed position, of the epoch that holds. Every read may raise `JournalUnavailable`."""

    def last_input(self) -> tuple[int, Millis]:
        """Return the last input's number, and the latest arrival or `watched` journalled; (0, 0) when empty."""

    def snapshot(self) -> Snapshot:
        """Return all current events at one position."""

    def events_after(self, offset: int, *, limit: int) -> Sequence[CommittedEvent]:
        """Return events with greater offsets, in order, at most `limit`, without a hole between them.

        Where the first is not `offset` + 1, retention has removed what lay between.
        """

    def event(self, offset: int) -> CommittedEvent | None:
        """Return the event at an offset, None when it isn't held; a current one is, however old."""

    def oldest_offset(self) -> int:
        """Return the offset from which on every event is held; last offset + 1 when none is."""

    def checkpoints(self) -> Sequence[Checkpoint]:
        """Return the newest checkpoint of every line."""

    def inputs_after(self, number: int, *, limit: int) -> Sequence[JournalEntry]:
        """Return inputs with greater numbers and what they did (`command` and `resend` left out), in order.

        A quarantined input's payload is empty once newer ones have crowded it out of the quarantine. Events that
        retention has removed are left out; where the first number is not `number` + 1, so are inputs.
        """

    def requested_replays(self, limit: int) -> Sequence[Input]:
        """Return quarantined inputs that somebody wants taken in again, the oldest first, with whole payloads."""

    def config(self, topic: str) -> Input | None:
        """Return the configuration input that holds on a topic, however old; None where none ever came."""

    def dedup_window(self) -> DedupWindow:
        """Return the digests by which resent messages are known, of a bounded window of inputs."""

    def crash_digests(self) -> frozenset[bytes]:
        """Return the digests of messages at which the core crashed before."""

    def command(self, user: str, command_id: str) -> CommandRecord | None:
        """Return what became of a user's command, None when it is unknown or older than 24 h."""

    def published_offset(self) -> int:
        """Return the offset up to which the publisher is done."""

    def mark_published(self, offset: int, *, retained: Iterable[tuple[StateKey, str | None]]) -> None:
        """Move the publisher's mark, and note which topic is retained for a state key (None: no longer any)."""

    def retained_topics(self) -> Mapping[StateKey, str]:
        """Return the topic retained on the broker for each state key, relative to `{root}/event/`."""

    def counters(self) -> Mapping[tuple[str, str, str], int]:
        """Return how many inputs had each (kind, effect, reason): the accounting of promise P6."""

    def close(self) -> None: ...
