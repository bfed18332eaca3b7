"""The port to the journal: the contract of every store, so that another one can replace SQLite.

Order: numbers of inputs and offsets of events count from 1 without gaps or repetitions, also over epochs.
Durability: when `commit`, `mark_published` or `prune` returns, its effect survives a kill and a power loss.
Atomicity: a call takes effect completely or not at all, and a reader sees complete batches only.
Repetition: a batch whose commit failed may be committed again; a repeated command keeps its first result.
Errors: `JournalError` and its kinds, of which `JournalUnavailable` and `CommitFailed` may pass; `ValueError` for a
batch that does not follow the journal's end, which is a bug of the caller.
Threads: any thread may call any method at any time; writes wait for each other, reads do not wait for writes.

`tests/ports` tests every store against this: a new one adds itself to `tests/ports/journals.py`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bridge.domain.event_topic import EventTopic, StateKey
from bridge.domain.records import CommandRecord, CommittedEvent, DedupWindow, Input, JournalEntry, Position, Snapshot
from bridge.domain.utc_time import Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Contents of one transaction. `checkpoints`: line id -> state after the batch's last input.

    `acked_up_to`: the broker has the acknowledgements of all inputs up to this number (None: as before).
    `crash_digest`: digest of a message at which the core crashed; it will not be applied a second time.
    `quarantined_numbers`: numbers of quarantined inputs whose requested replay is among the entries.
    `retired_keys`: state keys that are no longer current; after the batch a new epoch begins (None: same epoch).
    `observed_until`: floor time until which the floor was monitored, with or without reports (None: as before).
    """

    entries: Sequence[JournalEntry]
    checkpoints: Mapping[str, bytes] = field(default_factory=dict)
    acked_up_to: int | None = None
    crash_digest: bytes | None = None
    quarantined_numbers: Sequence[int] = ()
    retired_keys: Collection[StateKey] | None = None
    observed_until: Millis | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A line's state after input `number`."""

    line: str
    number: int
    state: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionLimits:
    """Limits of a journal: the age of its events and inputs, and its size; None: no limit."""

    events_ms: Millis | None = None
    inputs_ms: Millis | None = None
    max_bytes: int | None = None


class JournalError(Exception):
    """A failed request to the journal: the fault of the disk, the file or the operator, never of the sender."""


class JournalUnavailable(JournalError):
    """A failed read, for a reason that may pass: no file descriptors, an I/O error, a lock."""


class CommitFailed(JournalError):
    """A failed commit: nothing of the batch was committed, and it may be tried again."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"commit failed: {reason}")
        self.reason = reason


class ReadableJournal(Protocol):
    """The part of a journal that a front needs. Every method blocks, and may raise `JournalUnavailable`."""

    def position(self) -> Position:
        """Return the last committed position, of the current epoch."""

    def snapshot(self) -> Snapshot:
        """Return all current events at one position."""

    def events_after(self, offset: int, *, limit: int) -> Sequence[CommittedEvent]:
        """Return events with greater offsets, in order, at most `limit`, without gaps; none after the last.

        If the first is not `offset` + 1, retention has removed the events before it.
        """

    def event(self, offset: int) -> CommittedEvent | None:
        """Return the event at an offset, None when it isn't held; a current one always is, however old."""

    def oldest_offset(self) -> int:
        """Return the offset from which on every event is held; last offset + 1 when none is."""

    def command(self, user: str, command_id: str) -> CommandRecord | None:
        """Return the result of a user's command, None when it is unknown or older than 24 h."""


class Journal(ReadableJournal, Protocol):
    """A durable log of one stream: one writer, many readers. Every method blocks; adapters run them off the loop."""

    stream: str
    epoch: str

    def commit(self, batch: Batch) -> None:
        """Make the batch durable, or raise `CommitFailed` and change nothing.

        Raise `ValueError` if an input or event does not follow the last one, and `JournalError` after `close`.

        If the batch begins a new epoch, `epoch` changes to it; offsets continue.
        """

    def prune(self, now: Millis, keep: RetentionLimits) -> int:
        """Delete a bounded number of old events and inputs; return how many, 0 when no more may be deleted now.

        Kept is what is current or unpublished, what a restart replays and what is in quarantine. Over the size limit
        the oldest are deleted first, an hour at a time. On failure raise `CommitFailed` and change nothing.
        """

    def last_input(self) -> tuple[int, Millis]:
        """Return the last input's number, and the latest arrival or `observed_until`; (0, 0) when empty."""

    def checkpoints(self) -> Sequence[Checkpoint]:
        """Return the newest checkpoint of every line."""

    def inputs_after(self, number: int, *, limit: int) -> Sequence[JournalEntry]:
        """Return inputs with greater numbers and their effects (without `command` and `message_digest`), in order.

        A quarantined input's payload is empty once newer ones have displaced it from the quarantine. Events that
        retention has removed are missing; if the first number is not `number` + 1, so are inputs.
        """

    def requested_replays(self, limit: int) -> Sequence[Input]:
        """Return quarantined inputs whose replay was requested, the oldest first, with whole payloads."""

    def config(self, topic: str) -> Input | None:
        """Return the configuration input in force on a topic, however old; None if there never was one."""

    def dedup_window(self) -> DedupWindow:
        """Return the digests that identify resent messages, of a bounded window of inputs."""

    def crash_digests(self) -> frozenset[bytes]:
        """Return the digests of messages at which the core crashed before."""

    def published_offset(self) -> int:
        """Return the offset up to which publishing is complete."""

    def mark_published(self, offset: int, *, retained: Iterable[tuple[StateKey, EventTopic | None]]) -> None:
        """Set the published offset, and record which topic is retained for a state key (None: no longer any)."""

    def retained_topics(self) -> Mapping[StateKey, EventTopic]:
        """Return the topic retained on the broker for each state key."""

    def counters(self) -> Mapping[tuple[str, str, str], int]:
        """Return how many inputs had each (kind, effect, reason): the accounting of promise P6."""

    def close(self) -> None:
        """Release the journal, so that another owner may open it; a second call does nothing."""


class ReplicatedJournal(ReadableJournal, Protocol):
    """A journal that another process writes."""

    def close_idle(self) -> None:
        """Close everything until the next read."""
