"""No space for the journal: nothing is acknowledged, dashboards are notified, and it heals without a restart."""

import resource
from pathlib import Path

from tests.faults.bridge_under_load import bridge_under_load
from tests.faults.loss_ledger import has_audited
from tests.support.bridge_process import BridgeProcess
from tests.support.brokers import RunningBroker, until
from tests.support.rounds import rounds

REPORTS = 60
NO_ROOM = 1  # byte a file may have: every write fails, as on a full disk


def limit_files(bridge: BridgeProcess, most: int) -> None:
    assert bridge.process is not None
    resource.prlimit(bridge.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


@rounds(1, faults=3)
async def test_a_full_disk_stops_the_intake_and_heals(tmp_path: Path, mosquitto: RunningBroker, rounds: int) -> None:
    async with bridge_under_load(tmp_path, mosquitto) as loaded:
        # what the bridge logs while no file may grow is lost too, and the ledger reads that from its log
        await until(lambda: has_audited(loaded.bridge.log()), seconds=30, what="the audit of retained messages")
        for _ in range(rounds):
            await loaded.load.more(REPORTS)
            limit_files(loaded.bridge, NO_ROOM)
            await until(lambda: not loaded.dashboard.live, seconds=5, what="not live")
            assert not loaded.bridge.is_ready()
            before = loaded.bridge.journal.stat().st_size
            await loaded.load.more(REPORTS)
            assert loaded.bridge.journal.stat().st_size == before
            limit_files(loaded.bridge, resource.RLIM_INFINITY)
            await until(lambda: loaded.dashboard.live, seconds=20, what="healed")
        ledger = await loaded.close_ledger(f"{rounds} times a full disk")
    assert ledger.wrong == {}
