"""What a broker retains in our name and should not: from an older memory, a crash, another journal."""

import asyncio
import contextlib
import json
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from bridge.domain.event_topic import EventTopic
from bridge.domain.records import CommittedEvent
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools import backup as journal_backup
from bridge.journal.tools import restore as journal_restore
from bridge.mqtt.retained_reader import RetainedReader
from bridge.ports.journal import Batch, JournalUnavailable
from tests.domain.test_publications import call
from tests.faults.forked_bridge import ForkedFloor, nursery
from tests.publisher.running_publisher import Workload, assert_true, outlet
from tests.publisher.test_publisher import LAMP, raise_call, retained
from tests.support import retained_messages as faults_retained
from tests.support.bridge_process import write_config
from tests.support.brokers import MOSQUITTO_CONF, RunningBroker, mosquitto_broker, running, until
from tests.support.journal_samples import event, follow
from tests.support.running_pipeline import ROOT, Shop, device, say, shop

DEFAULT_LIMITS = MOSQUITTO_CONF.replace("max_inflight_messages 1000\nmax_queued_messages 100000\n", "")
NO_READING = """\
listener {port} 127.0.0.1
allow_anonymous true
user root
acl_file {folder}/acl
log_dest stderr
"""
GHOST = f"{ROOT}/event/north/pack/L1/desk/andon/andon_event/high/old-call"
THEIRS = f"{ROOT}/event/south/pack/L7/desk/andon/andon_event/high/their-call"
THEIR_LAMP = f"{ROOT}/station/south/pack/L7/desk/material"
Retained = dict[str, dict[str, object] | str]


async def retain(port: int, topics: dict[str, bytes]) -> None:
    async with aiomqtt.Client("127.0.0.1", port, max_queued_outgoing_messages=0) as client:
        for topic, payload in topics.items():
            await client.publish(topic, payload, qos=1, retain=True)


def of(stream: str) -> bytes:
    return json.dumps({"stream": stream, "epoch": "old", "offset": 3, "id": f"{stream}:old:3"}).encode()


async def until_retained(port: int, holds: Callable[[Retained], bool], *, seconds: float = 20.0) -> Retained:
    """Wait until what a new subscriber finds is as wanted."""
    async with asyncio.timeout(seconds):
        found = await retained(port)
        while not holds(found):
            found = await retained(port)
    return found


def right(this: Shop) -> set[str]:
    return {f"{ROOT}/event/{each.topic}" for each in this.journal.snapshot().events}


def events(found: Retained) -> set[str]:
    return {topic for topic in found if topic.startswith(f"{ROOT}/event/")}


async def looked(this: Shop) -> None:
    """Wait until what the broker retains was read on the link's present connection, and judged."""
    await until(lambda: this.publisher.looks > 0, seconds=30, what="looked at what is retained")


