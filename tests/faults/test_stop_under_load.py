"""SIGTERM under load: the intake stops, committed reports are acknowledged, and the process ends within 10 s."""

import signal
import time
from pathlib import Path

from tests.faults.bridge_under_load import bridge_under_load
from tests.faults.failing_disk import SYNCS, failing_disk
from tests.support.brokers import RunningBroker, until
from tests.support.rounds import rounds

STOP_SECONDS = 10.0


@rounds(1, faults=5)
async def test_sigterm_under_load_leaves_nothing_unacknowledged(
    tmp_path: Path, mosquitto: RunningBroker, rounds: int
) -> None:
    async with bridge_under_load(tmp_path, mosquitto) as loaded:
        for _ in range(rounds):
            await loaded.load.more(100)
            began = time.monotonic()
            assert await loaded.bridge.stop() == 0
            assert time.monotonic() - began < STOP_SECONDS
            await loaded.bridge.start()
        ledger = await loaded.close_ledger(f"{rounds} stops under load")
    assert ledger.wrong == {}
    assert ledger.counts["of them repeats"] == 0, "the broker sent again what was committed"


@rounds(1, faults=2)
async def test_sigterm_while_a_sync_hangs_ends_in_time_and_loses_nothing(
    tmp_path: Path, mosquitto: RunningBroker, rounds: int
) -> None:
    durations = []
    async with bridge_under_load(tmp_path, mosquitto) as loaded:
        for _ in range(rounds):
            await loaded.load.more(100)
            async with failing_disk(loaded.bridge, SYNCS, "delay_enter=60s"):
                await until(lambda: not loaded.dashboard.live, seconds=5, what="not live")
                process, began = loaded.bridge.process, time.monotonic()
                assert process is not None
                process.send_signal(signal.SIGTERM)
                await until(lambda: has_ended(process.pid), seconds=2 * STOP_SECONDS, what="ended")  # noqa: B023 - waited for at once
                durations.append(time.monotonic() - began)
            await process.wait()
            await loaded.bridge.start()
        ledger = await loaded.close_ledger(
            f"{rounds} times SIGTERM while a sync hangs, ended within {max(durations):.1f} s"
        )
    assert ledger.wrong == {}
    assert max(durations) < STOP_SECONDS


def has_ended(pid: int) -> bool:
    """Return whether a process has ended; one that strace still holds is a zombie until strace detaches."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"
