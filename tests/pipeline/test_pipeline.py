"""The pipeline with a real journal: acknowledgements and failures."""

import time
from pathlib import Path

import pytest

from bridge.pipeline.pipeline import APPLY_CHUNK
from bridge.ports.journal import CommitFailed
from tests.pipeline.pipeline_run import deliver, run_pipeline
from tests.support.brokers import until
from tests.support.fake_link import FakeLink
from tests.support.journal_samples import break_disk, forge_payload


async def test_report_becomes_an_event_in_the_journal(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path) as run:
        deliver(link, "report/desk/andon", action="raise", andon_type="material")
        await run.messages(1)
        (call,) = run.events("andon_event")
        assert call["caused_by"] == ["input:1"]
        assert run.pipeline.status().ready
        assert run.is_accounted()


async def test_nothing_is_acknowledged_before_it_is_committed(link: FakeLink, path: Path) -> None:
    """While nothing can be written nothing is acknowledged, so the next run receives it again."""
    async with run_pipeline(link, path) as run:
        deliver(link, "report/desk/andon", action="raise", andon_type="material")
        await run.messages(1)
        break_disk(run.journal)
        for number in range(200):
            deliver(link, "report/bagger/counts", total=number, ts=1_000 + number)
        await until(lambda: not run.pipeline.status().ready, what="not ready")
        assert "readonly" in str(run.pipeline.status().reason)
        position = run.journal.position()
        assert link.acknowledged == [1]
        await run.kill()
        assert run.journal.position() == position
    async with run_pipeline(link, path) as run:
        await run.messages(200)
        assert {effect for effect, _ in run.dispositions()} == {"applied"}
        assert run.is_accounted()


async def test_broken_disk_heals_without_a_restart(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path) as run:
        await run.ready()
        break_disk(run.journal)
        deliver(link, "report/bagger/counts", total=0, ts=1_000)
        await until(lambda: not run.pipeline.status().ready, what="not ready")
        for number in range(1, 300):
            deliver(link, "report/bagger/counts", total=number, ts=1_000 + number)
        # one chunk may have been asked for already; it is not applied either
        await until(lambda: link.queued >= 299 - APPLY_CHUNK, what="the link holds what came later")
        assert sum(run.pipeline.status().in_flight.values()) == 1, (
            "nothing more is applied on top of what is not committed"
        )
        assert run.entries == []
        break_disk(run.journal, broken=False)
        await run.messages(300)
        assert run.pipeline.status().ready
        assert run.dispositions() == [("applied", None)] * 300, "each once, none redelivered"
        assert run.is_accounted()


async def test_a_stop_on_a_broken_disk_is_reported_and_leaves_the_messages_to_the_broker(
    link: FakeLink, path: Path
) -> None:
    async def fill_and_stop() -> None:
        async with run_pipeline(link, path) as run:
            await run.ready()
            break_disk(run.journal)
            for number in range(120):
                deliver(link, "report/bagger/counts", total=number)
            await until(lambda: not run.pipeline.status().ready, what="not ready")

    with pytest.raises(CommitFailed, match="readonly"):
        await fill_and_stop()
    async with run_pipeline(link, path) as run:
        await run.messages(120)
        assert run.dispositions() == [("applied", None)] * 120


async def test_stop_leaves_nothing_to_replay(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path) as run:
        for number in range(20):
            deliver(link, "report/bagger/counts", total=number)
        await run.messages(20)
        floor = run.restored.floor
    async with run_pipeline(link, path) as run:
        assert run.restored.replayed == 0
        assert run.restored.floor.checkpoint("L1") == floor.checkpoint("L1")


async def test_replay_brings_back_the_very_same_state(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path, checkpoint_seconds=3_600) as run:
        deliver(link, "report/bagger/state", state="running")
        began = round(time.time() * 1000)
        for number in range(20):
            deliver(link, "report/bagger/counts", total=number, ts=began + number)
            deliver(link, "report/bagger/counts", total=number, ts=began + number)
        deliver(link, "report/desk/andon", action="raise", andon_type="material")
        deliver(link, "report/desk/nonsense", action="raise")
        await run.messages(43)
        await until(lambda: any(not entry.input.topic for entry in run.entries), what="a tick")
        await run.kill()
        floor = run.restored.floor
        last = run.journal.last_input()[0]
    async with run_pipeline(link, path) as run:
        assert run.restored.differences == 0, run.restored.first_differences
        resends = 18  # those of the first two came before the clock was known to tick
        assert 22 < run.restored.replayed == last - resends - 1, "resends and quarantined are not applied again"
        late = floor.line("L1")
        restored = run.restored.floor.line("L1")
        assert late is not None
        assert restored is not None
        now = run.journal.last_input()[1] + 3_600_000
        assert restored.tick(now) == late.tick(now)


async def test_difference_in_a_replay_is_reported_and_the_journal_trusted(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path, checkpoint_seconds=3_600) as run:
        deliver(link, "report/desk/andon", action="raise", andon_type="material")
        await run.messages(1)
        await run.kill()
        offset = run.journal.position().offset
        forge_payload(path, 1, b'{"action": "raise", "andon_type": "quality"}')
    async with run_pipeline(link, path) as run:
        (difference,) = run.restored.first_differences
        assert (difference.number, difference.events_were) == (1, offset)
        assert run.journal.position().offset == offset
        assert [call["data"]["andon_type"] for call in run.events("andon_event")] == ["material"]


async def test_deadlines_fire_without_messages_and_are_journalled(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path) as run:
        deliver(link, "report/bagger/state", state="running")
        deliver(link, "report/bagger/counts", total=1)
        deliver(link, "report/bagger/counts", total=2)
        await until(lambda: any(not entry.input.topic for entry in run.entries), what="a tick")
        tick = next(entry for entry in run.entries if not entry.input.topic)
        assert tick.events
        assert run.is_accounted()
        assert run.journal.counters()["tick", "applied", ""] >= 1


async def test_message_outside_the_root_is_quarantined(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path) as run:
        link.deliver("report/else/where", b"\xff")
        await run.messages(1)
        assert run.dispositions() == [("quarantined", "bad_topic")]


async def test_settled_acknowledgements_are_remembered(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path, checkpoint_seconds=0.02, ack_doubt_seconds=0.1) as run:
        deliver(link, "report/desk/andon", action="raise", andon_type="material")
        await run.messages(1)
        await until(lambda: run.journal.dedup_window().acked_up_to >= 1, what="settled")


async def test_a_listener_sees_only_what_is_durable(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path) as run:
        notified: list[tuple[int, int]] = []
        run.pipeline.add_listener(
            lambda entries: notified.append((entries[-1].input.number, run.journal.last_input()[0]))
        )
        for number in range(120):
            deliver(link, "report/bagger/counts", total=number)
        await run.messages(120)
        assert notified
        assert all(published <= durable for published, durable in notified)
