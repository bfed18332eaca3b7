"""SIGTERM with many dashboards, and at bad moments: exit code 0 within 10 s, and each is sent when to reconnect."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from tests.faults.bridge_under_load import BridgeUnderLoad, bridge_under_load
from tests.support.bridge_process import BridgeProcess, configured
from tests.support.brokers import RunningBroker, until
from tests.support.bytes_dashboard import BytesDashboard, connect, encoded, stalled
from tests.support.rounds import rounds
from tests.support.tcp_proxy import tcp_proxy
from tests.support.tokens import token

STOP_SECONDS: Final = 10.0
SPREAD_SECONDS: Final = 10.0
RESTARTING: Final = 1012
ROOM: Final = {"FLOOR_WEB__MAX_CONNECTIONS_PER_USER": "1000"}
STATUS: Final = "floor/v1/bridge/main"
READY_LINE: Final = "bridge.started"


async def stopped(bridge: BridgeProcess, *signals: signal.Signals) -> float:
    """Send these signals one after another, and return how long the end took; it must be in order."""
    assert bridge.process is not None
    began = time.monotonic()
    for number in signals or (signal.SIGTERM,):
        bridge.process.send_signal(number)
        await asyncio.sleep(0)
    assert await asyncio.wait_for(bridge.process.wait(), 3 * STOP_SECONDS) == 0, bridge.log()[-2_000:]
    return time.monotonic() - began


@contextlib.asynccontextmanager
async def crowd(
    loaded: BridgeUnderLoad, *, reading: int, stuck: int, catching_up: int
) -> AsyncIterator[list[BytesDashboard]]:
    """Connect dashboards that read, that are stuck, and that catch up from the beginning; yield those that read."""
    auth = {"type": "auth", "token": token()}
    all_events = {"type": "subscribe", "id": "all", "subscription_type": "line"}
    since = {"main": {"epoch": loaded.dashboard.epoch, "offset": 0}}
    greeted: set[BytesDashboard] = set()

    def take(dashboard: BytesDashboard, _: bytes) -> None:
        greeted.add(dashboard)

    resume = encoded(auth, {"type": "resume", "subscriptions": [all_events], "since": since})
    with contextlib.ExitStack() as elsewhere:
        subscribers = [await connect(loaded.bridge.port, encoded(auth, all_events), take) for _ in range(reading)]
        for _ in range(stuck):
            elsewhere.enter_context(await stalled(loaded.bridge.port, encoded(auth, all_events)))
        subscribers += [await connect(loaded.bridge.port, resume, take) for _ in range(catching_up)]
        for subscriber in subscribers:
            elsewhere.callback(subscriber.abort)
        await until(lambda: len(greeted) == len(subscribers), seconds=30, what="a crowd")
        yield subscribers


def retry_after(board: BytesDashboard) -> float:
    """Return the seconds after which a dashboard shall reconnect."""
    assert board.close_code == RESTARTING, "closed without a word"
    return float(json.loads(board.close_reason)["retry_after"])


@rounds(60, faults=200)
async def test_a_stop_with_many_dashboards_is_in_time_and_states_to_each_when_to_reconnect(
    tmp_path: Path, mosquitto: RunningBroker, rounds: int
) -> None:
    async with bridge_under_load(tmp_path, mosquitto, environment=ROOM) as loaded:
        await loaded.load.more(100)
        async with crowd(loaded, reading=rounds - 20, stuck=10, catching_up=10) as subscribers:
            assert await stopped(loaded.bridge) < STOP_SECONDS
            await until(
                lambda: all(subscriber.is_closed for subscriber in subscribers), what="all subscribers are closed"
            )
            returns = sorted(retry_after(subscriber) for subscriber in subscribers)
        await loaded.bridge.start()
        ledger = await loaded.close_ledger(f"SIGTERM with {rounds} dashboards, some stuck, some catching up")
    assert ledger.wrong == {}
    assert len(set(returns)) > min(50, len(returns) / 2), "spread, in steps of 0.1 s"
    assert 0 <= returns[0] < 1 < SPREAD_SECONDS - 1 < returns[-1] <= SPREAD_SECONDS + 1
    middle = returns[len(returns) // 2]
    assert SPREAD_SECONDS / 4 < middle < SPREAD_SECONDS * 3 / 4, "evenly"


@pytest.mark.faults
@pytest.mark.parametrize("broker", ["dead", "half-open"])
async def test_a_stop_without_a_broker_and_with_dashboards_that_hang_is_in_time(
    tmp_path: Path, mosquitto: RunningBroker, broker: str
) -> None:
    async with tcp_proxy(mosquitto.port) as network:
        elsewhere = {**ROOM, "FLOOR_BROKER__PORT": str(network.port)}
        async with (
            bridge_under_load(tmp_path, mosquitto, environment=elsewhere) as loaded,
            tcp_proxy(loaded.bridge.port) as front,
        ):
            await loaded.load.more(100)
            lost = [await connect(front.port, encoded({"type": "auth", "token": token()}), lambda *_: None)]
            async with crowd(loaded, reading=20, stuck=20, catching_up=20) as subscribers:
                front.freeze()
                if broker == "dead":
                    network.refusing = True
                    network.cut()
                else:
                    network.freeze()
                assert await stopped(loaded.bridge) < STOP_SECONDS
                await until(
                    lambda: all(subscriber.is_closed for subscriber in subscribers), what="all subscribers are closed"
                )
                assert len({retry_after(subscriber) for subscriber in subscribers}) > 1
            network.refusing = False
            network.thaw()
            for subscriber in lost:
                subscriber.abort()
            await loaded.bridge.start()
            ledger = await loaded.close_ledger(f"SIGTERM with a {broker} broker and dashboards that hang")
    assert ledger.wrong == {}


@pytest.mark.faults
@pytest.mark.parametrize(
    "signals",
    [(signal.SIGTERM,) * 5, (signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT, signal.SIGINT)],
    ids=lambda signals: " ".join(sent.name for sent in signals),
)
async def test_a_signal_that_comes_again_changes_nothing(
    tmp_path: Path, mosquitto: RunningBroker, signals: tuple[signal.Signals, ...]
) -> None:
    async with bridge_under_load(tmp_path, mosquitto) as loaded:
        await loaded.load.more(60)
        assert await stopped(loaded.bridge, *signals) < STOP_SECONDS
        await loaded.bridge.start()
        ledger = await loaded.close_ledger(f"signals that come again: {' '.join(sent.name for sent in signals)}")
    assert ledger.wrong == {}
    assert ledger.counts["of them repeats"] == 0, "what was taken was acknowledged"


async def test_signals_while_it_ends_do_not_make_it_a_failure(tmp_path: Path, mosquitto: RunningBroker) -> None:
    """A supervisor that is impatient sends it again, in the very last moments too."""
    bridge = configured(tmp_path, mosquitto)
    await bridge.start()
    process = bridge.process
    assert process is not None

    async def insist() -> None:
        while process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)  # Popen's own would reap it behind the back of asyncio
            await asyncio.sleep(0.002)

    async with asyncio.timeout(3 * STOP_SECONDS):
        await insist()
    assert await process.wait() == 0, bridge.log()


async def test_a_signal_while_it_starts_ends_it_in_order(tmp_path: Path, mosquitto: RunningBroker) -> None:
    """It waits for the stream's ownership to be settled, and the broker does not answer."""
    bridge = configured(tmp_path, mosquitto)
    mosquitto.send(signal.SIGSTOP)
    try:
        await bridge.launch()
        await until(bridge.journal.exists, seconds=30, what="it has begun")
        assert await stopped(bridge) < 3.0
    finally:
        mosquitto.send(signal.SIGCONT)
    assert READY_LINE not in bridge.log()
    assert "Traceback" not in bridge.log()


@pytest.mark.faults
async def test_a_signal_at_any_moment_of_the_start_leaves_all_in_order(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    bridge = configured(tmp_path, mosquitto)
    moments = 0
    for step in range(8):
        await bridge.launch()
        await until(lambda: listens_to_signals(bridge), seconds=30, what="its own handler")
        await asyncio.sleep(step * 0.07)
        assert await stopped(bridge, (signal.SIGTERM, signal.SIGINT)[step % 2]) < STOP_SECONDS
        moments += READY_LINE not in bridge.log()
    assert "Traceback" not in bridge.log()
    assert moments, "some of them came before it was up"
    await bridge.start()
    assert await bridge.stop() == 0


def listens_to_signals(bridge: BridgeProcess) -> bool:
    """Return whether the process has a handler for SIGTERM (proc(5), SigCgt)."""
    assert bridge.process is not None
    status = Path(f"/proc/{bridge.process.pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)
