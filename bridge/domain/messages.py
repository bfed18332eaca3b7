"""Messages from the broker and publications to it, independent of the MQTT client."""

from typing import Self

from msgspec import Struct


class PendingAck(Struct, frozen=True):
    """An acknowledgement owed to the broker; void once its connection has ended."""

    generation: int
    serial: int  # in the order of arrival on this connection
    packet_id: int
    qos: int


class Message(Struct, frozen=True):
    """A message as received."""

    topic: str  # invalid UTF-8 becomes U+FFFD, so no rule accepts such a topic
    payload: bytes
    qos: int
    retained: bool
    redelivered: bool  # the DUP flag
    pending_ack: PendingAck


class IncomingMessage(Struct, frozen=True):
    """A message for the pipeline, from the broker or replayed from the quarantine. `topic` is relative to the root."""

    topic: str
    payload: bytes
    retained: bool = False
    redelivered: bool = False
    generation: int = 0  # of the connection that delivered it
    packet_id: int | None = None  # packet identifier; None at QoS 0 and for a replay
    replayed: int | None = None  # number of the quarantined input that this replays

    @classmethod
    def of(cls, message: Message, *, topic: str) -> Self:
        """Return a message that the broker delivered, under its topic relative to the root."""
        ack = message.pending_ack
        return cls(
            topic,
            message.payload,
            retained=message.retained,
            redelivered=message.redelivered,
            generation=ack.generation,
            packet_id=ack.packet_id if ack.qos else None,
        )


class Publication(Struct, frozen=True):
    """A message to publish; an empty payload with `retain` clears the retained message of its topic."""

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 1


Will = Publication  # the broker publishes it for us when the connection is lost
