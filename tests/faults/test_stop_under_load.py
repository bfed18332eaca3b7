"""SIGTERM under load: the intake stops, what is committed is acknowledged, and the process ends within 10 s."""

import time
from pathlib import Path

from tests.brokers import RunningBroker
from tests.faults.floor_under_load import floor_under_load
from tests.faults.rounds import rounds

STOP_SECONDS = 10.0


@rounds(1, faults=5)
async def test_sigterm_under_load_leaves_nothing_unacknowledged(
    tmp_path: Path, mosquitto: RunningBroker, rounds: int
) -> None:
    async with floor_under_load(tmp_path, mosquitto) as this:
        for _ in range(rounds):
            await this.load.more(100)
            began = time.monotonic()
            assert await this.floor.stop() == 0
            assert time.monotonic() - began < STOP_SECONDS
            await this.floor.start()
        ledger = await this.books(f"{rounds} stops under load")
    assert ledger.wrong == {}
    assert ledger.counts["of them repeats"] == 0, "the broker sent again what was committed"
