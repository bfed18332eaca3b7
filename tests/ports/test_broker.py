"""The contract of links to a broker, over every implementation and every broker that we ship or test with."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import pytest

from bridge.demo.embedded_broker import EmbeddedBroker
from bridge.domain.messages import Message, Publication
from bridge.mqtt.link import BrokerLink
from bridge.mqtt.retained_reader import RetainedReader
from bridge.ports.broker import (
    BrokerUnavailable,
    MessageSource,
    QueuedMessageSource,
    RetainedMessageReader,
    StatusChannel,
)
from bridge.settings.broker import BrokerSettings
from tests.support.brokers import (
    DEADLINE_SECONDS,
    find_mosquitto,
    find_nats,
    free_port,
    linked,
    mosquitto_broker,
    running,
    until,
)

COUNT: Final = 50


class BrokerPort(StatusChannel, QueuedMessageSource, Protocol):
    """All that the bridge uses of a link."""


@dataclass(frozen=True, slots=True)
class BrokerClients:
    """Clients of one broker: `link(id)` connects a durable one that subscribes to `a/#`."""

    link: Callable[[str], AbstractAsyncContextManager[BrokerPort]]
    offline: Callable[[], StatusChannel]
    reader: Callable[[], RetainedMessageReader]


def one_pass_clients(port: int) -> BrokerClients:
    return aiomqtt_clients(BrokerSettings(port=port, keepalive_seconds=2, max_backoff_seconds=0.3, reader="one-pass"))


def paho_clients(port: int) -> BrokerClients:
    return aiomqtt_clients(BrokerSettings(port=port, keepalive_seconds=2, max_backoff_seconds=0.3, reader="paho"))


def aiomqtt_clients(settings: BrokerSettings) -> BrokerClients:

    def durable(client_id: str) -> BrokerLink:
        return BrokerLink(settings, client_id=client_id, durable=True, subscriptions=[("a/#", 1)])

    def reader() -> RetainedReader:
        return RetainedReader(settings, client_id="reader")

    return BrokerClients(lambda client_id: linked(durable(client_id)), lambda: durable("offline"), reader)


CLIENTS: Final = (one_pass_clients, paho_clients)


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[int]:
    with running(mosquitto_broker(folder)) as broker:
        yield broker.port


@asynccontextmanager
async def embedded_mosquitto(folder: Path) -> AsyncIterator[int]:
    async with EmbeddedBroker(folder=folder, port=free_port(), broker=("mosquitto", find_mosquitto())) as broker:
        yield broker.port


@asynccontextmanager
async def embedded_nats(folder: Path) -> AsyncIterator[int]:
    async with EmbeddedBroker(folder=folder, port=free_port(), broker=("nats-server", find_nats())) as broker:
        yield broker.port


BROKERS: Final = (mosquitto, embedded_mosquitto, embedded_nats)


@pytest.fixture(params=CLIENTS, ids=lambda make: make.__name__)
def make_clients(request: pytest.FixtureRequest) -> Callable[[int], BrokerClients]:
    made: Callable[[int], BrokerClients] = request.param
    return made


@pytest.fixture(params=BROKERS, ids=lambda run: run.__name__)
async def clients(
    request: pytest.FixtureRequest, tmp_path: Path, make_clients: Callable[[int], BrokerClients]
) -> AsyncIterator[BrokerClients]:
    async with request.param(tmp_path) as port:
        yield make_clients(port)


async def take(source: MessageSource, count: int) -> list[Message]:
    messages: list[Message] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(messages) < count:
            messages += await source.receive(most=count - len(messages))
    return messages


def numbered() -> list[Publication]:
    return [Publication(f"a/{number}", b"%d" % number) for number in range(COUNT)]


async def test_messages_arrive_in_the_order_of_publishing(clients: BrokerClients) -> None:
    async with clients.link("one") as link:
        assert await link.publish_many(numbered()) == []
        messages = await take(link, COUNT)
        assert [message.payload for message in messages] == [b"%d" % number for number in range(COUNT)]
        assert {(message.qos, message.retained, message.redelivered) for message in messages} == {(1, False, False)}
        assert link.acknowledge(messages) == COUNT


async def test_receive_returns_no_more_than_asked_for_and_waits_for_the_first(clients: BrokerClients) -> None:
    async with clients.link("one") as link:
        waiting = asyncio.create_task(link.receive(most=1))
        await asyncio.sleep(0)
        assert not waiting.done()
        await link.publish_many(numbered()[:3])
        (first,) = await waiting
        assert first.payload == b"0"
        await until(lambda: link.queued == 2, what="queued")
        assert [message.payload for message in await link.receive(most=9)] == [b"1", b"2"]
        assert link.queued == 0


async def test_acknowledgements_wait_for_those_before_them_and_count_once(clients: BrokerClients) -> None:
    async with clients.link("one") as link:
        await link.publish_many(numbered()[:3])
        first, second, third = await take(link, 3)
        assert link.acknowledge([third, second]) == 0
        assert link.acknowledge([first]) == 3
        assert link.acknowledge([first, second, third]) == 0


# nats-server sends them again after its `ack_wait`, here 30 s
@pytest.mark.parametrize("clients", [mosquitto, embedded_mosquitto], ids=lambda run: run.__name__, indirect=True)
async def test_unacknowledged_messages_are_redelivered_in_the_next_connection(clients: BrokerClients) -> None:
    async with clients.link("one") as link:
        await link.publish_many(numbered()[:3])
        old = await take(link, 3)
        assert link.acknowledge(old[:1]) == 1
        await link.publish("b", b"a round trip behind the acknowledgement")
    async with clients.link("one") as link:
        assert link.status.session_present
        again = await take(link, 2)
        assert [(message.payload, message.redelivered) for message in again] == [(b"1", True), (b"2", True)]
        assert link.acknowledge(again) == 2


async def test_a_request_without_a_connection_is_refused_at_once(clients: BrokerClients) -> None:
    link = clients.offline()
    assert not link.status.connected
    with pytest.raises(BrokerUnavailable):
        await link.publish("a/1", b"")
    with pytest.raises(BrokerUnavailable):
        await link.publish_many(numbered())
    assert link.acknowledge([]) == 0


async def test_every_change_of_the_status_is_a_new_one(clients: BrokerClients) -> None:
    async with clients.link("one") as link:
        connected = link.status
        assert connected.connected
        assert connected.reason is None
    async with asyncio.timeout(DEADLINE_SECONDS):
        ended = await link.wait_status_change(connected)
    assert ended is link.status
    assert not ended.connected
    assert ended.reason


async def test_retained_messages_are_read_until_the_reader_has_enough(clients: BrokerClients) -> None:
    async with clients.link("one") as link:
        await link.publish("a/kept", b"kept", retain=True)
        await link.publish("a/cleared", b"cleared", retain=True)
        await link.publish("a/cleared", b"", retain=True)
        await link.publish("b/last", b"last", retain=True)
        received: list[tuple[str, bytes, bool]] = []

        def add(message: Message) -> bool:
            received.append((message.topic, message.payload, message.retained))
            return message.topic == "b/last"

        protocol = link.status.protocol
        assert protocol is not None
        async with asyncio.timeout(DEADLINE_SECONDS):
            await clients.reader().read(["a/#", "b/#"], add, protocol=protocol)
    assert received == [("a/kept", b"kept", True), ("b/last", b"last", True)]


async def test_a_reader_without_a_broker_reports_it(make_clients: Callable[[int], BrokerClients]) -> None:
    reader = make_clients(free_port()).reader()
    with pytest.raises(BrokerUnavailable):
        await reader.read(["a/#"], lambda _message: True, protocol="5")