class OldMemory:
    """A Mosquitto that can be killed and started again with what it remembered earlier."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.broker = mosquitto_broker(folder)
        self._file = folder / "mosquitto.db"
        self._kept = folder / "kept.db"

    async def remember(self) -> None:
        self.broker.send(signal.SIGUSR1)  # save now
        await until(self._file.exists, what="saved")
        size = -1
        while size != self._file.stat().st_size:  # it is written beside and renamed; whatever it is, it is whole
            size = self._file.stat().st_size
        shutil.copy(self._file, self._kept)

    def come_back_with_it(self) -> None:
        with contextlib.suppress(aiomqtt.MqttError):
            self.broker.kill()
        shutil.copy(self._kept, self._file)
        self.broker.start()


async def resolve(client: aiomqtt.Client, this: Shop) -> None:
    for action in ("acknowledge", "resolve"):
        await say(client, "report/desk/andon", action=action, andon_type="material")
    await until(lambda: len(this.events("andon_event")) == 3)
    last = this.journal.position().offset
    await until(lambda: this.journal.published_offset() >= last)


async def test_cleared_call_that_an_older_memory_brings_back_is_cleared_again(tmp_path: Path) -> None:
    """The bridge goes on meanwhile."""
    memory = OldMemory(tmp_path / "mosquitto")
    broker = memory.broker
    with running(broker):
        async with shop(broker.port, tmp_path / "journal.db") as this:
            await until(lambda: this.link.status.connected)
            async with device(broker.port) as client:
                await raise_call(client)
                await until_retained(broker.port, lambda found: found.get(LAMP) == "open")
                await memory.remember()
                await resolve(client, this)
                memory.come_back_with_it()
            found = await until_retained(broker.port, lambda found: events(found) == right(this))
            assert found[LAMP] == "off"
            assert this.publisher.stale_cleared > 0


async def test_lamp_goes_out_though_both_bridge_and_broker_had_stopped(tmp_path: Path) -> None:
    """The bridge that starts again knows of no call, so only the broker can tell that a lamp is lit."""
    memory = OldMemory(tmp_path / "mosquitto")
    broker = memory.broker
    with running(broker):
        async with shop(broker.port, tmp_path / "journal.db") as this, device(broker.port) as client:
            await until(lambda: this.link.status.connected)
            await raise_call(client)
            await until_retained(broker.port, lambda found: found.get(LAMP) == "open")
            await memory.remember()
            await resolve(client, this)
        memory.come_back_with_it()
        assert (await retained(broker.port))[LAMP] == "open"
        async with shop(broker.port, tmp_path / "journal.db") as this:
            await until_retained(broker.port, lambda found: found[LAMP] == "off" and events(found) == right(this))


async def test_older_memory_of_anything_is_put_right(tmp_path: Path) -> None:
    """Subjects that moved to another topic, ended, or came anew since then, and lamps."""
    memory, workload = OldMemory(tmp_path / "mosquitto"), Workload(seed=23)
    with running(memory.broker):
        async with outlet(memory.broker, tmp_path / "journal.db") as this:
            await this.marked(this.commit(workload.next(200)))
            await memory.remember()
            await this.marked(this.commit(workload.next(200)))
            await until(lambda: this.publisher.looks == 1, what="looked at first")
            memory.come_back_with_it()
            await until(lambda: this.publisher.looks == 2, what="looked again")
            assert this.publisher.stale_cleared > 0
            await assert_true(memory.broker, this.journal)


async def test_new_journal_clears_what_the_one_before_left(mosquitto: RunningBroker, tmp_path: Path) -> None:
    async with shop(mosquitto.port, tmp_path / "old.db") as this, device(mosquitto.port) as client:
        await until(lambda: this.link.status.connected)
        await raise_call(client)
        await say(client, "report/bagger/state", state="running")
        await until_retained(mosquitto.port, lambda found: found.get(LAMP) == "open")
    before = events(await retained(mosquitto.port))
    async with shop(mosquitto.port, tmp_path / "new.db") as this, device(mosquitto.port) as client:
        await say(client, "report/bagger/state", state="running")  # on a topic that was retained before
        await until(lambda: len(this.dispositions()) == 1)
        await looked(this)
        found = await until_retained(mosquitto.port, lambda found: events(found) == right(this))
        assert found[LAMP] == "off"
        assert before & events(found), "what is current again has its topic again"
        assert {each["epoch"] for each in found.values() if isinstance(each, dict)} == {this.journal.epoch}


async def test_another_streams_topics_are_left_alone(mosquitto: RunningBroker, tmp_path: Path) -> None:
    theirs = {THEIRS: of("south"), THEIR_LAMP: b"open", f"{ROOT}/event/no/event": b"{}"}
    await retain(mosquitto.port, {GHOST: of("main"), LAMP: b"acknowledged", **theirs})
    async with shop(mosquitto.port, tmp_path / "journal.db") as this:
        await looked(this)
        found = await retained(mosquitto.port)
        assert GHOST not in found
        assert found[LAMP] == "off"
        assert {topic for topic in theirs if topic in found} == set(theirs)
        assert found[THEIR_LAMP] == "open"


@pytest.mark.parametrize("which", ["mosquitto", "nats"])
async def test_thousands_of_ghosts_are_cleared(tmp_path: Path, which: str, request: pytest.FixtureRequest) -> None:
    broker: RunningBroker = request.getfixturevalue(which)
    ghosts = {f"{GHOST}-{number}": of("main") for number in range(5_000)}
    await retain(broker.port, ghosts)
    async with shop(broker.port, tmp_path / "journal.db") as this:
        await looked(this)
        assert this.publisher.stale_cleared == len(ghosts)
        assert events(await retained(broker.port)) == right(this)


@pytest.fixture
def short(tmp_path: Path) -> Iterator[RunningBroker]:
    """Run a Mosquitto with its own default limits: it drops what 1,000 messages leave no room for, and tells nobody."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with running(mosquitto_broker(folder, conf=DEFAULT_LIMITS)) as broker:
        yield broker


