"""Records of the journal: inputs with what they did, committed events and their positions, results of commands."""

from dataclasses import dataclass
from typing import Final, Literal

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
