"""Messages that a broker retains and should not: of an old save, of other streams, and thousands of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.publisher.audit_conditions import STALE, THEIRS, OldMemory, looked, of, retain, right
from tests.publisher.publisher_run import run_publisher
from tests.publisher.workload import Workload, assert_true
from tests.support.brokers import MOSQUITTO_CONF, RunningBroker, mosquitto_broker, running, until
from tests.support.retained_messages import LAMP, event_topics, retained

DEFAULT_LIMITS = MOSQUITTO_CONF.replace("max_inflight_messages 1000\nmax_queued_messages 100000\n", "")
THEIR_LAMP = "station/south/pack/L7/desk/material"


async def test_older_memory_of_anything_is_put_right(tmp_path: Path) -> None:
    """Subjects that moved to another topic, ended, or came again since then, and lamps."""
    memory, workload = OldMemory(tmp_path / "mosquitto"), Workload(seed=23)
    with running(memory.broker):
        async with run_publisher(memory.broker.port, tmp_path / "journal.db") as run:
            await run.marked(run.commit(workload.next(200)))
            await memory.remember()
            await run.marked(run.commit(workload.next(200)))
            await until(lambda: run.publisher.audits == 1, what="looked at first")
            memory.come_back_with_it()
            await until(lambda: run.publisher.audits == 2, what="looked again")
            assert run.publisher.stale_cleared > 0
            await assert_true(memory.broker, run.journal)


async def test_another_streams_topics_are_left_alone(mosquitto: RunningBroker, tmp_path: Path) -> None:
    theirs = {THEIRS: of("south"), THEIR_LAMP: b"open", "event/no/event": b"{}"}
    await retain(mosquitto.port, {STALE: of("main"), LAMP: b"acknowledged", **theirs})
    async with run_publisher(mosquitto.port, tmp_path / "journal.db") as run:
        await looked(run.publisher)
        found = await retained(mosquitto)
        assert STALE not in found
        assert found[LAMP] == b"off"
        assert {topic for topic in theirs if topic in found} == set(theirs)
        assert found[THEIR_LAMP] == b"open"


@pytest.mark.parametrize("which", ["mosquitto", "nats"])
async def test_thousands_of_stale_retained_messages_are_cleared(
    tmp_path: Path, which: str, request: pytest.FixtureRequest
) -> None:
    broker: RunningBroker = request.getfixturevalue(which)
    stale = {f"{STALE}-{number}": of("main") for number in range(5_000)}
    await retain(broker.port, stale)
    async with run_publisher(broker.port, tmp_path / "journal.db") as run:
        await looked(run.publisher)
        assert run.publisher.stale_cleared == len(stale)
        assert event_topics(await retained(broker)) == right(run.journal)


@pytest.fixture
def short(tmp_path: Path) -> Iterator[RunningBroker]:
    """Run a Mosquitto with its own default limits: it silently drops messages beyond 1,000."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with running(mosquitto_broker(folder, conf=DEFAULT_LIMITS)) as broker:
        yield broker


async def test_stale_retained_messages_beyond_the_brokers_queue_are_cleared_in_turns(
    short: RunningBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await retain(short.port, {f"{STALE}-{number}": of("main") for number in range(3_000)})
    async with run_publisher(short.port, tmp_path / "journal.db") as run:
        await looked(run.publisher)
        assert run.publisher.stale_cleared == 3_000
    assert "max_queued_messages" not in capsys.readouterr().out


async def test_an_audit_that_other_messages_crowd_out_is_reported(
    short: RunningBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await retain(short.port, {f"{THEIRS}-{number}": of("south") for number in range(3_000)})
    async with run_publisher(short.port, tmp_path / "journal.db") as run:
        await looked(run.publisher)
        assert run.publisher.stale_cleared == 0
    assert "max_queued_messages" in capsys.readouterr().out
