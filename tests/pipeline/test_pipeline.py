"""The pipeline behind a real broker, with a real journal: acknowledgements and failures."""

import asyncio
import time
from pathlib import Path

import pytest

from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.pipeline import APPLY_CHUNK
from bridge.ports.journal import Batch, CommitFailed
from bridge.wiring import pipeline_side
from tests.support.brokers import RunningBroker, until
from tests.support.in_process import ROOT, RunningPipeline, device, in_process, publish_report
from tests.support.journal_samples import forge_payload


async def messages(pipeline: RunningPipeline, count: int) -> None:
    try:
        await until(lambda: len(pipeline.dispositions()) >= count, what=f"{count} messages")
    except AssertionError as error:
        raise AssertionError(f"have {pipeline.dispositions()}, {pipeline.link.status}") from error


async def connected(pipeline: RunningPipeline) -> None:
    await until(lambda: pipeline.link.status.connected, what="connected")


def accounted(pipeline: RunningPipeline) -> bool:
    status = pipeline.core.status()
    return (
        sum(status.received.values()) == sum(status.counters.values()) == pipeline.journal.last_input()[0]
        and not any(status.unaccounted.values())
        and not status.in_flight
        and status.counters == pipeline.journal.counters()
        and status.offset == pipeline.journal.position().offset
    )


async def test_report_becomes_an_event_in_the_journal(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)
        await publish_report(client, "report/desk/andon", action="raise", andon_type="material")
        await messages(pipeline, 1)
        (call,) = pipeline.events("andon_event")
        assert call["caused_by"] == ["input:1"]
        assert pipeline.core.status().ready
        assert accounted(pipeline)


async def test_nothing_is_acknowledged_before_it_is_committed(mosquitto: RunningBroker, path: Path) -> None:
    """While nothing can be written the broker keeps everything, and has it still when the pipeline is killed."""
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)
        await publish_report(client, "report/desk/andon", action="raise", andon_type="material")
        await messages(pipeline, 1)
        break_disk(pipeline.journal)
        for number in range(200):
            await publish_report(client, "report/bagger/counts", total=number, ts=1_000 + number)
        await until(lambda: not pipeline.core.status().ready, what="not ready")
        assert "readonly" in str(pipeline.core.status().reason)
        position = pipeline.journal.position()
        pipeline.running.cancel()
        await asyncio.wait([pipeline.running])
        assert pipeline.journal.position() == position
    async with in_process(mosquitto.port, path) as pipeline:
        await messages(pipeline, 200)
        assert {effect for effect, _ in pipeline.dispositions()} == {"applied"}
        assert accounted(pipeline)


async def test_broken_disk_heals_without_a_restart(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)
        break_disk(pipeline.journal)
        await publish_report(client, "report/bagger/counts", total=0, ts=1_000)
        await until(lambda: not pipeline.core.status().ready, what="not ready")
        for number in range(1, 300):
            await publish_report(client, "report/bagger/counts", total=number, ts=1_000 + number)
        # one chunk may have been asked for already; it is not applied either
        await until(lambda: pipeline.link.queued >= 299 - APPLY_CHUNK, what="the link holds what came later")
        assert sum(pipeline.core.status().in_flight.values()) == 1, (
            "nothing more is applied on top of what is not committed"
        )
        assert pipeline.entries == []
        break_disk(pipeline.journal, broken=False)
        await messages(pipeline, 300)
        assert pipeline.core.status().ready
        assert pipeline.dispositions() == [("applied", None)] * 300, "each once, none redelivered"
        assert accounted(pipeline)


def break_disk(journal: SqliteJournal, *, broken: bool = True) -> None:
    """Let every commit fail, as on a file system that remounts itself read-only after an error."""

    def fail(_: Batch) -> None:
        raise CommitFailed("attempt to write a readonly database")

    if broken:
        journal.commit = fail  # type: ignore[assignment, method-assign]
    else:
        del journal.commit


async def test_a_stop_on_a_broken_disk_is_reported_and_leaves_the_messages_to_the_broker(
    mosquitto: RunningBroker, path: Path
) -> None:
    async def fill_and_stop() -> None:
        async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
            await connected(pipeline)
            break_disk(pipeline.journal)
            for number in range(120):
                await publish_report(client, "report/bagger/counts", total=number)
            await until(lambda: not pipeline.core.status().ready, what="not ready")

    with pytest.raises(CommitFailed, match="readonly"):
        await fill_and_stop()
    async with in_process(mosquitto.port, path) as pipeline:
        await messages(pipeline, 120)
        assert pipeline.dispositions() == [("applied", None)] * 120


