"""Messages that a broker retains and should not: from an old save, a crash, or another journal."""

import contextlib
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from bridge.mqtt.retained_reader import RetainedReader
from tests.publisher.audit_conditions import looked, right
from tests.publisher.test_publisher import LAMP, raise_call
from tests.publisher.workload import Workload, assert_true
from tests.support.brokers import MOSQUITTO_CONF, RunningBroker, mosquitto_broker, running, until
from tests.support.in_process import PUBLISHER, ROOT, RunningPipeline, device, in_process, publish_report
from tests.support.retained_messages import event_topics, retained, until_retained

DEFAULT_LIMITS = MOSQUITTO_CONF.replace("max_inflight_messages 1000\nmax_queued_messages 100000\n", "")
NO_READING = """\
listener {port} 127.0.0.1
allow_anonymous true
user root
acl_file {folder}/acl
log_dest stderr
"""
STALE = "event/north/pack/L1/desk/andon/andon_event/high/old-call"
THEIRS = "event/south/pack/L7/desk/andon/andon_event/high/their-call"
THEIR_LAMP = "station/south/pack/L7/desk/material"


async def retain(port: int, topics: dict[str, bytes]) -> None:
    async with aiomqtt.Client("127.0.0.1", port, max_queued_outgoing_messages=0) as client:
        for topic, payload in topics.items():
            await client.publish(f"{ROOT}/{topic}", payload, qos=1, retain=True)


def of(stream: str) -> bytes:
    return json.dumps({"stream": stream, "epoch": "old", "offset": 3, "id": f"{stream}:old:3"}).encode()


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


async def resolve(client: aiomqtt.Client, pipeline: RunningPipeline) -> None:
    for action in ("acknowledge", "resolve"):
        await publish_report(client, "report/desk/andon", action=action, andon_type="material")
    await until(lambda: len(pipeline.events("andon_event")) == 3)
    last = pipeline.journal.position().offset
    await until(lambda: pipeline.journal.published_offset() >= last)


async def test_cleared_call_that_an_older_memory_brings_back_is_cleared_again(tmp_path: Path) -> None:
    """The bridge goes on meanwhile."""
    memory = OldMemory(tmp_path / "mosquitto")
    broker = memory.broker
    with running(broker):
        async with in_process(broker.port, tmp_path / "journal.db") as pipeline:
            await until(lambda: pipeline.connected)
            async with device(broker.port) as client:
                await raise_call(client)
                await until_retained(broker, lambda found: found.get(LAMP) == b"open")
                await memory.remember()
                await resolve(client, pipeline)
                memory.come_back_with_it()
            found = await until_retained(broker, lambda found: event_topics(found) == right(pipeline))
            assert found[LAMP] == b"off"
            assert pipeline.publisher.stale_cleared > 0


async def test_lamp_goes_out_though_both_bridge_and_broker_had_stopped(tmp_path: Path) -> None:
    """The bridge that starts again knows of no call, so only the broker can tell that a lamp is lit."""
    memory = OldMemory(tmp_path / "mosquitto")
    broker = memory.broker
    with running(broker):
        async with in_process(broker.port, tmp_path / "journal.db") as pipeline, device(broker.port) as client:
            await until(lambda: pipeline.connected)
            await raise_call(client)
            await until_retained(broker, lambda found: found.get(LAMP) == b"open")
            await memory.remember()
            await resolve(client, pipeline)
        memory.come_back_with_it()
        assert (await retained(broker))[LAMP] == b"open"
        async with in_process(broker.port, tmp_path / "journal.db") as pipeline:
            await until_retained(broker, lambda found: found[LAMP] == b"off" and event_topics(found) == right(pipeline))


