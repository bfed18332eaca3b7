"""A disk that is slow, fails and recovers at any moment: order is kept, memory bounded, nothing acknowledged early."""

import asyncio
import itertools
import json
import random
import threading
from pathlib import Path

import pytest

from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.pipeline import APPLY_CHUNK
from bridge.ports.journal import Batch, CommitFailed
from tests.support.brokers import MOSQUITTO_CONF, mosquitto_broker, running, until
from tests.support.fake_link import FakeLink
from tests.support.in_process import PIPELINE, PLACE, device, in_process, publish_report


class GatedJournal(SqliteJournal):
    """A journal on a disk whose pace the test sets: each commit waits at the gate, and may then fail."""

    def __init__(self, *arguments: object, **more: object) -> None:
        super().__init__(*arguments, **more)  # type: ignore[arg-type]
        self.gate = threading.Semaphore(0)
        self.failing = False

    def commit(self, batch: Batch) -> None:
        assert self.gate.acquire(timeout=30)
        if self.failing:
            raise CommitFailed("input/output error")
        super().commit(batch)


def counting(reports: int, *, after: int = 0) -> FakeLink:
    """Return a link that has so many reports of a counter at once, which has counted to `after` before."""
    link = FakeLink()
    for number in range(after + 1, after + reports + 1):
        payload = json.dumps({"total": number, "boot_id": 1, "seq": number}).encode()
        link.deliver(f"report/{PLACE}/bagger/counts", payload)
    return link


@pytest.mark.parametrize(("most", "reports"), [(1, 40), (7, 200), (250, 800)])
@pytest.mark.parametrize("seed", range(2))
async def test_any_pace_of_the_disk_keeps_the_order_and_bounds_what_is_held(
    tmp_path: Path, seed: int, most: int, reports: int
) -> None:
    chance = random.Random(seed)
    journal = GatedJournal.open(tmp_path / "journal.db", stream="main")
    link = counting(reports)
    async with in_process(
        link,
        journal.path,
        parts=[PIPELINE],
        journal=journal,
        journal__commit_max_inputs=most,
        journal__checkpoint_seconds=0.05,
    ) as bridge:
        for turn in itertools.count():
            journal.failing = chance.random() < 0.2
            journal.gate.release()
            for _ in range(chance.randrange(40)):
                await asyncio.sleep(0)
            status = bridge.core.status()
            assert not any(status.unaccounted.values())
            assert sum(status.in_flight.values()) <= APPLY_CHUNK + 2 * most + 2, (
                "a chunk, a batch in commit, a batch pending"
            )
            if turn % 50 == 0:
                acknowledged = len(link.acknowledged)  # before: the pipeline continues during the read
                committed = (await asyncio.to_thread(journal.last_input))[0]
                assert acknowledged <= committed
            if len(link.acknowledged) == reports:
                break
        journal.failing = False
        journal.gate.release(100)
    assert link.acknowledged == list(range(1, reports + 1)), "in the order of their arrival, each once"
    durable = [entry.input.number for entry in bridge.entries]
    assert durable == sorted(durable)
    assert link.most_held <= APPLY_CHUNK + 2 * most
    journal.close()


@pytest.mark.parametrize(("protocol", "window"), [("5", 1), ("5", 3), ("3.1.1", 1)])
async def test_a_window_smaller_than_a_batch_does_not_stall(tmp_path: Path, protocol: str, window: int) -> None:
    """MQTT 5 has the receive maximum for it; in 3.1.1 the broker's own limit holds, of which a client knows nothing."""
    folder = tmp_path / "broker"
    folder.mkdir()
    conf = MOSQUITTO_CONF if protocol == "5" else f"{MOSQUITTO_CONF}\nmax_inflight_messages {window}\n"
    with running(mosquitto_broker(folder, conf=conf)) as broker:
        await flow(broker.port, tmp_path / "journal.db", protocol=protocol, window=window)


async def flow(port: int, path: Path, *, protocol: str, window: int) -> None:
    async with in_process(
        port,
        path,
        parts=[PIPELINE],
        journal__commit_max_inputs=500,
        broker__protocol=protocol,
        broker__receive_maximum=window if protocol == "5" else 1_000,
    ) as bridge:
        await until(lambda: bridge.connected, what="connected")
        async with device(port) as client:
            for number in range(100):
                await publish_report(client, "report/bagger/counts", total=number, ts=number + 1)
        applied = ("counts", "applied", "")
        await until(lambda: bridge.core.status().counters.get(applied) == 100, what="all of them")
        inputs = [entry.input for entry in bridge.journal.inputs_after(0, limit=1_000)]
        assert [json.loads(entry.payload)["total"] for entry in inputs if entry.topic] == list(range(100))
