"""The bridge killed at every named place and at random moments, under a plant's load: nothing missing, nothing doubled.

Named places are those of failing_floor.PLACES: each is a step of a report's way in or of an event's way out. What
happens inside a write of SQLite's is met by the random moments, and by the failing disk of its own tests.
"""

import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.bridge_under_load import BridgeUnderLoad, bridge_under_load
from tests.faults.crash_launcher import CrashLauncher
from tests.faults.crash_points import PLACES
from tests.support.bridge_process import PROGRAM
from tests.support.brokers import RunningBroker, until
from tests.support.rounds import rounds

DIES_WITHIN_SECONDS = 60.0
MOST_PASSINGS = 12  # of a place before the kill: from the first, which is while it starts, to the middle of its work
MOST_REPORTS_BETWEEN = 40
OFTEN_CHECKPOINTS = {"FLOOR_JOURNAL__CHECKPOINT_SECONDS": "0.1"}


@rounds(1, faults=9, proof=91)
async def test_sigkill_at_every_step_loses_and_doubles_nothing(
    tmp_path: Path, mosquitto: RunningBroker, rounds: int
) -> None:
    chance = random.Random(7)
    kills = Counter[str]()
    fork = CrashLauncher()
    async with bridge_under_load(tmp_path, mosquitto, environment=OFTEN_CHECKPOINTS, launcher=fork) as loaded:
        await loaded.load.more(1)
        await loaded.bridge.stop(signal.SIGKILL)
        for _ in range(rounds):
            for place in chance.sample([*PLACES, "any moment"], len(PLACES) + 1):
                await die(loaded, fork, place, chance)
                kills[place] += 1
        await loaded.bridge.start()
        await until(lambda: loaded.dashboard.resumed > 0, seconds=30, what="the dashboard resumed")
        ledger = await loaded.close_ledger(f"{kills.total()} kills, {rounds} at each of {', '.join(sorted(kills))}")
    assert ledger.wrong == {}


async def die(loaded: BridgeUnderLoad, fork: CrashLauncher, place: str, chance: random.Random) -> None:
    """Start a bridge, and return when it has been killed at this place."""
    if place == "any moment":
        await loaded.bridge.launch()
        await loaded.load.more(chance.randrange(MOST_REPORTS_BETWEEN))
        await loaded.bridge.stop(signal.SIGKILL)
        return
    fork.crash_next(place, nth=chance.randint(1, MOST_PASSINGS))
    await loaded.bridge.launch()
    assert loaded.bridge.process is not None
    process = loaded.bridge.process
    await until(lambda: process.returncode is not None, seconds=DIES_WITHIN_SECONDS, what=f"killed at «{place}»")
    assert process.returncode == -signal.SIGKILL, loaded.bridge.log()


@pytest.mark.faults
async def test_floor_run_itself_is_killed_at_random_moments(tmp_path: Path, mosquitto: RunningBroker) -> None:
    """The same with the command an operator runs, and with kills while it starts."""
    chance = random.Random(11)
    kills = 10
    async with bridge_under_load(tmp_path, mosquitto, launcher=PROGRAM) as loaded:
        for _ in range(kills):
            await loaded.load.more(chance.randrange(4 * MOST_REPORTS_BETWEEN))
            await loaded.bridge.stop(signal.SIGKILL)
            await loaded.bridge.launch()
        await loaded.bridge.ready()
        await until(lambda: loaded.dashboard.resumed > 0, seconds=30, what="the dashboard resumed")
        ledger = await loaded.close_ledger(f"{kills} kills of `floor run` at random moments")
    assert ledger.wrong == {}
