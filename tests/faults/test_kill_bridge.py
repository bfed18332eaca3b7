"""`floor run` killed again and again at random moments, under a plant's load: nothing missing, doubled or invented."""

import random
import signal
from pathlib import Path

import pytest

from tests.brokers import RunningBroker, until
from tests.faults.floor_under_load import floor_under_load

pytestmark = pytest.mark.faults

KILLS = 40
MOST_REPORTS_BETWEEN = 150  # a few seconds of the load; a start takes one, so some kills meet it


async def test_sigkill_at_random_moments_loses_nothing(tmp_path: Path, mosquitto: RunningBroker) -> None:
    chance = random.Random(7)
    async with floor_under_load(tmp_path, mosquitto) as this:
        for _ in range(KILLS):
            await this.load.more(chance.randrange(MOST_REPORTS_BETWEEN))
            await this.floor.stop(signal.SIGKILL)
            await this.floor.launch()
        await this.floor.ready()
        await until(lambda: this.dashboard.resumed > 0, seconds=30, what="the dashboard resumed")
        ledger = await this.books(f"{KILLS} kills")
    assert ledger.wrong == {}
