"""Records of the journal: inputs and their effects, committed events and their positions, results of commands."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from operator import attrgetter
from typing import Final, Literal

from msgspec import Struct

from bridge.domain.event_topic import EventTopic, StateKey
from bridge.domain.events import CONFLATED_TYPES, EventType, Standing
from bridge.domain.probe_topics import CANARY, FORBIDDEN, probe_disposition
from bridge.domain.reports import BODY_OF, Disposition
from bridge.domain.topic_tree import TopicBranch
from bridge.domain.utc_time import Millis

DEDUP_INPUTS: Final = 100_000
"""The number of inputs within which a resend is recognized by content: bounds memory, and what is read at start."""

CONFIG_PREFIX: Final = "config/"
"""Topic prefix of configuration inputs; no message has it."""

PRESENCE_PREFIX: Final = "presence/"
"""Topic prefix of absences of the bridge and of clock steps; no message has it."""

EVENT_OVERHEAD_BYTES: Final = 1_024
"""Memory that a queued event takes beside its body, measured: topic, key, times, queue slots."""

EpochReason = Literal["created", "restored", "plant"]
"""Cause of a journal's epoch: it was created, restored from a backup, or its plant lost a part with current events."""


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a stream: `offset` is that of its last event, 0 before the first."""

    stream: str
    epoch: str
    offset: int


class Input(Struct, frozen=True, kw_only=True):
    """A message as received, or a tick that caused events. `number` counts from 1 within a journal."""

    number: int
    topic: str  # relative to the root: `report/…` or `command/…`; empty for a tick
    payload: bytes
    received_at: Millis
    retained: bool = False
    redelivered: bool = False


class CommittedEvent(Struct, frozen=True, kw_only=True):
    """An event at its position, encoded once: `body` is journalled, published and delivered."""

    offset: int
    id: str
    topic: EventTopic
    standing: Standing
    timestamp: Millis
    audience: tuple[str, ...]
    body: bytes

    @property
    def type(self) -> EventType:
        return self.topic.type

    @property
    def state_key(self) -> StateKey:
        return self.topic.state_key

    @property
    def assignees(self) -> tuple[str, ...]:
        """Return the user ids of those who get a job_assigned without a subscription, as far as they may read it."""
        return self.audience if self.topic.type is EventType.JOB_ASSIGNED else ()

    @property
    def is_lossless(self) -> bool:
        """Return whether no later event replaces it. What amends the past does not replace a state either."""
        return self.topic.type not in CONFLATED_TYPES or self.standing is Standing.HISTORY

    @property
    def memory_bytes(self) -> int:
        """Return the memory that the event takes while it is cached or queued."""
        return EVENT_OVERHEAD_BYTES + len(self.body)


def merge_by_offset(*sequences: Iterable[CommittedEvent]) -> Iterator[CommittedEvent]:
    """Yield the events of sequences that ascend by offset, in the order of their offsets."""
    return merge(*sequences, key=attrgetter("offset"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRecord:
    """The result of a user's command, kept 24 h: the same (user, command) gets it and is not applied again."""

    user: str
    command_id: str
    outcome: str  # applied, suppressed, rejected
    reason: str | None
    event_ids: tuple[str, ...]
    at: Millis


class MessageDigest(Struct, frozen=True):
    """Digest of topic and payload, which identifies a resend of the same content (design.md, «Duplicates»)."""

    digest: bytes
    has_timestamp: bool  # the same bytes with a ts are the same report; without, only a redelivery is
    packet_id: int | None = None  # if known; MQTT 5 4.4: a redelivery has the same


class JournalEntry(Struct, frozen=True, kw_only=True):
    """One input and all its effects; the unit that the pipeline commits."""

    input: Input
    disposition: Disposition
    events: tuple[CommittedEvent, ...] = ()
    command: CommandRecord | None = None
    message_digest: MessageDigest | None = None
    reached_core: bool = True  # False: decided before the core, so a replay does not apply it


def input_kind(topic: str) -> str:
    """Return the kind under which an input of this topic is counted: one of ours, never the sender's text."""
    if not topic:
        return "tick"
    if topic.startswith(CONFIG_PREFIX):
        return "config"
    if topic.startswith(PRESENCE_PREFIX):
        return topic.removeprefix(PRESENCE_PREFIX)
    levels = topic.split("/")  # not ReportTopic: reports at a wrong depth, which are quarantined, count by kind too
    if (CANARY in levels or FORBIDDEN in levels) and probe_disposition(topic) is not None:
        return "probe"
    kind = levels[-1] if levels[-1] in BODY_OF else "other"
    return f"command/{kind}" if levels[0] == TopicBranch.COMMAND else kind


def count_key(entry: JournalEntry) -> tuple[str, str, str]:
    """Return the (kind, effect, reason) under which an input is counted."""
    return (input_kind(entry.input.topic), entry.disposition.effect.value, entry.disposition.reason or "")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The current events, oldest first, and the position at which they are current: read in one transaction."""

    position: Position
    events: tuple[CommittedEvent, ...]


@dataclass(frozen=True, slots=True)
class DedupWindow:
    """Digests of the latest inputs, by input number, oldest first, to recognize resends."""

    digests: tuple[tuple[int, MessageDigest], ...]
    acked_up_to: int