async def test_stop_leaves_nothing_to_replay(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)
        for number in range(20):
            await publish_report(client, "report/bagger/counts", total=number)
        await messages(pipeline, 20)
        floor = pipeline.restored.floor
    async with in_process(mosquitto.port, path) as pipeline:
        assert pipeline.restored.replayed == 0
        assert pipeline.restored.floor.checkpoint("L1") == floor.checkpoint("L1")


async def test_replay_brings_back_the_very_same_state(mosquitto: RunningBroker, path: Path) -> None:
    async with (
        in_process(mosquitto.port, path, journal__checkpoint_seconds=3_600) as pipeline,
        device(mosquitto.port) as client,
    ):
        await connected(pipeline)
        await publish_report(client, "report/bagger/state", state="running")
        began = round(time.time() * 1000)
        for number in range(20):
            await publish_report(client, "report/bagger/counts", total=number, ts=began + number)
            await publish_report(client, "report/bagger/counts", total=number, ts=began + number)
        await publish_report(client, "report/desk/andon", action="raise", andon_type="material")
        await publish_report(client, "report/desk/nonsense", action="raise")
        await messages(pipeline, 43)
        await until(lambda: any(not entry.input.topic for entry in pipeline.entries), what="a tick")
        pipeline.running.cancel()  # without the checkpoint of an orderly stop
        await asyncio.wait([pipeline.running])
        floor = pipeline.restored.floor
        last = pipeline.journal.last_input()[0]
    async with in_process(mosquitto.port, path) as pipeline:
        assert pipeline.restored.differences == 0, pipeline.restored.first_differences
        resends = 18  # those of the first two came before the clock was known to tick
        assert 22 < pipeline.restored.replayed == last - resends - 1, "resends and quarantined are not applied again"
        late = floor.line("L1")
        restored = pipeline.restored.floor.line("L1")
        assert late is not None
        assert restored is not None
        now = pipeline.journal.last_input()[1] + 3_600_000
        assert restored.tick(now) == late.tick(now)


async def test_difference_in_a_replay_is_reported_and_the_journal_trusted(mosquitto: RunningBroker, path: Path) -> None:
    async with (
        in_process(mosquitto.port, path, journal__checkpoint_seconds=3_600) as pipeline,
        device(mosquitto.port) as client,
    ):
        await connected(pipeline)
        await publish_report(client, "report/desk/andon", action="raise", andon_type="material")
        await messages(pipeline, 1)
        pipeline.running.cancel()
        await asyncio.wait([pipeline.running])
        offset = pipeline.journal.position().offset
        forge_payload(path, 1, b'{"action": "raise", "andon_type": "quality"}')
    async with in_process(mosquitto.port, path) as pipeline:
        (difference,) = pipeline.restored.first_differences
        assert (difference.number, difference.events_were) == (1, offset)
        assert pipeline.journal.position().offset == offset
        assert [call["data"]["andon_type"] for call in pipeline.events("andon_event")] == ["material"]


async def test_deadlines_fire_without_messages_and_are_journalled(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)
        await publish_report(client, "report/bagger/state", state="running")
        await publish_report(client, "report/bagger/counts", total=1)
        await publish_report(client, "report/bagger/counts", total=2)
        await until(lambda: any(not entry.input.topic for entry in pipeline.entries), what="a tick")
        tick = next(entry for entry in pipeline.entries if not entry.input.topic)
        assert tick.events
        assert accounted(pipeline)
        assert pipeline.journal.counters()["tick", "applied", ""] >= 1


async def test_message_outside_the_root_is_quarantined(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)
        await client.publish(f"{ROOT}/report/else/where", b"\xff", qos=1)
        await messages(pipeline, 1)
        assert pipeline.dispositions() == [("quarantined", "bad_topic")]


async def test_settled_acknowledgements_are_remembered(
    mosquitto: RunningBroker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_side, "ACK_DOUBT_KEEPALIVES", 0.05)
    async with in_process(mosquitto.port, path, journal__checkpoint_seconds=0.02) as pipeline:
        async with device(mosquitto.port) as client:
            await connected(pipeline)
            await publish_report(client, "report/desk/andon", action="raise", andon_type="material")
            await messages(pipeline, 1)
        await until(lambda: pipeline.journal.dedup_window().acked_up_to >= 1, what="settled")


async def test_a_listener_sees_only_what_is_durable(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)
        notified: list[tuple[int, int]] = []
        pipeline.core.add_listener(
            lambda entries: notified.append((entries[-1].input.number, pipeline.journal.last_input()[0]))
        )
        for number in range(120):
            await publish_report(client, "report/bagger/counts", total=number)
        await messages(pipeline, 120)
        assert notified
        assert all(published <= durable for published, durable in notified)
