"""One message on its way into the floor, from the broker or out of the quarantine."""

from typing import NamedTuple, Self

from bridge.domain.messages import Message
from bridge.domain.records import Input


class IncomingMessage(NamedTuple):
    """Bytes on a topic relative to the root."""

    topic: str
    payload: bytes
    retained: bool
    redelivered: bool = False
    generation: int = 0
    mid: int | None = None  # packet identifier; None at QoS 0, and of a replay
    replayed: int | None = None  # number of the quarantined input that it was before

    @classmethod
    def from_message(cls, message: Message, *, topic: str) -> Self:
        """Return what the broker delivered; `topic` is relative to the root."""
        receipt = message.pending_ack
        mid = receipt.mid if receipt.qos else None
        return cls(topic, message.payload, message.retained, message.redelivered, receipt.generation, mid)

    @classmethod
    def from_quarantine(cls, given: Input) -> Self:
        """Return a quarantined input that is to be taken in once more."""
        return cls(given.topic, given.payload, given.retained, replayed=given.number)
