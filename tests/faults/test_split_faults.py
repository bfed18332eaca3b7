"""Fronts apart from their pipeline, while one of them, the pipeline or the broker fails: nothing missed, nothing twice.

The broker of these tests holds ten messages on their way to a client and a hundred more, and drops the rest without a
word. So whatever a front missed it has from the journal.
"""

import asyncio
import contextlib
import itertools
import json
import resource
import signal
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from bridge.domain.messages import Publication
from tests.faults.load_plant import write_plant
from tests.faults.loss_ledger import is_taken_in, last_offset, of_dashboard, read_journal
from tests.faults.resuming_subscriber import ResumingSubscriber, subscribers
from tests.faults.simulated_load import SentReport
from tests.faults.test_disk_full import NO_ROOM, limit_files
from tests.support import run_record
from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import MOSQUITTO_CONF, RunningBroker, mosquitto_broker, running, until
from tests.support.rounds import rounds

STATION: Final = "floor/v1/report/plant1/packing/L1/Andon-L1/andon"
TYPES: Final = ("equipment", "quality", "material", "process")
ACTIONS: Final = ("raise", "acknowledge", "resolve")
TIMES: Final = 2
WINDOW: Final = 40  # reports at once: the pipeline's own session holds no more than a front's
BOOT: Final = 1
REPORTED_SECONDS: Final = 5.0  # promise P5


@pytest.fixture
def small_broker(tmp_path: Path) -> Iterator[RunningBroker]:
    conf = MOSQUITTO_CONF.replace("max_inflight_messages 1000", "max_inflight_messages 10")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    small = conf.replace("max_queued_messages 100000", "max_queued_messages 100")
    with running(mosquitto_broker(folder, conf=small)) as broker:
        yield broker


