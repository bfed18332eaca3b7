"""What the pipeline and the publisher need around them; the adapters have it, and nothing more is assumed of them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from bridge.domain.events import Millis
from bridge.ports.broker import LinkStatus, Message, Publication, PublishRefused
from bridge.ports.broker import Protocol as MqttProtocol


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
        self, filters: Sequence[str], on_message: Callable[[Message], bool], *, protocol: MqttProtocol
    ) -> None: ...


class Clock(Protocol):
    """Floor time, which may run fast; `seconds_until` is in real seconds."""

    def now(self) -> Millis: ...
    def seconds_until(self, at: Millis) -> float: ...


class AdjustableClock(Clock, Protocol):
    """Floor time of a host whose wall may be set forward."""

    def forward_step(self) -> Millis: ...
    def apply_step(self, by: Millis) -> None: ...
