"""Syncs and writes that fail or hang: nothing is acknowledged, the fault is reported and heals without a restart."""

import signal
from pathlib import Path

import pytest

from tests.faults.bridge_under_load import BridgeUnderLoad, bridge_under_load
from tests.faults.failing_disk import SYNCS, WRITES, failing_disk
from tests.faults.loss_ledger import last_number
from tests.support.brokers import RunningBroker, until
from tests.support.rounds import rounds

REPORTS = 60
REPORTED_SECONDS = 5.0  # P5
HEALED_SECONDS = 30.0

CALLS = pytest.mark.parametrize("calls", [SYNCS, WRITES])


@CALLS
@rounds(1, faults=3, proof=10)
async def test_a_disk_that_only_fails_stops_the_intake_and_heals(
    tmp_path: Path, mosquitto: RunningBroker, calls: str, rounds: int
) -> None:
    async with bridge_under_load(tmp_path, mosquitto) as loaded:
        for _ in range(rounds):
            await loaded.load.more(REPORTS)
            async with failing_disk(loaded.bridge, calls, "error=EIO"):
                await until(lambda: not loaded.dashboard.live, seconds=REPORTED_SECONDS, what="not live")
                assert not loaded.bridge.is_ready()
                before = last_number(loaded.bridge.journal)
                await loaded.load.more(REPORTS)
                assert last_number(loaded.bridge.journal) == before
            await healed(loaded)
        ledger = await loaded.close_ledger(f"{rounds} times {calls} always fail")
    assert ledger.wrong == {}


@CALLS
@rounds(2, faults=8, proof=25)
async def test_every_nth_failure_is_made_good(
    tmp_path: Path, mosquitto: RunningBroker, calls: str, rounds: int
) -> None:
    """N grows from 2; the bridge is killed between, so that it starts from its own remains."""
    async with bridge_under_load(tmp_path, mosquitto) as loaded:
        for nth in range(2, rounds + 2):
            async with failing_disk(loaded.bridge, calls, f"error=EIO:when={nth}+{nth}") as has_failed:
                await loaded.load.more(REPORTS)
                await until(has_failed, seconds=60, what="a failure")
                if nth % 2:
                    await loaded.bridge.stop(signal.SIGKILL)
            if nth % 2:
                await loaded.bridge.start()
            await healed(loaded)
        ledger = await loaded.close_ledger(f"every Nth of {calls} fails, N from 2 to {rounds + 1}")
    assert ledger.wrong == {}


@rounds(1, faults=3, proof=10)
async def test_a_kill_after_failed_syncs_loses_nothing(tmp_path: Path, mosquitto: RunningBroker, rounds: int) -> None:
    async with bridge_under_load(tmp_path, mosquitto) as loaded:
        for _ in range(rounds):
            await loaded.load.more(REPORTS)
            async with failing_disk(loaded.bridge, SYNCS, "error=EIO"):
                await until(lambda: not loaded.dashboard.live, seconds=REPORTED_SECONDS, what="not live")
                await loaded.bridge.stop(signal.SIGKILL)
            await loaded.bridge.start()
            await healed(loaded)
        ledger = await loaded.close_ledger(f"{rounds} kills while no sync succeeds")
    assert ledger.wrong == {}


@rounds(1, faults=2, proof=4)
async def test_a_slow_disk_costs_time_only(tmp_path: Path, mosquitto: RunningBroker, rounds: int) -> None:
    """A slow disk is no failure. One that does not answer is reported, and nothing is acknowledged meanwhile."""
    async with bridge_under_load(tmp_path, mosquitto) as loaded:
        for _ in range(rounds):
            async with failing_disk(loaded.bridge, SYNCS, "delay_enter=100ms"):
                enough = last_number(loaded.bridge.journal) + REPORTS
                await until(
                    lambda enough=enough: last_number(loaded.bridge.journal) > enough,  # type: ignore[misc]
                    seconds=30,
                    what="slowly taken in",
                )
            async with failing_disk(loaded.bridge, SYNCS, "delay_enter=20s"):
                await until(lambda: not loaded.dashboard.live, seconds=REPORTED_SECONDS, what="not live")
                assert not loaded.bridge.is_ready()
            await healed(loaded)
        ledger = await loaded.close_ledger(f"{rounds} times a disk that answers late")
    assert ledger.wrong == {}


async def healed(loaded: BridgeUnderLoad) -> None:
    await until(lambda: loaded.dashboard.live, seconds=HEALED_SECONDS, what="healed")