@dataclass
class Presses:
    """A station that never tires: each report with its sequence, no more of them at once than the broker holds."""

    bridge: BridgeProcess
    sent: int = 0
    last: SentReport = ("", b"")

    async def burst(self, reports: int) -> None:
        """Report so many, and wait until they are journalled."""
        async with self.bridge.device() as link:
            for _ in range(0, reports, WINDOW):
                await link.publish_many([self._next() for _ in range(WINDOW)])
                await until(self._taken_in, seconds=30, what="taken in")

    def _next(self) -> Publication:
        action, kind = ACTIONS[self.sent % 3], TYPES[self.sent // 3 % 4]
        body = {"boot_id": BOOT, "seq": self.sent, "action": action, "andon_type": kind}
        self.sent += 1
        payload = json.dumps(body).encode()
        self.last = (STATION.removeprefix("floor/v1/"), payload)
        return Publication(STATION, payload)

    def _taken_in(self) -> bool:
        return is_taken_in(self.bridge.journal, self.last)


@contextlib.asynccontextmanager
async def resuming_boards(*fronts: BridgeProcess) -> AsyncIterator[list[ResumingSubscriber]]:
    """A dashboard at each front, from the moment it has a position: before that it has nothing to resume from."""
    async with subscribers(*fronts) as boards:
        await until(
            lambda: all(subscriber.live and subscriber.positioned for subscriber in boards),
            seconds=20,
            what="live",
        )
        yield boards


async def close(bridge: BridgeProcess, boards: list[ResumingSubscriber], title: str) -> None:
    """Wait until every dashboard has all, stop, and hold what each had against the journal."""
    end = last_offset(bridge.journal)
    await until(lambda: all(subscriber.at >= end for subscriber in boards), seconds=30, what="caught up")
    for process in (*bridge.fronts, bridge):
        assert await process.stop() == 0, process.log()
    journalled = read_journal(bridge.journal, bridge.config.parent / "plant.toml")
    lossless = sum(event.is_lossless for event in journalled.events)
    for subscriber in boards:
        wrong = {name: mismatches for name, mismatches in of_dashboard(journalled, subscriber).items() if mismatches}
        assert wrong == {}
        assert all(before < after for before, after in pairwise(subscriber.order)), "in order"
    run_record.note(
        title, f"{len(journalled.events):,} events, {lossless:,} lossless, {len(boards)} dashboards; wrong: nothing"
    )


async def link_loss_seconds(boards: list[ResumingSubscriber], began: float) -> float:
    """Wait until every dashboard knows that it sees nothing live; returns how long that took."""
    await until(lambda: not any(subscriber.live for subscriber in boards), seconds=REPORTED_SECONDS, what="not live")
    return time.monotonic() - began


async def live(boards: list[ResumingSubscriber]) -> None:
    await until(lambda: all(subscriber.live for subscriber in boards), seconds=20, what="live again")


@rounds(1, faults=4)
async def test_front_that_froze_under_load_misses_nothing(
    tmp_path: Path, small_broker: RunningBroker, rounds: int
) -> None:
    async with bridge_process(tmp_path, small_broker, plant=write_plant(tmp_path), fronts=1) as bridge:
        presses = Presses(bridge)
        async with resuming_boards(bridge.front, bridge.front, bridge.front) as boards:
            for _ in range(rounds):
                await presses.burst(WINDOW)
                bridge.front.signal(signal.SIGSTOP)
                before = last_offset(bridge.journal)
                await presses.burst(20 * WINDOW)
                missed = last_offset(bridge.journal) - before
                assert missed > 1_000, "more than the broker keeps for it"
                bridge.front.signal(signal.SIGCONT)
                await presses.burst(WINDOW)
                await live(boards)
            await close(bridge, boards, f"{rounds} times a front that stood still")
        assert all(subscriber.connections >= 1 for subscriber in boards)


@rounds(1, faults=3)
async def test_dashboards_resume_exactly_at_a_killed_front(
    tmp_path: Path, small_broker: RunningBroker, rounds: int
) -> None:
    async with bridge_process(tmp_path, small_broker, plant=write_plant(tmp_path), fronts=1) as bridge:
        presses = Presses(bridge)
        async with resuming_boards(bridge.front, bridge.front) as boards:
            for _ in range(rounds):
                await presses.burst(WINDOW)
                await bridge.front.stop(signal.SIGKILL)
                await presses.burst(5 * WINDOW)
                await bridge.front.start()
                await live(boards)
            await close(bridge, boards, f"{rounds} times a killed front")
        assert all(subscriber.resumed >= rounds for subscriber in boards)


@rounds(1, faults=2)
async def test_pipeline_that_dies_or_freezes_is_reported_and_its_front_stays(
    tmp_path: Path, small_broker: RunningBroker, rounds: int
) -> None:
    async with bridge_process(tmp_path, small_broker, plant=write_plant(tmp_path), fronts=2) as bridge:
        presses = Presses(bridge)
        lasted = []
        async with resuming_boards(*bridge.fronts) as boards:
            for _ in range(rounds):
                await presses.burst(WINDOW)
                began = time.monotonic()
                await bridge.stop(signal.SIGKILL)
                lasted.append(await link_loss_seconds(boards, began))
                await bridge.start()
                await live(boards)
                await presses.burst(WINDOW)
                began = time.monotonic()
                bridge.signal(signal.SIGSTOP)
                lasted.append(await link_loss_seconds(boards, began))
                bridge.signal(signal.SIGCONT)
                await live(boards)
                await presses.burst(WINDOW)
            assert [subscriber.connections for subscriber in boards] == [1, 1], "nobody was sent away"
            durations = ", ".join(f"{duration:.1f} s" for duration in lasted)
            await close(bridge, boards, f"a killed, then a frozen pipeline, reported after {durations}")


@pytest.mark.faults
async def test_pipeline_that_cannot_commit_is_reported_by_its_front(
    tmp_path: Path, small_broker: RunningBroker
) -> None:
    async with bridge_process(tmp_path, small_broker, plant=write_plant(tmp_path), fronts=1) as bridge:
        presses = Presses(bridge)
        async with resuming_boards(bridge.front) as boards:
            for _ in range(TIMES):
                await presses.burst(WINDOW)
                began = time.monotonic()
                limit_files(bridge, NO_ROOM)
                bursting = asyncio.create_task(presses.burst(WINDOW))
                await link_loss_seconds(boards, began)
                assert "the pipeline is not ready" in bridge.front.readiness()
                limit_files(bridge, resource.RLIM_INFINITY)
                await live(boards)
                await bursting
            await close(bridge, boards, f"{TIMES} times a full disk below a pipeline apart")


@pytest.mark.faults
async def test_killed_broker_is_reported_and_nothing_is_missed(tmp_path: Path, small_broker: RunningBroker) -> None:
    async with bridge_process(tmp_path, small_broker, plant=write_plant(tmp_path), fronts=2) as bridge:
        presses = Presses(bridge)
        async with resuming_boards(*bridge.fronts) as boards:
            for _ in range(TIMES):
                await presses.burst(2 * WINDOW)
                began = time.monotonic()
                small_broker.kill()
                await link_loss_seconds(boards, began)
                small_broker.start()
                await live(boards)
                await presses.burst(2 * WINDOW)
            assert [subscriber.connections for subscriber in boards] == [1, 1], "nobody was sent away"
            await close(bridge, boards, f"{TIMES} times a killed broker")


@rounds(2, faults=12)
async def test_dashboard_goes_from_front_to_front_without_a_loss(
    tmp_path: Path, small_broker: RunningBroker, rounds: int
) -> None:
    async with bridge_process(tmp_path, small_broker, plant=write_plant(tmp_path), fronts=2) as bridge:
        presses = Presses(bridge)
        async with resuming_boards(*bridge.fronts) as boards:
            roaming, fronts = boards[0], itertools.cycle(bridge.fronts)
            for _ in range(rounds):
                bursting = asyncio.create_task(presses.burst(2 * WINDOW))
                await roaming.something_new()
                await roaming.move_to(next(fronts))
                await bursting
            await close(bridge, boards, f"{rounds} moves between two fronts")
            assert roaming.resumed >= rounds


@pytest.mark.faults
async def test_front_waits_for_a_journal_and_turns_to_another_one(tmp_path: Path, small_broker: RunningBroker) -> None:
    async with bridge_process(tmp_path, small_broker, plant=write_plant(tmp_path), fronts=1) as bridge:
        await bridge.front.stop()
        await bridge.stop()
        put_aside(bridge.journal, "first")
        front = bridge.add_front()
        await front.launch()
        await until(
            lambda: "there is no journal" in front.readiness(), seconds=20, what="the reason for not being ready"
        )
        await bridge.start()
        await front.ready()
        presses = Presses(bridge)
        async with front.dashboard() as board:
            await board.snapshot(subscription_type="andon")
            await presses.burst(WINDOW)
            end = last_offset(bridge.journal)
            position = await board.receive("position")
            while position["streams"]["main"]["offset"] < end:
                position = await board.receive("position")
            assert await bridge.stop() == 0
            await board.receive("link", broker=True)
            put_aside(bridge.journal, "second")
            await bridge.start()
            code, reason = await board.closed()
            assert code == 1012
            assert json.loads(reason)["retry_after"] >= 0
        await front.ready()
        async with front.dashboard() as board:
            body = {"id": "s", "subscription_type": "andon"}
            await board.send({"type": "resume", "subscriptions": [body], "since": position["streams"]})
            resumed = await board.receive("resumed")
            assert resumed["streams"]["main"]["recovered"] is False
            await board.receive("snapshot_end")
        assert await front.stop() == 0


def put_aside(journal: Path, name: str) -> None:
    folder = journal.parent / name
    folder.mkdir()
    for path in journal.parent.glob("journal.db*"):
        path.rename(folder / path.name)
