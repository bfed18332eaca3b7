"""The link to real brokers: it connects, heals, and reports its status."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from bridge.domain.messages import Publication
from bridge.mqtt.connection import BrokerConnection
from bridge.mqtt.link import BrokerLink
from bridge.mqtt.retained_reader import RetainedReader
from bridge.ports.broker import BrokerUnavailable
from tests.support.brokers import (
    RunningBroker,
    client_settings,
    free_port,
    linked,
    mosquitto_broker,
    receive,
    running,
    started,
    until,
)

PASSWORD_CONF = """\
listener {port} 127.0.0.1
allow_anonymous false
password_file {folder}/passwd
user root
log_dest stderr
"""


def durable(broker: RunningBroker, client_id: str = "one", **more: object) -> BrokerLink:
    return BrokerLink(client_settings(broker, **more), client_id=client_id, durable=True, subscriptions=[("a/#", 1)])


async def exchange(link: BrokerLink) -> None:
    await link.publish("a/b", b"there")
    (message,) = await receive(link, 1)
    assert message.payload == b"there"
    assert link.acknowledge([message]) == 1


async def test_mqtt_5_is_preferred(mosquitto: RunningBroker) -> None:
    async with linked(durable(mosquitto)) as link:
        assert link.status.protocol == "5"
        await exchange(link)


async def test_3_1_1_is_spoken_where_it_is_set(mosquitto: RunningBroker) -> None:
    async with linked(durable(mosquitto, protocol="3.1.1")) as link:
        assert link.status.protocol == "3.1.1"
        await exchange(link)
    async with linked(durable(mosquitto, protocol="3.1.1")) as link:
        assert link.status.session_present


async def test_a_broker_without_mqtt_5_is_spoken_to_in_3_1_1(nats: RunningBroker) -> None:
    async with linked(durable(nats)) as link:
        assert link.status.protocol == "3.1.1"
        await exchange(link)
        nats.kill()
        await until(lambda: not link.status.connected, what="loss noticed")
        nats.start()
        await until(lambda: link.status.connected, what="recovered")
        assert link.status.protocol == "3.1.1"


async def test_mqtt_5_set_is_never_turned_into_3_1_1(nats: RunningBroker) -> None:
    async with started(durable(nats, protocol="5")) as link:
        status = await link.wait_status_change(link.status)
        assert not status.connected
        nats.kill()  # what follows is refused at the socket: several attempts have been made
        await until(lambda: "refused" in str(link.status.reason), what="another attempt")
        assert link.status.protocol is None


def test_it_works_on_uvloop(mosquitto: RunningBroker) -> None:
    async def scenario() -> None:
        async with linked(durable(mosquitto)) as link:
            await link.publish_many([Publication(f"a/{n}", b"%d" % n) for n in range(500)])
            messages = await receive(link, 500)
            assert [message.payload for message in messages] == [b"%d" % n for n in range(500)]
            assert link.acknowledge(messages) == 500

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


async def test_a_killed_broker_is_noticed_and_the_link_heals(mosquitto: RunningBroker) -> None:
    async with linked(durable(mosquitto)) as link:
        before = link.status
        mosquitto.kill()
        after = await link.wait_status_change(before)
        assert not after.connected
        assert after.reason is not None
        with pytest.raises(BrokerUnavailable):
            await link.publish("a/b", b"")
        mosquitto.start()
        await until(lambda: link.status.connected, what="recovered")
        await exchange(link)
        assert link.status.generation > before.generation
        assert not link.status.session_present  # killed: it remembers nothing


async def test_a_broker_that_freezes_is_noticed_by_its_silence(mosquitto: RunningBroker) -> None:
    async with linked(durable(mosquitto)) as link:
        mosquitto.send(signal.SIGSTOP)  # its kernel still acknowledges: only the keepalive detects it
        await until(lambda: not link.status.connected, seconds=2 * 2 + 2, what="noticed within two keepalives")
        mosquitto.send(signal.SIGCONT)
        await until(lambda: link.status.connected, what="recovered")
        await exchange(link)


async def test_two_clients_with_one_client_id_are_named_as_the_reason(mosquitto: RunningBroker) -> None:
    reasons: set[str | None] = set()

    def named() -> bool:
        reasons.add(first.status.reason)
        return any(reason is not None and "use the client id one" in reason for reason in reasons)

    async with linked(durable(mosquitto)) as first, linked(durable(mosquitto)):
        await until(named, what=f"named in {reasons}")  # Mosquitto 2.0 hangs up without saying why


async def test_a_broker_that_is_not_there_is_named_and_asked_again(tmp_path: Path) -> None:
    absent = RunningBroker(["absent"], free_port(), tmp_path / "log")
    async with started(durable(absent)) as link:
        await until(lambda: "refused" in str(link.status.reason).lower(), what="the reason")
        with pytest.raises(BrokerUnavailable, match="refused"):
            await link.publish("a/b", b"")


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[RunningBroker]:
    (tmp_path / "passwd").write_text("")
    with running(mosquitto_broker(tmp_path, conf=PASSWORD_CONF)) as broker:
        yield broker


@pytest.mark.parametrize("protocol", ["auto", "3.1.1"])
async def test_a_refused_user_is_a_reason_and_no_question_of_protocol(guarded: RunningBroker, protocol: str) -> None:
    async with started(durable(guarded, protocol=protocol)) as link:
        status = await link.wait_status_change(link.status)
        assert status.reason == "Not authorized"


async def test_the_will_is_published_for_a_link_that_vanishes(mosquitto: RunningBroker) -> None:
    settings = client_settings(mosquitto)
    will = Publication("a/status", b"offline", retain=True)
    async with linked(durable(mosquitto, "watcher")) as watcher:
        ousted = BrokerLink(settings, client_id="same", durable=False, will=will)
        async with linked(ousted), linked(BrokerLink(settings, client_id="same", durable=False)):
            (message,) = await receive(watcher, 1)
        assert (message.topic, message.payload) == ("a/status", b"offline")


async def test_a_stopped_link_disconnects_cleanly_without_its_will(mosquitto: RunningBroker) -> None:
    link = BrokerLink(
        client_settings(mosquitto),
        client_id="leaving",
        durable=False,
        will=Publication("a/status", b"vanished"),
        last_publication=lambda: Publication("a/status", b"stopped"),
    )
    async with linked(durable(mosquitto, "watcher")) as watcher:
        async with linked(link):
            pass
        await watcher.publish("a/end", b"end")
        messages = await receive(watcher, 2)
    assert [message.payload for message in messages] == [b"stopped", b"end"]
    assert link.status.reason == "stopped"


async def test_a_connect_that_is_cancelled_leaves_no_connection() -> None:
    arrived, disconnected = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        with contextlib.suppress(OSError):
            while await reader.read(100):
                pass
        writer.close()
        disconnected.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        link = BrokerLink(client_settings(RunningBroker([], port, Path())), client_id="one", durable=True)
        async with started(link):
            await arrived.wait()
        async with asyncio.timeout(10):
            await disconnected.wait()


@pytest.mark.parametrize("answer", ["_on_connect", "_on_subscribe"])
@pytest.mark.parametrize("reads_retained", [False, True])
async def test_a_cancel_that_meets_the_brokers_answer_ends_what_waits_for_it(
    mosquitto: RunningBroker, monkeypatch: pytest.MonkeyPatch, answer: str, *, reads_retained: bool
) -> None:
    """`asyncio.wait_for` of Python 3.11 swallows such a cancel."""
    answered = getattr(BrokerConnection, answer)

    def meet(connection: BrokerConnection, *args: Any) -> None:
        answered(connection, *args)
        waiting.cancel()

    monkeypatch.setattr(BrokerConnection, answer, meet)
    link = durable(mosquitto)
    reader = RetainedReader(client_settings(mosquitto), client_id="two")
    waiting = asyncio.create_task(reader.read(["a/#"], lambda _: False, protocol="5") if reads_retained else link.run())
    ended, _ = await asyncio.wait([waiting], timeout=5)
    assert ended
    assert waiting.cancelled()
    assert not link.status.connected


def test_exactly_once_is_not_asked_of_the_broker(tmp_path: Path) -> None:
    absent = RunningBroker(["absent"], 1, tmp_path / "log")
    with pytest.raises(ValueError, match="QoS 0 or 1"):
        BrokerLink(client_settings(absent), client_id="one", durable=True, subscriptions=[("a/#", 2)])