async def test_ghosts_beyond_the_brokers_queue_are_cleared_in_turns(
    short: RunningBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await retain(short.port, {f"{GHOST}-{number}": of("main") for number in range(3_000)})
    async with shop(short.port, tmp_path / "journal.db") as this:
        await looked(this)
        assert this.publisher.stale_cleared == 3_000
    assert "max_queued_messages" not in capsys.readouterr().out


async def test_what_others_leave_no_room_to_see_is_said(
    short: RunningBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await retain(short.port, {f"{THEIRS}-{number}": of("south") for number in range(3_000)})
    async with shop(short.port, tmp_path / "journal.db") as this:
        await looked(this)
        assert this.publisher.stale_cleared == 0
    assert "max_queued_messages" in capsys.readouterr().out


async def test_rules_that_forbid_the_reading_are_told_and_the_rest_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = mosquitto_broker(folder, conf=NO_READING)
    own = f"topic read {ROOT}/report/#\ntopic write {ROOT}/#\ntopic readwrite {ROOT}/bridge/#\n"
    (folder / "acl").write_text(own)
    with running(broker):
        async with device(broker.port) as client:
            async with shop(broker.port, tmp_path / "journal.db") as this:
                await until(lambda: this.link.status.connected)
                await raise_call(client)
                await until(lambda: len(this.events("andon_event")) == 1)
            async with shop(broker.port, tmp_path / "journal.db") as this:
                await looked(this)
                last = this.journal.position().offset
                await until(lambda: this.publisher.published >= last)
    assert "the broker did not return our retained messages" in capsys.readouterr().out


async def test_topic_that_becomes_current_while_it_is_read_is_not_cleared(
    mosquitto: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading saw it as a ghost; when it is judged, it is the line's status."""
    topic = f"{ROOT}/event/north/pack/L1/_/line/line_status_update/medium/_"
    shops: list[Shop] = []
    inner = RetainedReader.read

    async def slow(reader: RetainedReader, *args: Any, **kwargs: Any) -> None:
        await inner(reader, *args, **kwargs)
        async with device(mosquitto.port) as client:
            await say(client, "report/bagger/state", state="running")
        await until(lambda: any(topic.endswith(each.topic.text) for each in shops[0].journal.snapshot().events))
        offset = shops[0].journal.position().offset
        await until(lambda: shops[0].publisher.published >= offset, what="published while it was read")

    monkeypatch.setattr(RetainedReader, "read", slow)
    await retain(mosquitto.port, {topic: of("main"), GHOST: of("main")})
    async with shop(mosquitto.port, tmp_path / "journal.db") as this:
        shops.append(this)
        await looked(this)
        found = await retained(mosquitto.port)
        assert GHOST not in found
        assert isinstance(event := found[topic], dict)
        assert event["epoch"] == this.journal.epoch
        await until_retained(mosquitto.port, lambda found: events(found) == right(this))  # the next tick adds OEE


async def test_bridge_killed_between_an_event_and_its_clear_leaves_no_ghost(
    mosquitto: RunningBroker, tmp_path: Path
) -> None:
    config, port = write_config(tmp_path, mosquitto)
    floor = ForkedFloor(config, port, mosquitto)
    station = f"{ROOT}/report/plant1/packing/L1/Andon-L1/andon"
    lamp = f"{ROOT}/station/plant1/packing/L1/Andon-L1/equipment"
    async with nursery(floor), aiomqtt.Client("127.0.0.1", mosquitto.port) as client:
        await floor.launch_to_die("event out, not cleared", 1)
        await floor.ready()
        assert floor.process is not None
        await client.publish(station, b'{"action": "raise", "andon_type": "equipment"}', qos=1)
        await until_retained(mosquitto.port, lambda found: found.get(lamp) == "open")
        await client.publish(station, b'{"action": "resolve", "andon_type": "equipment"}', qos=1)
        assert await asyncio.wait_for(floor.process.wait(), 20) == -signal.SIGKILL
        assert any("/andon/" in topic for topic in await retained(mosquitto.port)), "it died before the clear"
        await floor.start()
        found = await until_retained(
            mosquitto.port,
            lambda found: found.get(lamp) == "off" and not any("/andon/" in topic for topic in found),
        )
        assert events(found)
        await floor.stop()


async def test_journal_from_a_backup_clears_what_came_after_it(mosquitto: RunningBroker, tmp_path: Path) -> None:
    path, kept, workload = tmp_path / "journal.db", tmp_path / "backup.db", Workload(seed=21)
    async with outlet(mosquitto, path) as this:
        await this.marked(this.commit(workload.next(200)))
        journal_backup.back_up(path, kept)
        await this.marked(this.commit([*workload.next(200), event("only later"), call("late", "open")]))
    journal_restore.restore_journal(kept, path, replace=True)
    async with outlet(mosquitto, path) as this:
        await until(lambda: this.publisher.looks > 0, what="looked")
        assert this.publisher.stale_cleared > 1
        await assert_true(mosquitto, this.journal)


@pytest.mark.parametrize("published", [True, False])
async def test_what_left_the_plant_is_cleared(
    mosquitto: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, published: bool
) -> None:
    """Also where it had not been published when the plant changed: it goes out late, and nothing will close it."""
    path = tmp_path / "journal.db"
    gone, stays = [event("gone"), call("gone", "open")], [event("stays")]
    if published:
        async with outlet(mosquitto, path) as this:
            await this.marked(this.commit([*gone, *stays]))
    else:
        with contextlib.closing(SqliteJournal.open(path, stream="main")) as journal:
            journal.commit(follow(journal, gone, stays))
    with contextlib.closing(SqliteJournal.open(path, stream="main")) as journal:
        journal.commit(Batch(entries=[], retired_keys=[EventTopic.from_event(each).state_key for each in gone]))
    publish_nothing_before_it_was_read(monkeypatch)
    async with outlet(mosquitto, path) as this:
        await until(lambda: this.publisher.looks > 0, what="looked")
        found = await faults_retained.retained(mosquitto)
        assert {topic.split("/")[-1] for topic in found} == {"stays", "material"}
        assert found[LAMP.removeprefix(f"{ROOT}/")] == b"off"
        await until(lambda: len(this.journal.retained_topics()) == 1, what="and forgotten")


def publish_nothing_before_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read, events_after = RetainedReader.read, SqliteJournal.events_after
    done = asyncio.Event()

    async def noted(reader: RetainedReader, *args: Any, **kwargs: Any) -> None:
        await read(reader, *args, **kwargs)
        done.set()

    def late(journal: SqliteJournal, offset: int, *, limit: int) -> Sequence[CommittedEvent]:
        if not done.is_set():
            raise JournalUnavailable("unable to open database file")
        return events_after(journal, offset, limit=limit)

    monkeypatch.setattr(RetainedReader, "read", noted)
    monkeypatch.setattr(SqliteJournal, "events_after", late)
