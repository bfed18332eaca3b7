"""The simulator's connection to a broker, where it breaks."""

import asyncio
import contextlib
import gc
from typing import Any

import aiomqtt
import pytest

from device_sim.mqtt.broker_access import BrokerAccess, BrokerUnreachable, publish_once
from tests.support.brokers import RunningBroker, until
from tests.support.tcp_proxy import ConnectionEnd, Cut, tcp_proxy


async def test_a_socket_closed_before_the_loop_watches_it_is_not_watched(mosquitto: RunningBroker) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    client = BrokerAccess(host="127.0.0.1", port=mosquitto.port).build_client(
        "a", aiomqtt.ProtocolVersion.V5, will=None
    )
    with contextlib.suppress(aiomqtt.MqttError):  # the connection is lost, as it should be
        async with client:
            paho = client._client  # noqa: SLF001 - only paho can close its socket at this very moment
            paho.publish("a", b"x")
            paho._sock_close()  # noqa: SLF001 - as above
            await asyncio.sleep(0)
    assert complaints == []


async def test_an_idle_connection_that_breaks_logs_no_error(mosquitto: RunningBroker) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    client = BrokerAccess(host="127.0.0.1", port=mosquitto.port).build_client(
        "a", aiomqtt.ProtocolVersion.V5, will=None
    )
    async with client:
        mosquitto.kill()
        await until(client.has_ended, what="the end of the connection")
    del client
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


async def test_a_connection_that_is_reset_is_not_logged_by_the_library(
    mosquitto: RunningBroker, caplog: pytest.LogCaptureFixture
) -> None:
    """The simulator logs the lost connection with the device's name; the library's line would only repeat it."""
    async with tcp_proxy(mosquitto.port) as proxy:
        client = BrokerAccess(host="127.0.0.1", port=proxy.port).build_client(
            "a", aiomqtt.ProtocolVersion.V5, will=None
        )
        with contextlib.suppress(aiomqtt.MqttError):
            async with client:
                proxy.cut(ConnectionEnd.RESET)
                await until(client.has_ended, what="the end of the connection")
    assert [record.getMessage() for record in caplog.records] == []


async def test_a_connection_lost_while_publishing_is_reported_with_the_way_out(mosquitto: RunningBroker) -> None:
    async with tcp_proxy(mosquitto.port) as proxy:
        proxy.plan_cut(Cut(after=50_000, from_client=True))
        broker = BrokerAccess(host="127.0.0.1", port=proxy.port)
        with pytest.raises(BrokerUnreachable, match="--broker HOST:PORT"):
            await publish_once(broker, "a", client_id="a", topic="t", payload=bytes(100_000))
