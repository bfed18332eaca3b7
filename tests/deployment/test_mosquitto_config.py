"""The shipped Mosquitto configuration, run unchanged: permissions of each user on each listener."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.domain.messages import Publication
from bridge.mqtt.link import BrokerLink
from bridge.ports.broker import BrokerUnavailable, PublishRefused
from tests.deployment.broker_users import assert_connection_refused, assert_never_up, assert_refused, cut, through, user
from tests.support.brokers import linked, receive, running
from tests.support.shipped_mosquitto import (
    DEVICE_A,
    DEVICE_B,
    GATEWAY,
    REVOKED,
    SHIPPED,
    ShippedMosquitto,
    shipped_mosquitto,
)
from tests.support.tcp_proxy import TcpProxy, tcp_proxy


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ShippedMosquitto]:
    mosquitto = shipped_mosquitto(tmp_path_factory.mktemp("shipped"))
    with running(mosquitto.broker):
        yield mosquitto


async def test_a_device_writes_its_own_reports_and_the_bridge_reads_them(shipped: ShippedMosquitto) -> None:
    async with (
        linked(user(shipped, "bridge", "floor/v1/report/#")) as bridge,
        linked(user(shipped, DEVICE_A)) as device,
    ):
        await device.publish(f"floor/v1/report/{DEVICE_A}/state", b"{}")
        (message,) = await receive(bridge, 1)
        assert message.topic == f"floor/v1/report/{DEVICE_A}/state"


@pytest.mark.parametrize(
    "topic",
    [
        f"floor/v1/report/{DEVICE_B}/state",
        "floor/v1/report/S1/A1/L1/PLC11/state",
        "floor/v1/report/S1/A1/L1/_/state",
        f"floor/v1/command/{DEVICE_A}/andon",
        "floor/v1/event/S1/A1/L1/_/line/line_status_update/medium/_",
        "floor/v1/bridge/main",
        f"floor/v1/station/{DEVICE_A}/stop",
        "$SYS/broker/version",
        f"other/report/{DEVICE_A}/state",
    ],
)
async def test_a_device_writes_nothing_else(shipped: ShippedMosquitto, topic: str) -> None:
    async with linked(user(shipped, DEVICE_A)) as device:
        await assert_refused(device, topic)


@pytest.mark.parametrize(
    "topic", ["command/_canary/main", f"report/{DEVICE_A}/state", "report/_canaries/main", "event/_canary/x"]
)
async def test_the_canary_publishes_its_own_reports_and_nothing_else(shipped: ShippedMosquitto, topic: str) -> None:
    async with (
        linked(user(shipped, "bridge", "floor/v1/report/#")) as bridge,
        linked(user(shipped, "_canary", "#")) as canary,
    ):
        await assert_refused(canary, f"floor/v1/{topic}")
        await canary.publish("floor/v1/report/_canary/main", b"1")
        (message,) = await receive(bridge, 1)
        assert message.topic == "floor/v1/report/_canary/main"
        assert canary.queued == 0
    for listener in ("services", "loopback"):
        await assert_connection_refused(user(shipped, "_canary", listener=listener), "Not authorized")


async def test_a_device_reads_its_lamps_and_nothing_else(shipped: ShippedMosquitto) -> None:
    async with (
        linked(user(shipped, DEVICE_A, "#", "$SYS/#")) as device,
        linked(user(shipped, "bridge")) as bridge,
        linked(user(shipped, "front")) as front,
    ):
        await bridge.publish("floor/v1/event/S1/A1/L1/_/andon/andon_event/high/call-1", b"secret")
        await bridge.publish("floor/v1/bridge/main", b"secret")
        await front.publish(f"floor/v1/command/{DEVICE_A}/andon", b"secret")
        await bridge.publish(f"floor/v1/station/{DEVICE_B}/stop", b"secret")
        await bridge.publish(f"floor/v1/station/{DEVICE_A}/stop", b"open")
        (message,) = await receive(device, 1)
        assert message.payload == b"open"


@pytest.mark.parametrize("listener", ["devices", "certificates"])
async def test_a_gateway_writes_for_every_machine_of_its_line(shipped: ShippedMosquitto, listener: str) -> None:
    topics = [f"floor/v1/report/{place}/state" for place in (DEVICE_A, DEVICE_B)]
    topics.append(f"floor/v1/report/{GATEWAY}/_/birth")
    will = Publication(f"floor/v1/report/{GATEWAY}/_/death", b"{}")
    make = user if listener == "devices" else certified
    async with (
        linked(user(shipped, "bridge", "floor/v1/report/#")) as bridge,
        tcp_proxy(shipped.ports[listener]) as proxy,
    ):
        async with linked(make(shipped, GATEWAY, will=will, proxy=proxy)) as gateway:
            for topic in topics:
                await gateway.publish(topic, b"{}")
            cut(proxy)
        assert [message.topic for message in await receive(bridge, 4)] == [*topics, will.topic]


@pytest.mark.parametrize(
    "topic",
    [
        "floor/v1/report/S1/A1/L2/PLC1/state",
        "floor/v1/report/S1/A1/L11/PLC1/state",
        "floor/v1/report/S1/A2/L1/PLC1/state",
        "floor/v1/report/S2/A1/L1/PLC1/state",
        "floor/v1/report/S1/A1/_/_/death",
        f"floor/v1/command/{DEVICE_A}/andon",
        "floor/v1/event/S1/A1/L1/_/line/line_status_update/medium/_",
        f"floor/v1/station/{DEVICE_A}/stop",
    ],
)
async def test_a_gateway_writes_for_no_other_line_and_nothing_else(shipped: ShippedMosquitto, topic: str) -> None:
    async with linked(user(shipped, GATEWAY)) as gateway:
        await assert_refused(gateway, topic)


async def test_a_gateway_reads_the_lamps_of_its_line_alone(shipped: ShippedMosquitto) -> None:
    async with linked(user(shipped, GATEWAY, "#")) as gateway, linked(user(shipped, "bridge")) as bridge:
        await bridge.publish("floor/v1/station/S1/A1/L2/PLC1/stop", b"of another line")
        await bridge.publish(f"floor/v1/station/{DEVICE_B}/stop", b"open")
        (message,) = await receive(gateway, 1)
        assert message.payload == b"open"


async def test_a_will_on_a_foreign_topic_is_never_published(shipped: ShippedMosquitto) -> None:
    foreign = Publication(f"floor/v1/report/{DEVICE_B}/death", b"{}")
    own = Publication(f"floor/v1/report/{DEVICE_A}/death", b"{}")
    async with linked(user(shipped, "bridge", "floor/v1/report/#")) as bridge:
        for will in (foreign, own):
            async with (
                tcp_proxy(shipped.ports["devices"]) as proxy,
                linked(user(shipped, DEVICE_A, will=will, proxy=proxy)),
            ):
                cut(proxy)
        (message,) = await receive(bridge, 1)
        assert message.topic == own.topic


async def test_only_the_front_writes_commands(shipped: ShippedMosquitto) -> None:
    topic = f"floor/v1/command/{DEVICE_A}/andon"
    async with (
        linked(user(shipped, "bridge", "floor/v1/command/#")) as bridge,
        linked(user(shipped, "front")) as front,
        linked(user(shipped, "simulator")) as simulator,
        linked(user(shipped, "mqtt_consumer")) as consumer,
    ):
        for other in (bridge, simulator, consumer):
            await assert_refused(other, topic)
        await front.publish(topic, b"{}")
        (message,) = await receive(bridge, 1)
        assert message.topic == topic


async def test_a_consumer_reads_events_and_writes_nothing(shipped: ShippedMosquitto) -> None:
    topic = "floor/v1/event/S1/A1/L1/_/job/job_started/medium/J1"
    async with (
        linked(user(shipped, "mqtt_consumer", "#")) as consumer,
        linked(user(shipped, "bridge")) as bridge,
        linked(user(shipped, DEVICE_A)) as device,
    ):
        await device.publish(f"floor/v1/report/{DEVICE_A}/state", b"not for consumers")
        await bridge.publish(topic, b"{}")
        (message,) = await receive(consumer, 1)
        assert message.topic == topic
        for forbidden in (topic, "floor/v1/bridge/main", f"floor/v1/report/{DEVICE_A}/state"):
            await assert_refused(consumer, forbidden)


async def test_the_bridge_reads_how_much_the_broker_dropped(shipped: ShippedMosquitto) -> None:
    async with linked(user(shipped, "bridge", "$SYS/#")) as bridge:
        (message,) = await receive(bridge, 1)
        assert message.topic == "$SYS/broker/publish/messages/dropped"
        assert int(message.payload) >= 0


@pytest.mark.parametrize("listener", ["devices", "services", "loopback"])
async def test_an_anonymous_connection_is_refused(shipped: ShippedMosquitto, listener: str) -> None:
    anonymous = BrokerLink(shipped.settings(listener), client_id="nobody", durable=False)
    await assert_connection_refused(anonymous, "Not authorized")


async def test_a_devices_password_opens_no_other_listener(shipped: ShippedMosquitto) -> None:
    for listener in ("services", "loopback"):
        await assert_connection_refused(user(shipped, DEVICE_A, listener=listener), "Not authorized")
    await assert_connection_refused(user(shipped, "bridge", listener="devices"), "Not authorized")


async def test_a_device_cannot_take_the_bridges_session_over(shipped: ShippedMosquitto) -> None:
    async with linked(user(shipped, "bridge", "floor/v1/report/#", client_id="floor-main", durable=True)) as bridge:
        async with linked(user(shipped, DEVICE_A, "#", client_id="floor-main", durable=True)) as device:
            assert not device.status.session_present
            await device.publish(f"floor/v1/report/{DEVICE_A}/state", b"{}")
            assert len(await receive(bridge, 1)) == 1
        assert bridge.status.generation == 1


async def test_a_certificate_is_an_identity(shipped: ShippedMosquitto) -> None:
    async with linked(certified(shipped, DEVICE_A)) as device:
        await device.publish(f"floor/v1/report/{DEVICE_A}/state", b"{}")
        await assert_refused(device, f"floor/v1/report/{DEVICE_B}/state")


async def test_a_revoked_certificate_is_kept_out(shipped: ShippedMosquitto) -> None:
    await assert_never_up(certified(shipped, REVOKED))


@pytest.fixture
def foreign_authority(tmp_path: Path) -> Path:
    subprocess.run([SHIPPED / "make-dev-certs.sh", tmp_path, DEVICE_A], check=True, capture_output=True)
    return tmp_path


async def test_no_certificate_or_one_of_an_unknown_authority_is_kept_out(
    shipped: ShippedMosquitto, foreign_authority: Path
) -> None:
    await assert_never_up(BrokerLink(shipped.settings("certificates"), client_id="none", durable=False))
    await assert_never_up(certified(shipped, DEVICE_A, folder=foreign_authority))


async def test_the_broker_must_be_certified_too(shipped: ShippedMosquitto, foreign_authority: Path) -> None:
    settings = shipped.settings(ca_file=foreign_authority / "ca.crt", username="bridge")
    link = BrokerLink(settings, client_id="wary", durable=False)
    await assert_connection_refused(link, "certificate verify failed")
    absent = shipped.settings(ca_file=foreign_authority / "absent.crt")
    await assert_connection_refused(BrokerLink(absent, client_id="wary", durable=False), "cannot read it")


def certified(
    shipped: ShippedMosquitto,
    device: str,
    *,
    folder: Path | None = None,
    will: Publication | None = None,
    proxy: TcpProxy | None = None,
) -> BrokerLink:
    stem = f"client.{device.replace('/', '+')}"
    files = folder or shipped.secrets
    identity = {"cert_file": files / f"{stem}.crt", "key_file": files / f"{stem}.key"}
    settings = shipped.settings("certificates", **identity, **through(proxy))
    return BrokerLink(settings, client_id="anything", durable=False, will=will)


async def test_a_packet_over_the_limit_disconnects_its_sender_only(
    shipped: ShippedMosquitto,
) -> None:
    topic = f"floor/v1/report/{DEVICE_A}/state"
    async with linked(user(shipped, "bridge", "floor/v1/report/#")) as bridge:
        async with linked(user(shipped, DEVICE_A)) as device:
            with pytest.raises(PublishRefused, match="too large"):  # the broker announces its limit in the CONNACK
                await device.publish(topic, bytes(200_000))
            await device.publish(topic, bytes(65_536))
        old = BrokerLink(
            shipped.settings("devices", protocol="3.1.1", username=DEVICE_A, password=shipped.password(DEVICE_A)),
            client_id="old",
            durable=False,
        )
        async with linked(old):
            with pytest.raises(BrokerUnavailable):
                await old.publish(topic, bytes(200_000))
        assert [len(message.payload) for message in await receive(bridge, 1)] == [65_536]
        assert bridge.status.generation == 1


async def test_the_bridges_session_survives_a_restart_with_its_rights(tmp_path: Path) -> None:
    shipped = shipped_mosquitto(tmp_path)
    topic = f"floor/v1/report/{DEVICE_A}/state"
    with running(shipped.broker) as broker:
        async with linked(user(shipped, "bridge", "floor/v1/report/#", durable=True)):
            pass
        async with linked(user(shipped, DEVICE_A)) as device:
            await device.publish(topic, b"before")
        broker.stop()
        broker.start()
        async with linked(user(shipped, DEVICE_A)) as device:
            await device.publish(topic, b"after")
        async with linked(user(shipped, "bridge", "floor/v1/report/#", durable=True)) as bridge:
            assert bridge.status.session_present
            assert [message.payload for message in await receive(bridge, 2)] == [b"before", b"after"]
