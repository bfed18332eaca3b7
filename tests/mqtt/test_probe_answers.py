"""The probe with brokers that close a connection as their answer, die meanwhile, or send more than it can take."""

import asyncio

import pytest

from bridge.domain.place import Place
from bridge.mqtt import probe_strangers
from bridge.mqtt.probe import probe_broker
from bridge.mqtt.probe_client import MAX_SEEN
from bridge.mqtt.probe_result import Outcome, ProbeCheck, ProbeResult, ProbeUnfinished
from bridge.settings.broker import BrokerSettings
from tests.mqtt.small_broker import Closed, SmallBroker, serving
from tests.support.scripted_broker import Peer, publish

READS = {
    "bridge": ("report", "command", "event", "bridge", "station"),
    "front": ("event", "bridge"),
    "_canary": (),
}
WRITES = {"bridge": ("event/", "bridge/", "station/"), "front": ("command/",), "_canary": ("report/_canary/",)}


def may_publish(user: str, topic: str) -> bool:
    return topic.removeprefix("floor/v1/").startswith(WRITES[user])


def may_subscribe(user: str, topic_filter: str) -> bool:
    return topic_filter.removeprefix("floor/v1/").split("/")[0] in READS[user]


def or_closed(*, allowed: bool) -> bool:
    if not allowed:
        raise Closed
    return True


async def probed(settings: BrokerSettings) -> list[ProbeResult]:
    return await probe_broker(
        settings,
        root="floor/v1",
        stream="main",
        new_canary=lambda: b"1",
        reads=("report/#", "command/#"),
        places=[Place("S1", "A1", f"L{line}") for line in range(16)],
    )


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.mqtt.probe.REPEAT_SECONDS", 0.0)


@pytest.mark.parametrize("closes_on", ["publish", "subscribe", "both", "neither"])
async def test_a_closed_connection_is_a_refusal(closes_on: str) -> None:
    broker = SmallBroker(
        admits=lambda user: user != "",
        may_publish=lambda user, topic: (
            or_closed(allowed=may_publish(user, topic))
            if closes_on in ("publish", "both")
            else may_publish(user, topic)
        ),
        may_subscribe=lambda user, text: (
            or_closed(allowed=may_subscribe(user, text))
            if closes_on in ("subscribe", "both")
            else may_subscribe(user, text)
        ),
    )
    async with serving(broker) as (_, settings):
        results = await probed(settings)
    assert {result.outcome for result in results} == {Outcome.PASSED}, results
    assert {result.check for result in results} == set(ProbeCheck)


async def test_a_broker_that_lets_everybody_do_everything_gives_a_verdict() -> None:
    """However much of what must not arrive does."""
    async with serving(SmallBroker()) as (_, settings):
        results = await probed(settings)
    failed = {result.check for result in results if result.outcome is Outcome.FAILED}
    assert failed == {ProbeCheck.OVER_RIGHTS, ProbeCheck.STRANGER_PUBLISH, ProbeCheck.STRANGER_READ}


async def test_a_slow_broker_leaves_places_for_the_next_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_strangers, "REAL_SECONDS", 0.0)
    broker = SmallBroker(may_publish=lambda user, topic: user != "" and may_publish(user, topic))
    async with serving(broker) as (_, settings):
        results = await probed(settings)
    texts = [result.text for result in results if result.check is ProbeCheck.STRANGER_PUBLISH]
    assert texts
    assert all("nor at 16 places" not in text for text in texts)


async def test_a_broker_that_closes_the_connection_that_reads_gives_no_verdict() -> None:
    async with serving(SmallBroker(may_subscribe=lambda *_: or_closed(allowed=False))) as (_, settings):
        results = await probed(settings)
    assert [result.check for result in results if result.outcome is Outcome.FAILED] == [ProbeCheck.SUBSCRIBE]


@pytest.mark.parametrize("after", range(0, 14, 3))
async def test_a_broker_that_dies_meanwhile_gives_no_verdict(after: int) -> None:
    gone = asyncio.Event()

    def dying(_user: str, _topic: str) -> bool:
        if len(broker.published) >= after:
            gone.set()
        if gone.is_set():
            raise Closed
        return True

    broker = SmallBroker(admits=lambda _: not gone.is_set() or or_closed(allowed=False), may_publish=dying)

    async with serving(broker) as (server, settings):

        async def die() -> None:
            await gone.wait()
            server.close()

        dies = asyncio.create_task(die())
        with pytest.raises(ProbeUnfinished):
            await probed(settings)
        await dies


async def test_a_flood_to_a_stranger_ends_its_connection() -> None:
    sent = 0

    def flood(user: str, text: str, peer: Peer) -> None:
        nonlocal sent
        if user == "" and text == "#":
            for number in range(50 * MAX_SEEN):
                peer.writer.write(publish(f"floor/v1/event/a/{number}", b"{}"))
                sent += 1

    def guarded(user: str, topic: str) -> bool:
        return user != "" and may_publish(user, topic)

    broker = SmallBroker(may_publish=guarded, granted=flood, may_subscribe=lambda u, t: u == "" or may_subscribe(u, t))
    async with serving(broker) as (_, settings):
        results = await probed(settings)
    assert sent == 50 * MAX_SEEN
    assert [result.check for result in results if result.outcome is Outcome.FAILED] == [ProbeCheck.STRANGER_READ]
