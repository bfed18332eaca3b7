"""The port to the broker: messages, publications, how they fail, and what a client library has to offer."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bridge.domain.messages import Message, Publication

MqttVersion = Literal["5", "3.1.1"]


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
class LinkStatus:
    """How the link to the broker is; a new one at every change."""

    connected: bool  # connected, and every subscription granted
    since: float  # seconds on the running loop's clock: for durations only
    protocol: MqttVersion | None
    session_present: bool  # False after a connect: the broker remembers neither session nor queued messages
    generation: int  # of the latest connection; receipts of an earlier one are void
    reason: str | None  # why it is not connected


class MessageSource(Protocol):
    """Where messages come from: a link to the broker."""

    @property
    def status(self) -> LinkStatus: ...
    async def receive(self, *, most: int) -> list[Message]: ...
    def acknowledge(self, messages: Iterable[Message]) -> int: ...


class QueuedMessageSource(MessageSource, Protocol):
    """A source that also says how many messages have arrived and wait for `receive`."""

    @property
    def queued(self) -> int: ...


class PublicationSink(Protocol):
    """Where publications go: a link to the broker. Both ways raise `BrokerGone`; the second returns what is refused."""

    @property
    def status(self) -> LinkStatus: ...
    async def wait_status_change(self, seen: LinkStatus) -> LinkStatus: ...
    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> None: ...
    async def publish_many(self, publications: Sequence[Publication]) -> Sequence[PublishRefused]: ...


class StatusChannel(MessageSource, PublicationSink, Protocol):
    """A link that listens, and can say a word of its own."""


class RetainedMessageReader(Protocol):
    """Reads what the broker retains: subscribes anew, gives each message to `take` until that returns True.

    Raises `BrokerGone` or `SubscribeRefused`.
    """

    async def read(
        self, filters: Sequence[str], on_message: Callable[[Message], bool], *, protocol: MqttVersion
    ) -> None: ...
