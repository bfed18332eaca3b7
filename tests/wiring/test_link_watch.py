"""A client that takes over one of the bridge's connections is noticed; a broker or a network that fails is not one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest

from bridge.mqtt.link import BrokerLink
from bridge.wiring.link_watch import CONTEST_SECONDS, CONTESTED, LinkWatch
from tests.support.brokers import RunningBroker, client_settings, linked, until
from tests.support.fake_link import FakeLink
from tests.support.stopped_clock import StoppedClock
from tests.support.tcp_proxy import tcp_proxy

KEEPALIVE_SECONDS = 0.1  # as the watch believes, so that its window is short


@dataclass
class Watched:
    watch: LinkWatch
    links: dict[str, BrokerLink]

    @property
    def lost(self) -> dict[str, float]:
        return {sample.labels["link"]: sample.value for sample in self.watch.samples()}

    def all_up_since(self) -> float | None:
        """Return since when all are connected; None if one is not."""
        statuses = [link.status for link in self.links.values()]
        return max(status.since for status in statuses) if all(status.connected for status in statuses) else None

    async def settled(self) -> None:
        """Wait until all have been connected for longer than a window."""
        now = asyncio.get_running_loop().time
        await until(lambda: (since := self.all_up_since()) is not None and now() - since > 1.5, what="steady links")


@contextlib.asynccontextmanager
async def watched(port: int) -> AsyncIterator[Watched]:
    settings = client_settings(RunningBroker([], port, None))  # type: ignore[arg-type] # only its port counts
    links = {
        "intake": BrokerLink(settings, client_id="floor-main", durable=True, subscriptions=[("a/#", 1)]),
        "publisher": BrokerLink(settings, client_id="floor-main-publisher", durable=False),
        "ownership": BrokerLink(settings, client_id="floor-main-ownership-1", durable=False),
    }
    watch = LinkWatch(
        [(name, links[name]) for name in ("intake", "publisher")],
        witness=links["ownership"],
        keepalive_seconds=KEEPALIVE_SECONDS,
    )
    watched_links = Watched(watch, links)
    async with contextlib.AsyncExitStack() as stack:
        for link in links.values():
            await stack.enter_async_context(linked(link))
        watching = asyncio.create_task(watch.run())
        await watched_links.settled()
        try:
            yield watched_links
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching


async def take_over(port: int, client_id: str, *, durable: bool = True) -> None:
    """Connect with this client id, and disconnect at once."""
    settings = client_settings(RunningBroker([], port, None))  # type: ignore[arg-type] # only its port counts
    async with linked(BrokerLink(settings, client_id=client_id, durable=durable)):
        pass


@pytest.mark.parametrize("durable", [True, False])
async def test_one_take_over_is_counted_and_is_no_fault(mosquitto: RunningBroker, *, durable: bool) -> None:
    async with watched(mosquitto.port) as bridge:
        assert bridge.lost == {"intake": 0, "publisher": 0}
        await take_over(mosquitto.port, "floor-main", durable=durable)
        await until(lambda: bridge.lost == {"intake": 1, "publisher": 0}, what="one loss")
        assert bridge.watch.fault() is None


@pytest.mark.parametrize(("name", "client_id"), [("intake", "floor-main"), ("publisher", "floor-main-publisher")])
async def test_a_rival_that_comes_again_is_a_fault(mosquitto: RunningBroker, name: str, client_id: str) -> None:
    async with watched(mosquitto.port) as bridge:
        for turn in (1, 2):
            await bridge.settled()
            await take_over(mosquitto.port, client_id)
            await until(lambda turn=turn: bridge.lost[name] == turn, what="a loss")  # type: ignore[misc]
        assert bridge.watch.fault() == CONTESTED


async def disturbed(disturb: Callable[[], None], bridge: Watched, port: int) -> None:
    """Check that the disturbance counts nothing: a take-over after it is the first."""
    generations = [link.status.generation for link in bridge.links.values()]
    disturb()
    await until(
        lambda: all(
            link.status.connected and link.status.generation > before
            for link, before in zip(bridge.links.values(), generations, strict=True)
        ),
        what="all connected again",
    )
    await bridge.settled()
    await take_over(port, "floor-main")
    await until(lambda: bridge.lost["intake"] > 0, what="the take-over")
    assert bridge.lost == {"intake": 1, "publisher": 0}


async def test_a_restart_of_the_broker_counts_nothing(mosquitto: RunningBroker) -> None:
    def restart() -> None:
        mosquitto.stop()
        mosquitto.start()

    async with watched(mosquitto.port) as bridge:
        await disturbed(restart, bridge, mosquitto.port)


async def test_a_network_that_fails_counts_nothing(mosquitto: RunningBroker) -> None:
    async with tcp_proxy(mosquitto.port) as network, watched(network.port) as bridge:
        await disturbed(network.cut, bridge, mosquitto.port)


@dataclass
class Rivalled:
    """A watch of a link that the test loses and finds again."""

    time: StoppedClock
    link: FakeLink
    watch: LinkWatch
    losses: int = 0

    async def lose(self, *, reason: str = "connection closed", taken_over: bool = False) -> None:
        """Lose the link once, and wait until that is counted."""
        for _ in range(10):
            await asyncio.sleep(0)  # until it watches
        self.losses += 1
        self.link.disconnect(reason=reason, taken_over=taken_over)
        await until(lambda: [sample.value for sample in self.watch.samples()] == [self.losses], what="a loss")
        self.link.reconnect()

    def pass_time(self, seconds: float, *, faulty: bool) -> None:
        """Let this time pass, and check the fault at its end and shortly before."""
        self.time.now += seconds - 1
        assert (self.watch.fault() == CONTESTED) is faulty
        self.time.now += 1
        assert (self.watch.fault() == CONTESTED) is faulty


@contextlib.asynccontextmanager
async def rivalled() -> AsyncIterator[Rivalled]:
    time, link = StoppedClock(1_000.0), FakeLink()
    watch = LinkWatch([("intake", link)], witness=FakeLink(), keepalive_seconds=-0.49, now=time)  # a window of 20 ms
    watching = asyncio.create_task(watch.run())
    try:
        yield Rivalled(time, link, watch)
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


@pytest.mark.parametrize("every_seconds", [2.0, 50.0, 61.0, CONTEST_SECONDS - 1])
async def test_a_slow_rival_is_a_fault_from_the_second_time_without_a_pause(every_seconds: float) -> None:
    async with rivalled() as bridge:
        await bridge.lose()
        bridge.pass_time(every_seconds, faulty=False)
        for _ in range(5):
            await bridge.lose()
            bridge.pass_time(every_seconds, faulty=True)


async def test_the_fault_ends_when_it_has_been_quiet_for_long_enough() -> None:
    async with rivalled() as bridge:
        await bridge.lose()
        await bridge.lose()
        bridge.pass_time(CONTEST_SECONDS - 1, faulty=True)
        bridge.time.now += 1
        assert bridge.watch.fault() is None
        await bridge.lose()
        assert bridge.watch.fault() is None, "the first of a new series"
        bridge.time.now += CONTEST_SECONDS
        await bridge.lose()
        assert bridge.watch.fault() is None, "rarer than that: counted, and no fault"


async def test_a_take_over_that_the_broker_names_is_a_fault_at_once() -> None:
    async with rivalled() as bridge:
        await bridge.lose(reason="Session taken over", taken_over=True)
        bridge.pass_time(CONTEST_SECONDS - 1, faulty=True)
        await bridge.lose(reason="Session taken over", taken_over=True)
        bridge.pass_time(CONTEST_SECONDS - 1, faulty=True)
        bridge.time.now += 1
        assert bridge.watch.fault() is None


async def test_a_connection_that_the_bridge_itself_gave_up_is_no_take_over() -> None:
    async with rivalled() as bridge:
        await bridge.lose(reason="no answer within 10 s")
        await bridge.lose(reason="no answer within 10 s")
        assert bridge.watch.fault() is None
