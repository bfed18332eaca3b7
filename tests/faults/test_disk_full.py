"""No room for the journal: nothing is acknowledged, dashboards are told, and it heals without a restart."""

import resource
from pathlib import Path

from tests.faults.bridge_under_load import bridge_under_load
from tests.faults.loss_ledger import has_looked
from tests.support.bridge_process import BridgeProcess
from tests.support.brokers import RunningBroker, until
from tests.support.rounds import rounds

REPORTS = 60
NO_ROOM = 1  # byte a file may have: every write fails, as on a full disk


def limit_files(floor: BridgeProcess, most: int) -> None:
    assert floor.process is not None
    resource.prlimit(floor.process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


@rounds(1, faults=3)
async def test_a_full_disk_stops_the_intake_and_heals(tmp_path: Path, mosquitto: RunningBroker, rounds: int) -> None:
    async with bridge_under_load(tmp_path, mosquitto) as this:
        # what the bridge logs while no file may grow is lost too, and the books read that from its log
        await until(lambda: has_looked(this.bridge.log()), seconds=30, what="ghosts were looked for")
        for _ in range(rounds):
            await this.load.more(REPORTS)
            limit_files(this.bridge, NO_ROOM)
            await until(lambda: not this.dashboard.live, seconds=5, what="told")
            assert not this.bridge.is_ready()
            before = this.bridge.journal.stat().st_size
            await this.load.more(REPORTS)
            assert this.bridge.journal.stat().st_size == before
            limit_files(this.bridge, resource.RLIM_INFINITY)
            await until(lambda: this.dashboard.live, seconds=20, what="healed")
        ledger = await this.books(f"{rounds} times a full disk")
    assert ledger.wrong == {}
