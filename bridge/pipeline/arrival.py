"""An incoming message, from the broker or replayed from the quarantine."""

from typing import NamedTuple, Self

from bridge.domain.messages import Message
from bridge.domain.records import Input


class IncomingMessage(NamedTuple):
    """A message on a topic relative to the root."""

    topic: str
    payload: bytes
    retained: bool
    redelivered: bool = False
    generation: int = 0
    mid: int | None = None  # packet identifier; None at QoS 0 and for a replay
    replayed: int | None = None  # number of the quarantined input that this replays

    @classmethod
    def from_message(cls, message: Message, *, topic: str) -> Self:
        """Return a message that the broker delivered; `topic` is relative to the root."""
        receipt = message.pending_ack
        mid = receipt.mid if receipt.qos else None
        return cls(topic, message.payload, message.retained, message.redelivered, receipt.generation, mid)

    @classmethod
    def from_quarantine(cls, given: Input) -> Self:
        """Return the replay of a quarantined input."""
        return cls(given.topic, given.payload, given.retained, replayed=given.number)
