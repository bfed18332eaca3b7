"""A disk that is slow, fails and recovers at any moment: order is kept, memory bounded, nothing acknowledged early."""

import asyncio
import itertools
import json
import random
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import pytest

from bridge.adapters.clock import FloorClock
from bridge.domain.messages import Message, PendingAck
from bridge.ingest.native import decode
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.mqtt.link import BrokerLink
from bridge.pipeline.pipeline import APPLY_CHUNK, Pipeline
from bridge.pipeline.replay import restore_floor
from bridge.ports.broker import LinkStatus
from bridge.ports.journal import Batch, CommitFailed
from bridge.settings import BrokerSettings
from tests.support.brokers import MOSQUITTO_CONF, RunningBroker, mosquitto_broker, running, until
from tests.support.running_pipeline import PLANT, ROOT, device, say


class GatedJournal(SqliteJournal):
    """A journal on a disk whose pace the test sets: each commit waits at the gate, and may then fail."""

    def __init__(self, *given: object, **more: object) -> None:
        super().__init__(*given, **more)  # type: ignore[arg-type]
        self.gate = threading.Semaphore(0)
        self.failing = False

    def commit(self, batch: Batch) -> None:
        assert self.gate.acquire(timeout=30)
        if self.failing:
            raise CommitFailed("input/output error")
        super().commit(batch)


class Tap:
    """A source that has all its messages at once, and writes down what is acknowledged and how much is held."""

    def __init__(self, count: int) -> None:
        self.status = LinkStatus(
            connected=True, since=0.0, protocol="5", session_present=False, generation=1, reason=None
        )
        self.left = deque(self._message(number) for number in range(1, count + 1))
        self.handed = 0
        self.acknowledged: list[int] = []
        self.most_held = 0

    @staticmethod
    def _message(number: int) -> Message:
        payload = json.dumps({"total": number, "boot_id": 1, "seq": number}).encode()
        topic = f"{ROOT}/report/north/pack/L1/bagger/counts"
        return Message(topic, payload, 1, False, False, PendingAck(1, number, number, 1))

    @property
    def queued(self) -> int:
        return len(self.left)

    async def receive(self, *, most: int) -> list[Message]:
        while not self.left:
            await asyncio.Event().wait()
        taken = [self.left.popleft() for _ in range(min(most, len(self.left)))]
        self.handed += len(taken)
        self.most_held = max(self.most_held, self.handed - len(self.acknowledged))
        return taken

    def acknowledge(self, messages: Iterable[Message]) -> int:
        serials = [message.pending_ack.serial for message in messages]
        self.acknowledged += serials
        return len(serials)


@pytest.mark.parametrize(("most", "reports"), [(1, 40), (7, 200), (250, 800)])
@pytest.mark.parametrize("seed", range(2))
async def test_any_pace_of_the_disk_keeps_the_order_and_bounds_what_is_held(
    tmp_path: Path, seed: int, most: int, reports: int
) -> None:
    chance = random.Random(seed)
    journal = GatedJournal.open(tmp_path / "journal.db", stream="main")
    tap = Tap(reports)
    pipeline = Pipeline(
        tap,
        journal,
        restore_floor(PLANT, journal, decode=decode).floor,
        FloorClock(),
        decode=decode,
        root=ROOT,
        commit_max_inputs=most,
        commit_max_ms=1,
        checkpoint_seconds=0.05,
    )
    durable: list[int] = []
    pipeline.add_listener(lambda entries: durable.extend(each.input.number for each in entries))
    run = asyncio.create_task(pipeline.run())
    for turn in itertools.count():
        journal.failing = chance.random() < 0.2
        journal.gate.release()
        for _ in range(chance.randrange(40)):
            await asyncio.sleep(0)
        status = pipeline.status()
        assert not any(status.unaccounted.values())
        assert sum(status.in_flight.values()) <= APPLY_CHUNK + 2 * most + 2, (
            "a chunk, a batch in commit, a batch pending"
        )
        if turn % 50 == 0:
            acknowledged = len(tap.acknowledged)  # before: the pipeline goes on while we read
            committed = (await asyncio.to_thread(journal.last_input))[0]
            assert acknowledged <= committed
        if len(tap.acknowledged) == reports:
            break
    journal.failing = False
    pipeline.stop()
    for _ in range(100):
        journal.gate.release()
    await run
    assert tap.acknowledged == list(range(1, reports + 1)), "in the order of their arrival, each once"
    assert durable == sorted(durable)
    assert tap.most_held <= APPLY_CHUNK + 2 * most
    journal.close()


@pytest.mark.parametrize(("protocol", "window"), [("5", 1), ("5", 3), ("3.1.1", 1)])
async def test_a_window_smaller_than_a_batch_does_not_stall(tmp_path: Path, protocol: str, window: int) -> None:
    """MQTT 5 has the receive maximum for it; in 3.1.1 the broker's own limit holds, of which a client knows nothing."""
    folder = tmp_path / "broker"
    folder.mkdir()
    conf = MOSQUITTO_CONF if protocol == "5" else f"{MOSQUITTO_CONF}\nmax_inflight_messages {window}\n"
    with running(mosquitto_broker(folder, conf=conf)) as broker:
        await flow(broker, tmp_path / "journal.db", protocol=protocol, window=window)


async def flow(broker: RunningBroker, path: Path, *, protocol: str, window: int) -> None:
    settings = BrokerSettings.model_validate({
        "port": broker.port, "protocol": protocol, "receive_maximum": window, "keepalive_seconds": 2,
    })  # fmt: skip
    link = BrokerLink(settings, client_id="floor-main", durable=True, subscriptions=[(f"{ROOT}/report/#", 1)])
    journal = SqliteJournal.open(path, stream="main")
    pipeline = Pipeline(
        link,
        journal,
        restore_floor(PLANT, journal, decode=decode).floor,
        FloorClock(),
        decode=decode,
        root=ROOT,
        commit_max_inputs=500,
        commit_max_ms=5,
        checkpoint_seconds=5,
    )
    linking, run = asyncio.create_task(link.run()), asyncio.create_task(pipeline.run())
    await until(lambda: link.status.connected, what="connected")
    async with device(broker.port) as client:
        for number in range(100):
            await say(client, "report/bagger/counts", total=number, ts=number + 1)
    await until(lambda: pipeline.status().counters.get(("counts", "applied", "")) == 100, what="all of them")
    totals = [
        json.loads(each.input.payload)["total"] for each in journal.inputs_after(0, limit=1_000) if each.input.topic
    ]
    assert totals == list(range(100))
    pipeline.stop()
    await run
    linking.cancel()
    await asyncio.wait([linking])
    journal.close()
