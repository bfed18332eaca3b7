"""The port to the journal: what every store promises, so that another one can take SQLite's place.

`tests/ports/test_journal.py` holds every store to it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bridge.domain.events import Millis, StateKey
from bridge.domain.records import CommandRecord, CommittedEvent, DedupWindow, Input, JournalEntry, Position, Snapshot


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


class ReadableJournal(Protocol):
    """The part of a `Journal` that a front needs; every method blocks, and raises JournalError."""

    def position(self) -> Position: ...
    def snapshot(self) -> Snapshot: ...
    def events_after(self, offset: int, *, limit: int) -> Sequence[CommittedEvent]: ...
    def event(self, offset: int) -> CommittedEvent | None: ...
    def oldest_offset(self) -> int: ...
    def command(self, user: str, command_id: str) -> CommandRecord | None: ...


class ReplicatedJournal(ReadableJournal, Protocol):
    """A journal of another process."""

    def close_idle(self) -> None:
        """Hold nothing open until it is read again."""
