"""Messages as they come from the broker, and publications as they go there, whatever client carries them."""

from dataclasses import dataclass


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
