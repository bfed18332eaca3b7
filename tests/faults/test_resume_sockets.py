"""The promises of tests/front/simulation over real sockets: TCP is cut at any byte, either way, by FIN or RST."""

import asyncio
import os
import random
from pathlib import Path

import pytest

from bridge.settings.web import WebSettings
from tests.faults.interrupted_dashboard import InterruptedDashboard
from tests.support import random_histories
from tests.support.brokers import until
from tests.support.front_server import ServedFront, served_front
from tests.support.memory_journal import MemoryJournal
from tests.support.tcp_proxy import tcp_proxy

AT_ONCE = 20  # dashboards on a front
FRONTS = 5  # at once: most of a round is waiting
CUTS = 6
SEED = "RESUME_SOCKETS"


async def load(
    served: ServedFront, journal: MemoryJournal, floor: random_histories.EventGenerator, chance: random.Random
) -> None:
    """Commit on, until cancelled."""
    while True:
        commit(served, journal, floor)
        await asyncio.sleep(chance.random() * 0.02)


def commit(served: ServedFront, journal: MemoryJournal, floor: random_histories.EventGenerator) -> None:
    journal.history += served.commit(*floor.events(6))


async def live_through(folder: Path, seed: int) -> int:
    """One round of dashboards on one front; returns how many connections they had."""
    chance = random.Random(seed)
    journal = MemoryJournal()
    floor = random_histories.EventGenerator(random.Random(seed + 1))
    settings = WebSettings(max_frames_per_second=1_000)
    async with served_front(folder, settings, trust_grants=True) as served, tcp_proxy(served.port) as network:
        commit(served, journal, floor)
        boards = [
            InterruptedDashboard(served, network, journal, user, random.Random(seed + n), CUTS)
            for n, user in enumerate((*random_histories.USERS, *(f"user{n}" for n in range(AT_ONCE - 2))))
        ]
        async with asyncio.TaskGroup() as group:
            loading = group.create_task(load(served, journal, floor, chance))
            following = [group.create_task(board.run()) for board in boards]
            await until(lambda: all(board.connections > CUTS for board in boards), seconds=60, what="all were cut")
            loading.cancel()
            await until(
                lambda: all(board.is_current for board in boards), seconds=60, what="all dashboards are current"
            )
            for board in boards:
                board.checked.checker.finish()
            statistics = served.front.statistics()
            assert (statistics["connections"], statistics["events_behind"]) == (len(boards), 0)
            for task in following:
                task.cancel()
    return sum(board.connections for board in boards)


async def live_through_rounds(folder: Path, seed: int, rounds: int) -> int:
    connections = 0

    async def one(number: int) -> None:
        nonlocal connections
        try:
            had = await live_through(folder / str(number), seed + number)
        except BaseException as error:
            error.add_note(f"{SEED}={seed + number}")
            raise
        connections += had

    for start in range(0, rounds, FRONTS):
        async with asyncio.TaskGroup() as group:
            for number in range(start, min(start + FRONTS, rounds)):
                group.create_task(one(number))
    return connections


@pytest.mark.parametrize("runs", [20, pytest.param(200, marks=pytest.mark.faults)])
def test_a_dashboard_cut_off_at_any_byte_misses_nothing(tmp_path: Path, runs: int) -> None:
    seed = int(os.environ.get(SEED) or random.randrange(1_000_000))  # where real sockets cut is chance anyhow
    rounds = runs // AT_ONCE
    for number in range(rounds):
        (tmp_path / str(number)).mkdir()
    connections = asyncio.run(live_through_rounds(tmp_path, seed, rounds))
    print(f"\n{runs} runs from {SEED}={seed}, {connections} connections")  # noqa: T201 - a fault run says what it did
