"""The link to the broker, against a real Mosquitto: connecting, healing, and telling how it is."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from bridge.adapters.broker import BrokerLink
from bridge.core.messages import BrokerGone, Publication
from bridge.settings import BrokerSettings
from tests.brokers import RunningBroker, until


def settings(broker: RunningBroker, **more: object) -> BrokerSettings:
    return BrokerSettings.model_validate(
        {"port": broker.port, "keepalive_seconds": 2, "max_backoff_seconds": 0.5, **more}
    )


@contextlib.asynccontextmanager
async def up(link: BrokerLink) -> AsyncIterator[BrokerLink]:
    task = asyncio.create_task(link.run())
    try:
        await until(lambda: link.status.connected or task.done(), what="connected")
        yield link
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_what_is_published_arrives_in_order(mosquitto: RunningBroker) -> None:
    link = BrokerLink(settings(mosquitto), client_id="one", durable=True, subscriptions=[("a/#", 1)])
    async with up(link):
        await link.publish_many([Publication(f"a/{i}", b"%d" % i) for i in range(300)])
        got = []
        while len(got) < 300:
            got += await link.receive(most=7)
        assert [m.payload for m in got] == [b"%d" % i for i in range(300)]
        assert link.acknowledge(got) == 300
    assert not link.status.connected
    with pytest.raises(BrokerGone):
        await link.publish("a/b", b"")


async def test_nats_is_spoken_to_in_3_1_1(nats: RunningBroker) -> None:
    link = BrokerLink(settings(nats), client_id="one", durable=True, subscriptions=[("a/#", 1)])
    async with up(link):
        assert link.status.protocol == "3.1.1"
        await link.publish("a/b", b"1")
        (message,) = await link.receive(most=10)
        assert message.payload == b"1"
