"""Messages of the link: received in order, acknowledged by hand, published with an answer."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.domain.messages import Message, Publication
from bridge.mqtt.link import BrokerLink
from bridge.ports.broker import BrokerUnavailable, PublishRefused
from tests.support.brokers import (
    RunningBroker,
    client_settings,
    linked,
    mosquitto_with_acl,
    receive,
    running,
    until,
)


def consumer(broker: RunningBroker, *, queue_bound: int | None = None) -> BrokerLink:
    settings = client_settings(broker)
    subscriptions = [("a/#", 1)]
    return BrokerLink(
        settings, client_id="consumer", durable=True, subscriptions=subscriptions, queue_bound=queue_bound
    )


def producer(broker: RunningBroker) -> BrokerLink:
    return BrokerLink(client_settings(broker), client_id="producer", durable=False)


def numbered(count: int) -> list[Publication]:
    return [Publication(f"a/{number}", b"%d" % number) for number in range(count)]


def payloads(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


async def test_a_durable_session_sends_the_unacknowledged_again(mosquitto: RunningBroker) -> None:
    async with linked(consumer(mosquitto)) as first:
        await first.publish_many(numbered(5))
        messages = await receive(first, 5)
        assert not any(message.redelivered for message in messages)
        assert first.acknowledge(messages[:2]) == 2
    async with linked(consumer(mosquitto)) as second:
        assert second.status.session_present
        again = await receive(second, 3)
        assert [message.payload for message in again] == [b"2", b"3", b"4"]
        assert all(message.redelivered for message in again)


async def test_messages_wait_in_the_session_while_the_client_is_offline(mosquitto: RunningBroker) -> None:
    async with linked(consumer(mosquitto)):
        pass
    async with linked(producer(mosquitto)) as sender:
        await sender.publish_many(numbered(200))
    async with linked(consumer(mosquitto)) as back:
        assert [message.payload for message in await receive(back, 200)] == payloads(200)


async def test_acknowledgements_go_out_in_the_order_of_arrival(mosquitto: RunningBroker) -> None:
    async with linked(consumer(mosquitto)) as link:
        await link.publish_many(numbered(3))
        first, second, third = await receive(link, 3)
        assert link.acknowledge([third]) == 0
        assert link.acknowledge([second, second]) == 0
        assert link.acknowledge([first]) == 3
        assert link.acknowledge([first, second, third]) == 0


async def test_an_acknowledgement_of_an_earlier_connection_is_void(mosquitto: RunningBroker) -> None:
    async with linked(consumer(mosquitto)) as link:
        await link.publish_many(numbered(2))
        old = await receive(link, 2)
        async with linked(consumer(mosquitto)):  # takes the client id over
            pass
        await until(lambda: link.status.connected and link.status.generation > old[0].pending_ack.generation)
        again = await receive(link, 2)
        assert link.acknowledge(old) == 0
        assert [(message.payload, message.redelivered) for message in again] == [(b"0", True), (b"1", True)]
        assert link.acknowledge(again) == 2


async def test_waiting_publications_are_not_doubled_when_the_session_continues(mosquitto: RunningBroker) -> None:
    async with linked(consumer(mosquitto)) as link:
        await link.publish_many(numbered(4))
        await until(lambda: link.queued == 4, what="arrived")
        generation = link.status.generation
        async with linked(BrokerLink(client_settings(mosquitto), client_id="consumer", durable=True)):
            pass
        await until(lambda: link.status.connected and link.status.generation > generation, what="reconnected")
        await link.publish("a/end", b"end")
        messages = await receive(link, 5)
        assert [message.payload for message in messages] == [*payloads(4), b"end"]
        assert link.acknowledge(messages) == 5, "each acknowledges the copy that came again"


async def test_waiting_publications_are_kept_when_the_broker_forgot_the_session(mosquitto: RunningBroker) -> None:
    async with linked(consumer(mosquitto)) as link:
        await link.publish_many(numbered(4))
        await until(lambda: link.queued == 4, what="arrived")
        mosquitto.kill()  # nothing saved yet: ours are the only copies
        mosquitto.start()
        await until(lambda: link.status.connected and link.status.generation > 1, what="reconnected")
        assert not link.status.session_present
        assert [message.payload for message in await receive(link, 4)] == payloads(4)


async def test_waiting_publications_are_kept_when_the_broker_forgot_only_the_message(
    mosquitto: RunningBroker,
) -> None:
    async with linked(consumer(mosquitto)) as link:
        mosquitto.stop()  # and save: from here on it knows the session
        mosquitto.start()
        await until(lambda: link.status.connected and link.status.session_present, what="reconnected")
        generation = link.status.generation
        await link.publish_many(numbered(4))
        await until(lambda: link.queued == 4, what="arrived")
        mosquitto.kill()
        mosquitto.start()
        await until(lambda: link.status.connected and link.status.generation > generation, what="reconnected")
        assert link.status.session_present
        await link.publish("a/end", b"end")
        assert [message.payload for message in await receive(link, 5)] == [*payloads(4), b"end"]


async def test_messages_behind_a_full_queue_do_not_delay_the_next_connection(mosquitto: RunningBroker) -> None:
    bound = 4
    async with linked(consumer(mosquitto, queue_bound=bound)) as link, linked(producer(mosquitto)) as sender:
        await sender.publish_many(numbered(bound))
        await until(lambda: link.queued == bound, what="full")
        generation = link.status.generation
        mosquitto.stop()
        mosquitto.start()
        await until(lambda: link.status.connected and link.status.generation > generation, what="reconnected")
        assert [message.payload for message in await receive(link, bound)] == payloads(bound)


async def test_a_full_queue_holds_the_broker_back_and_loses_nothing(mosquitto: RunningBroker) -> None:
    bound, count = 50, 5 * 50
    async with linked(consumer(mosquitto, queue_bound=bound)) as link, linked(producer(mosquitto)) as sender:
        await sender.publish_many(numbered(count))
        messages: list[Message] = []
        while len(messages) < count:
            assert link.queued <= bound
            messages += await receive(link, 1)
            link.acknowledge(messages[-1:])
            await asyncio.sleep(0)
        assert [message.payload for message in messages] == payloads(count)
        assert not any(message.redelivered for message in messages)


async def test_a_retained_message_and_qos_0_are_distinguished(mosquitto: RunningBroker) -> None:
    async with linked(producer(mosquitto)) as sender:
        await sender.publish("a/kept", b"old", retain=True)
    async with linked(consumer(mosquitto)) as link:
        (retained,) = await receive(link, 1)
        await link.publish("a/fast", b"new", qos=0)
        (fast,) = await receive(link, 1)
    assert (retained.retained, retained.qos) == (True, 1)
    assert (fast.retained, fast.qos) == (False, 0)
    assert link.acknowledge([fast]) == 0


async def test_many_publishers_share_a_connection(mosquitto: RunningBroker) -> None:
    async with linked(consumer(mosquitto)) as link:
        await asyncio.gather(*(link.publish(message.topic, message.payload) for message in numbered(1000)))
        assert [message.payload for message in await receive(link, 1000)] == payloads(1000)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RunningBroker]:
    options = "max_packet_size 20000\nmax_queued_messages 100000\n"
    with running(mosquitto_with_acl(tmp_path, "topic readwrite a/#", options=options)) as broker:
        yield broker


async def test_a_refused_publication_is_raised(guarded: RunningBroker) -> None:
    async with linked(producer(guarded)) as link:
        with pytest.raises(PublishRefused) as refused:
            await link.publish("b/c", b"")
        assert (refused.value.topic, refused.value.reason_code) == ("b/c", 0x87)
        await link.publish("a/b", b"")


async def test_a_refused_one_among_many_does_not_hold_the_others(guarded: RunningBroker) -> None:
    async with linked(consumer(guarded)) as link:
        refused = await link.publish_many(
            [
                Publication("a/1", b"1"),
                Publication("b/c", b""),
                Publication("a/large", bytes(20_000)),
                Publication("a/2", b"2"),
                Publication("b/d", b""),
            ]
        )
        assert [message.topic for message in refused] == ["b/c", "a/large", "b/d"]
        assert [message.payload for message in await receive(link, 2)] == [b"1", b"2"]


async def test_a_publication_over_the_brokers_limit_is_refused_and_the_link_stays(guarded: RunningBroker) -> None:
    async with linked(producer(guarded)) as link:
        with pytest.raises(PublishRefused, match="too large"):
            await link.publish("a/b", bytes(20_000))
        await link.publish("a/b", bytes(10_000))
        assert link.status.generation == 1


async def test_a_publication_that_failed_is_not_sent_later(mosquitto: RunningBroker) -> None:
    async with linked(producer(mosquitto)) as sender:
        mosquitto.send(signal.SIGSTOP)
        lost = [asyncio.create_task(sender.publish(f"a/{number}", b"lost")) for number in range(150)]
        many = asyncio.create_task(sender.publish_many(numbered(150)))
        await asyncio.sleep(0)
        mosquitto.kill()
        for task in [*lost, many]:
            with pytest.raises(BrokerUnavailable):
                await task
        mosquitto.start()
        async with linked(consumer(mosquitto)) as link:
            await until(lambda: sender.status.connected, what="recovered")
            await sender.publish("a/marker", b"marker")
            (first,) = await receive(link, 1)
            assert first.payload == b"marker"
