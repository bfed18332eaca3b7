"""A front that follows another process's journal: hints only wake it, the journal is the truth."""

import asyncio
import json
import random
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.domain.records import CommandRecord
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch
from bridge.ports.metrics import Metric
from tests.front.memory_front import NOON, MemoryFront, call, memory_front
from tests.support import command_line
from tests.support.brokers import until
from tests.support.command_line import write_config
from tests.support.memory_dashboard import MemoryDashboard

MANY = 1_700  # more than one read
FORGED = 3_000
TRICKLE = 100  # each received before the next is sent


async def subscribed(front: MemoryFront) -> MemoryDashboard:
    board = await front.join()
    await board.send("subscribe", id="s", subscription_type="line")
    await board.receive("snapshot_end")
    return board


async def test_events_announced_over_mqtt_are_delivered_in_order_and_once(tmp_path: Path) -> None:
    async with memory_front(tmp_path, follows=True) as front:
        board = await subscribed(front)
        for number in range(MANY // 10):
            front.commit(*(call(f"C{number}.{index}") for index in range(10)))
        await board.until(lambda: len(board.live_offsets) >= MANY)
        assert board.live_offsets == list(range(1, MANY + 1))
        assert len(front.link.acknowledged) == MANY
        assert front.metric(Metric.REPLICA_READS) < MANY // 2, "hints that come together are one look"


async def test_without_any_hint_it_is_found_all_the_same(tmp_path: Path) -> None:
    async with memory_front(tmp_path, follows=True) as front:
        board = await subscribed(front)
        front.commit(*(call(f"C{number}") for number in range(MANY)), offer=False)
        await board.until(lambda: len(board.live_offsets) >= MANY)
        assert board.live_offsets == list(range(1, MANY + 1))


@pytest.mark.parametrize("seed", range(5))
async def test_forged_hints_change_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with memory_front(tmp_path, follows=True) as front:
        board = await subscribed(front)
        epoch = front.journal.epoch
        for _ in range(FORGED // 10):
            for _ in range(10):
                front.link.deliver(*forged(chance, epoch))
            if chance.random() < 0.1:
                front.commit(call(f"C{chance.random()}"), offer=chance.random() < 0.5)
            await asyncio.sleep(0)
        end = front.journal.position().offset
        await until(lambda: len(front.link.acknowledged) >= FORGED, what="acknowledged")
        await board.until(lambda: len(board.live_offsets) >= end)
        assert board.live_offsets == list(range(1, end + 1))
        assert board.close_code is None
        assert front.core.position == front.journal.position()
        assert front.metric(Metric.REPLICA_JOURNAL_SWITCHES) == 1, "that of its start"


async def test_a_stream_of_forged_hints_costs_few_reads(tmp_path: Path) -> None:
    async with memory_front(tmp_path, follows=True) as front:
        reads = front.metric(Metric.REPLICA_READS)
        for number in range(1, TRICKLE + 1):
            body = {"stream": "main", "epoch": front.journal.epoch, "offset": number + 10**6}
            front.link.deliver("event/S1/A1/L1/_/andon/andon_event/high/C1", json.dumps(body).encode())
            await until(lambda number=number: len(front.link.acknowledged) >= number, what="acknowledged")  # type: ignore[misc]
        assert front.metric(Metric.REPLICA_HINTS) == TRICKLE
        assert front.metric(Metric.REPLICA_READS) - reads < TRICKLE / 2


def forged(chance: random.Random, epoch: str) -> tuple[str, bytes]:
    """Publish a well-formed hint with a false content."""
    topic = chance.choice(["event/S1/A1/L1/_/andon/andon_event/high/C1", "event/x", "bridge/main", "bridge/other", "x"])
    body = {
        "type": "andon_event",
        "stream": chance.choice(["main", "other", 7]),
        "epoch": chance.choice([epoch, "another", None]),
        "offset": chance.choice([-1, 0, 10**6, 2**63, 10**40, 1.5, "7", None]),
        "online": chance.choice([True, False, 1]),
        "time": chance.choice(["", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+01:00", None, 3]),
    }
    payload = chance.choice([json.dumps(body).encode(), chance.randbytes(40), b"", b"[" * 100_000])
    return topic, payload


async def test_a_new_epoch_disconnects_dashboards_and_they_resume_as_not_recovered(tmp_path: Path) -> None:
    async with memory_front(tmp_path, follows=True) as front:
        board = await subscribed(front)
        front.commit(call("C1"))
        frames = await board.receive("position")
        before = front.journal.position()
        await until(lambda: front.core.position == before, what="delivered")
        with capture_logs() as logs:
            front.journal.commit(Batch(entries=[], retired_keys=()))
            code, reason = await board.closed()
        (switch,) = [entry for entry in logs if entry["event"] == "replica.journal_switched"]
        now = front.journal.position()
        assert (switch["previous_epoch"], switch["previous_offset"]) == (before.epoch, before.offset)
        assert (switch["epoch"], switch["offset"]) == (now.epoch, now.offset)
        assert code == 1012
        assert json.loads(reason)["retry_after"] >= 0
        await until(lambda: front.core.position == front.journal.position(), what="turned")
        again = await front.join()
        body = {"id": "s", "subscription_type": "line"}
        await again.send("resume", subscriptions=[body], since=frames["streams"])
        resumed = await again.receive("resumed")
        assert resumed["streams"]["main"] == {"recovered": False}
        await again.receive("snapshot_end")
        front.commit(call("C2"))
        await again.until(lambda: again.live_offsets == [2])


async def test_a_journal_put_in_its_place_is_followed(tmp_path: Path) -> None:
    async with memory_front(tmp_path, follows=True) as front:
        board = await subscribed(front)
        front.link.deliver_status(front.journal.epoch)
        await until(lambda: board.last("link")["streams"]["main"]["live"], what="live")
        front.commit(call("C1"), call("C2"))
        await board.until(lambda: len(board.live_offsets) == 2)
        front.journal.close()
        put_aside(tmp_path)
        await until(
            lambda: not front.core.readiness()[0] and "no such file" in front.core.readiness()[1].lower(),
            what="the new state",
        )
        await until(lambda: not board.last("link")["streams"]["main"]["live"], what="not live")
        assert board.close_code is None
        front.journal = SqliteJournal.open(tmp_path / "journal.db", stream="main")
        assert (await board.closed())[0] == 1012
        again = await subscribed(front)
        front.commit(call("C3"))
        await again.until(lambda: again.live_offsets == [1])


async def test_backup_is_restored_while_the_front_runs(tmp_path: Path) -> None:
    async with memory_front(tmp_path, follows=True) as front:
        board = await subscribed(front)
        backup = tmp_path / "backup.db"
        front.commit(call("C1"), call("C2"))
        assert (await journal_command(tmp_path, "backup", backup)).returncode == 0
        front.commit(call("C3"))
        await board.until(lambda: board.live_offsets == [1, 2, 3])
        front.journal.close()
        async with asyncio.timeout(20):  # a front that looks at the journal at this moment is in the way
            while (await journal_command(tmp_path, "restore", backup, "--replace")).returncode != 0:
                assert board.close_code is None
        assert (await board.closed())[0] == 1012
        front.journal = SqliteJournal.open(front.journal.path, stream="main")
        again = await subscribed(front)
        assert again.offsets == [1, 2]
        front.commit(call("C4"))
        await again.until(lambda: again.live_offsets == [3])


async def journal_command(folder: Path, name: str, *more: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `floor journal` as a process: locks of this very one would be no obstacle to it."""
    config = write_config(folder)
    return await asyncio.to_thread(
        command_line.floor, folder, "journal", name, *more, "--path", folder / "journal.db", "--config", config
    )


async def test_dashboard_of_a_front_that_was_ahead_is_recovered_all_the_same(tmp_path: Path) -> None:
    async with memory_front(tmp_path, follows=True) as front:
        board = await subscribed(front)
        front.commit(call("C1"))
        frames = (await board.receive("position"))["streams"]
        front.commit(call("C2"), call("C3"), offer=False)  # another front has them; this one will poll
        frames["main"]["offset"] = 2
        body = {"id": "s", "subscription_type": "line"}
        roaming = await front.join()
        await roaming.send("resume", subscriptions=[body], since=frames)
        assert (await roaming.receive("resumed"))["streams"]["main"] == {"recovered": True}
        await roaming.until(lambda: roaming.live_offsets == [3])
        frames["main"]["offset"] = 10**9
        forging = await front.join()
        await forging.send("resume", subscriptions=[body], since=frames)
        assert (await forging.receive("resumed"))["streams"]["main"] == {"recovered": False}


def put_aside(folder: Path) -> None:
    (folder / "aside").mkdir()
    for path in folder.glob("journal.db*"):
        path.rename(folder / "aside" / path.name)


async def test_a_front_is_live_while_its_pipeline_is_live_and_readable(tmp_path: Path) -> None:
    async with memory_front(tmp_path, follows=True) as front:
        epoch = front.journal.epoch
        board = await subscribed(front)
        await until(lambda: front.core.readiness() == (False, "the pipeline is silent"), what="a silent pipeline")
        front.link.deliver_status(epoch, retained=True)
        front.link.deliver_status(epoch)
        await board.receive("link", broker=True, streams__main__live=True)
        assert front.core.readiness() == (True, "ready")
        front.link.deliver_status(epoch, ready=False)
        await until(lambda: front.core.readiness() == (False, "the pipeline is not ready"), what="not ready")
        front.link.deliver_status(epoch)
        await until(lambda: front.core.readiness()[0], what="live")
        await until(lambda: front.core.readiness() == (False, "the pipeline is silent"), what="silent")


async def test_a_copy_of_the_journal_that_never_grows_is_not_live(tmp_path: Path) -> None:
    async with memory_front(tmp_path, follows=True) as front:
        board = await subscribed(front)
        front.link.deliver_status(front.journal.epoch, offset=0)
        await until(lambda: front.core.readiness()[0], what="live")

        def stands_still() -> bool:
            front.link.deliver_status(front.journal.epoch, offset=1)
            return front.core.readiness() == (
                False,
                "published events are missing in the journal that this front reads",
            )

        await until(stands_still, what="the new state")
        await until(lambda: not board.last("link")["streams"]["main"]["live"], what="its dashboards too")
        front.commit(call("C1"), offer=False)
        await until(lambda: front.core.readiness()[0], what="live again, once it is there")


async def test_a_result_comes_from_the_journal_after_its_events(tmp_path: Path) -> None:
    async with memory_front(tmp_path, follows=True) as front:
        board = await subscribed(front)

        def record(command_id: str, outcome: str) -> CommandRecord:
            return CommandRecord(user="eva", command_id=command_id, outcome=outcome, reason=None, event_ids=(), at=NOON)

        def answer(_: str, body: dict[str, object]) -> CommandRecord | None:
            front.commit(call("C1"), command=record(str(body["id"]), "applied"), offer=False)
            return None

        front.answer = answer
        command = {"type": "command", "id": "c1", "action": "andon.raise", "line_id": "L1", "equipment_code": "E1"}
        await board.send(command, andon_type="quality")
        assert (await board.receive("command_result"))["outcome"] == "applied"
        kinds = board.types
        assert kinds.index("andon_event") < kinds.index("command_result")