async def test_older_memory_of_anything_is_put_right(tmp_path: Path) -> None:
    """Subjects that moved to another topic, ended, or came again since then, and lamps."""
    memory, workload = OldMemory(tmp_path / "mosquitto"), Workload(seed=23)
    with running(memory.broker):
        async with in_process(memory.broker.port, tmp_path / "journal.db", parts=[PUBLISHER]) as pipeline:
            await pipeline.marked(pipeline.commit(workload.next(200)))
            await memory.remember()
            await pipeline.marked(pipeline.commit(workload.next(200)))
            await until(lambda: pipeline.publisher.audits == 1, what="looked at first")
            memory.come_back_with_it()
            await until(lambda: pipeline.publisher.audits == 2, what="looked again")
            assert pipeline.publisher.stale_cleared > 0
            await assert_true(memory.broker, pipeline.journal)


async def test_another_streams_topics_are_left_alone(mosquitto: RunningBroker, tmp_path: Path) -> None:
    theirs = {THEIRS: of("south"), THEIR_LAMP: b"open", "event/no/event": b"{}"}
    await retain(mosquitto.port, {STALE: of("main"), LAMP: b"acknowledged", **theirs})
    async with in_process(mosquitto.port, tmp_path / "journal.db") as pipeline:
        await looked(pipeline)
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
    async with in_process(broker.port, tmp_path / "journal.db") as pipeline:
        await looked(pipeline)
        assert pipeline.publisher.stale_cleared == len(stale)
        assert event_topics(await retained(broker)) == right(pipeline)


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
    async with in_process(short.port, tmp_path / "journal.db") as pipeline:
        await looked(pipeline)
        assert pipeline.publisher.stale_cleared == 3_000
    assert "max_queued_messages" not in capsys.readouterr().out


async def test_an_audit_that_other_messages_crowd_out_is_reported(
    short: RunningBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await retain(short.port, {f"{THEIRS}-{number}": of("south") for number in range(3_000)})
    async with in_process(short.port, tmp_path / "journal.db") as pipeline:
        await looked(pipeline)
        assert pipeline.publisher.stale_cleared == 0
    assert "max_queued_messages" in capsys.readouterr().out


async def test_an_acl_that_forbids_the_audit_is_logged_and_the_rest_works(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = mosquitto_broker(folder, conf=NO_READING)
    own = f"topic read {ROOT}/report/#\ntopic write {ROOT}/#\ntopic readwrite {ROOT}/bridge/#\n"
    (folder / "acl").write_text(own)
    with running(broker):
        async with device(broker.port) as client:
            async with in_process(broker.port, tmp_path / "journal.db") as pipeline:
                await until(lambda: pipeline.connected)
                await raise_call(client)
                await until(lambda: len(pipeline.events("andon_event")) == 1)
            async with in_process(broker.port, tmp_path / "journal.db") as pipeline:
                await looked(pipeline)
                last = pipeline.journal.position().offset
                await until(lambda: pipeline.publisher.published >= last)
    assert "the broker did not return our retained messages" in capsys.readouterr().out


async def test_topic_that_becomes_current_while_it_is_read_is_not_cleared(
    mosquitto: RunningBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The audit read it as stale; when it is decided, it is the line's status."""
    topic = "event/north/pack/L1/_/line/line_status_update/medium/_"
    pipelines: list[RunningPipeline] = []
    inner = RetainedReader.read

    async def slow(reader: RetainedReader, *args: Any, **kwargs: Any) -> None:
        await inner(reader, *args, **kwargs)
        async with device(mosquitto.port) as client:
            await publish_report(client, "report/bagger/state", state="running")
        await until(lambda: any(topic.endswith(event.topic.text) for event in pipelines[0].journal.snapshot().events))
        offset = pipelines[0].journal.position().offset
        await until(lambda: pipelines[0].publisher.published >= offset, what="published while it was read")

    monkeypatch.setattr(RetainedReader, "read", slow)
    await retain(mosquitto.port, {topic: of("main"), STALE: of("main")})
    async with in_process(mosquitto.port, tmp_path / "journal.db") as pipeline:
        pipelines.append(pipeline)
        await looked(pipeline)
        found = await retained(mosquitto)
        assert STALE not in found
        assert json.loads(found[topic])["epoch"] == pipeline.journal.epoch
        await until_retained(mosquitto, lambda found: event_topics(found) == right(pipeline))  # the next tick adds OEE
