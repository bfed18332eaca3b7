"""Messages from the broker and publications to it, independent of the MQTT client."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PendingAck:
    """An acknowledgement owed to the broker; void once its connection has ended."""

    generation: int
    serial: int  # in the order of arrival on this connection
    mid: int
    qos: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message as received."""

    topic: str  # invalid UTF-8 becomes U+FFFD, so no rule accepts such a topic
    payload: bytes
    qos: int
    retained: bool
    redelivered: bool  # the DUP flag
    pending_ack: PendingAck


@dataclass(frozen=True, slots=True)
class Publication:
    """A message to publish; an empty payload with `retain` clears the retained message of its topic."""

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 1


Will = Publication  # the broker publishes it for us when the connection is lost
