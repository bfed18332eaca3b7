"""What passes between us and the broker, whichever library carries it: messages, publications, and how they fail."""

from dataclasses import dataclass
from typing import Literal

Protocol = Literal["5", "3.1.1"]


class BrokerUnavailable(Exception):
    """There is no connection, or it ended before the broker answered; what was asked may or may not have happened."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"no connection to the broker: {reason}")
        self.reason = reason


class ConnectRefused(BrokerUnavailable):
    """The broker answered the CONNECT with a reason code, or (`code` None) closed the connection instead."""

    def __init__(self, reason: str, *, code: int | None) -> None:
        super().__init__(reason)
        self.code = code


class TopicRefused(Exception):
    """The broker's rules do not allow this topic: a configuration error, which repeating does not cure."""

    def __init__(self, topic: str, reason_code: int, reason: str) -> None:
        super().__init__(f"{topic}: {reason} (0x{reason_code:02x})")
        self.topic = topic
        self.reason_code = reason_code
        self.reason = reason


class PublishRefused(TopicRefused):
    """The broker did not take the publication; only MQTT 5 can say so."""


class SubscribeRefused(TopicRefused):
    """The broker did not grant the subscription. It may also grant it and deliver nothing: only a probe can tell."""


@dataclass(frozen=True, slots=True)
class PendingAck:
    """What the broker is owed for a message; worthless once its connection has ended."""

    generation: int
    serial: int  # in the order of arrival on this connection
    mid: int
    qos: int


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes on a topic, as they arrived."""

    topic: str  # what is not UTF-8 in it is replaced by U+FFFD, so no rule can take it for a good one
    payload: bytes
    qos: int
    retained: bool
    redelivered: bool  # the DUP flag
    pending_ack: PendingAck


@dataclass(frozen=True, slots=True)
class Publication:
    """A message to be; with an empty payload and `retain` it clears what is retained on its topic."""

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 1


Will = Publication  # a Will is a publication that the broker makes for us when we vanish


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """How the link to the broker is; a new one at every change."""

    connected: bool  # connected, and every subscription granted
    since: float  # seconds on the running loop's clock: for durations only
    protocol: Protocol | None
    session_present: bool  # False after a connect: the broker remembers neither session nor queued messages
    generation: int  # of the latest connection; receipts of an earlier one are void
    reason: str | None  # why it is not connected
