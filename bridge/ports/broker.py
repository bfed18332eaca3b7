"""The port to the broker: link status, errors, and the protocols that an MQTT client implements.

Order: messages are received in the order of the broker's delivery, publications arrive in the order of the calls.
Delivery: at least once. In a durable session a message of QoS 1 that was not acknowledged comes again, with
`redelivered`, at once or after the broker's own delay. An acknowledgement of an earlier connection is void.
Errors: a request without a connection raises `BrokerUnavailable` at once; nothing is queued for later.
Threads: all methods belong to one event loop. One task receives; any task may publish.

`tests/ports/test_broker.py` tests every implementation against this.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bridge.domain.messages import Message, Publication

MqttVersion = Literal["5", "3.1.1"]


class BrokerUnavailable(Exception):
    """No connection, or one that ended before the broker answered; the request may or may not have taken effect."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"no connection to the broker: {reason}")
        self.reason = reason


class ConnectRefused(BrokerUnavailable):
    """A CONNECT that the broker answered with a reason code, or (`code` None) by closing the connection."""

    def __init__(self, reason: str, *, code: int | None) -> None:
        super().__init__(reason)
        self.code = code


class TopicRefused(Exception):
    """A topic that the broker's rules do not allow: a configuration error, so a retry does not help."""

    def __init__(self, topic: str, reason_code: int, reason: str) -> None:
        super().__init__(f"{topic}: {reason} (0x{reason_code:02x})")
        self.topic = topic
        self.reason_code = reason_code
        self.reason = reason


class PublishRefused(TopicRefused):
    """A publication that the broker refused; only MQTT 5 reports it."""


class SubscribeRefused(TopicRefused):
    """A subscription that the broker refused. It may also grant one and deliver nothing: only a probe shows that."""


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """Status of the link to the broker; every change creates a new one."""

    connected: bool  # connected, and every subscription granted
    since: float  # seconds on the running loop's clock: for durations only
    protocol: MqttVersion | None
    session_present: bool  # False after a connect: the broker remembers neither session nor queued messages
    generation: int  # of the latest connection; a `PendingAck` of an earlier one is void
    reason: str | None  # why it is not connected
    taken_over: bool = False  # the broker has said that a client with the same id took the latest connection over


class MessageSource(Protocol):
    """A source of messages: a link to the broker."""

    @property
    def status(self) -> LinkStatus: ...

    async def receive(self, *, most: int) -> list[Message]:
        """Wait for at least one message; return up to `most`, in order of arrival."""

    def acknowledge(self, messages: Iterable[Message]) -> int:
        """Acknowledge messages that are stored safely; return how many acknowledgements were sent.

        They are sent in order of arrival: each waits for those before it. A second one of a message is ignored.
        """


class QueuedMessageSource(MessageSource, Protocol):
    """A source that also reports how many received messages wait for `receive`."""

    @property
    def queued(self) -> int: ...


class PublicationSink(Protocol):
    """A sink of publications: a link to the broker."""

    @property
    def status(self) -> LinkStatus: ...

    async def wait_status_change(self, seen: LinkStatus) -> LinkStatus:
        """Wait until the status is no longer `seen`; return the new one."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> None:
        """Publish, and return when the broker has confirmed; raise `BrokerUnavailable` or `PublishRefused`.

        After `BrokerUnavailable` the broker may or may not have the message.
        """

    async def publish_many(self, publications: Sequence[Publication]) -> Sequence[PublishRefused]:
        """Publish in order, many at a time; return the refused ones when the broker has answered all.

        A refusal does not hold up the others. Raise `BrokerUnavailable`, after which any of them may be missing.
        """


class StatusChannel(MessageSource, PublicationSink, Protocol):
    """A link that receives messages and can publish."""


class BrokerClient(StatusChannel, QueuedMessageSource, Protocol):
    """A client of the broker; connected while `run` runs."""

    async def run(self) -> None: ...


class RetainedMessageReader(Protocol):
    """Reads the broker's retained messages."""

    async def read(
        self, filters: Sequence[str], on_message: Callable[[Message], bool], *, protocol: MqttVersion
    ) -> None:
        """Subscribe in this order, and pass every message to `on_message` until it returns True.

        Raise `BrokerUnavailable` or `SubscribeRefused`; `on_message` must not raise.
        """
