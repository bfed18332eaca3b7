"""The pipeline behind a real broker, with a real journal: what is acknowledged, when, and what becomes of trouble."""

import asyncio
import json
import time
from collections.abc import Iterable
from pathlib import Path

import aiomqtt
import pytest

from bridge.domain.events import Millis
from bridge.domain.line.floor import Floor
from bridge.domain.messages import Message
from bridge.domain.reports import Outcome, Report, StateReport
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.mqtt.link import BrokerLink
from bridge.pipeline.pipeline import APPLY_CHUNK, CoreCrashed
from bridge.ports.journal import Batch, CommitFailed
from bridge.wiring import pipeline_side
from tests.support.brokers import RunningBroker, until
from tests.support.in_process import ROOT, RunningPipeline, device, in_process, say
from tests.support.journal_samples import forge_payload


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def messages(this: RunningPipeline, count: int) -> None:
    try:
        await until(lambda: len(this.dispositions()) >= count, what=f"{count} messages")
    except AssertionError as error:
        raise AssertionError(f"have {this.dispositions()}, {this.link.status}") from error


async def connected(this: RunningPipeline) -> None:
    await until(lambda: this.link.status.connected, what="connected")


def accounted(this: RunningPipeline) -> bool:
    status = this.pipeline.status()
    return (
        sum(status.received.values()) == sum(status.counters.values()) == this.journal.last_input()[0]
        and not any(status.unaccounted.values())
        and not status.in_flight
        and status.counters == this.journal.counters()
        and status.offset == this.journal.position().offset
    )


async def test_report_becomes_an_event_in_the_journal(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as this, device(mosquitto.port) as client:
        await connected(this)
        await say(client, "report/desk/andon", action="raise", andon_type="material")
        await messages(this, 1)
        (call,) = this.events("andon_event")
        assert call["caused_by"] == ["input:1"]
        assert this.pipeline.status().ready
        assert accounted(this)


async def test_nothing_is_acknowledged_before_it_is_committed(mosquitto: RunningBroker, path: Path) -> None:
    """While nothing can be written the broker keeps everything, and has it still when the pipeline is killed."""
    async with in_process(mosquitto.port, path) as this, device(mosquitto.port) as client:
        await connected(this)
        await say(client, "report/desk/andon", action="raise", andon_type="material")
        await messages(this, 1)
        break_disk(this.journal)
        for number in range(200):
            await say(client, "report/bagger/counts", total=number, ts=1_000 + number)
        await until(lambda: not this.pipeline.status().ready, what="not ready")
        assert "readonly" in str(this.pipeline.status().reason)
        position = this.journal.position()
        this.running.cancel()
        await asyncio.wait([this.running])
        assert this.journal.position() == position
    async with in_process(mosquitto.port, path) as this:
        await messages(this, 200)
        assert {effect for effect, _ in this.dispositions()} == {"applied"}
        assert accounted(this)


async def test_broken_disk_heals_without_a_restart(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as this, device(mosquitto.port) as client:
        await connected(this)
        break_disk(this.journal)
        await say(client, "report/bagger/counts", total=0, ts=1_000)
        await until(lambda: not this.pipeline.status().ready, what="not ready")
        for number in range(1, 300):
            await say(client, "report/bagger/counts", total=number, ts=1_000 + number)
        # one chunk may have been asked for already; it is not applied either
        await until(lambda: this.link.queued >= 299 - APPLY_CHUNK, what="the link holds what came later")
        assert sum(this.pipeline.status().in_flight.values()) == 1, (
            "nothing more is applied on top of what is not committed"
        )
        assert this.entries == []
        break_disk(this.journal, broken=False)
        await messages(this, 300)
        assert this.pipeline.status().ready
        assert this.dispositions() == [("applied", None)] * 300, "each once, none redelivered"
        assert accounted(this)


def break_disk(journal: SqliteJournal, *, broken: bool = True) -> None:
    """Let every commit fail, as on a file system that remounts itself read-only after an error."""

    def fail(_: Batch) -> None:
        raise CommitFailed("attempt to write a readonly database")

    if broken:
        journal.commit = fail  # type: ignore[assignment, method-assign]
    else:
        del journal.commit


async def test_stop_on_a_broken_disk_says_so_and_leaves_it_to_the_broker(mosquitto: RunningBroker, path: Path) -> None:
    async def fill_and_stop() -> None:
        async with in_process(mosquitto.port, path) as this, device(mosquitto.port) as client:
            await connected(this)
            break_disk(this.journal)
            for number in range(120):
                await say(client, "report/bagger/counts", total=number)
            await until(lambda: not this.pipeline.status().ready, what="not ready")

    with pytest.raises(CommitFailed, match="readonly"):
        await fill_and_stop()
    async with in_process(mosquitto.port, path) as this:
        await messages(this, 120)
        assert this.dispositions() == [("applied", None)] * 120


async def test_stop_leaves_nothing_to_replay(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as this, device(mosquitto.port) as client:
        await connected(this)
        for number in range(20):
            await say(client, "report/bagger/counts", total=number)
        await messages(this, 20)
        floor = this.restored.floor
    async with in_process(mosquitto.port, path) as this:
        assert this.restored.replayed == 0
        assert this.restored.floor.checkpoint("L1") == floor.checkpoint("L1")


async def test_replay_brings_back_the_very_same_state(mosquitto: RunningBroker, path: Path) -> None:
    async with (
        in_process(mosquitto.port, path, journal__checkpoint_seconds=3_600) as this,
        device(mosquitto.port) as client,
    ):
        await connected(this)
        await say(client, "report/bagger/state", state="running")
        began = round(time.time() * 1000)
        for number in range(20):
            await say(client, "report/bagger/counts", total=number, ts=began + number)
            await say(client, "report/bagger/counts", total=number, ts=began + number)
        await say(client, "report/desk/andon", action="raise", andon_type="material")
        await say(client, "report/desk/nonsense", action="raise")
        await messages(this, 43)
        await until(lambda: any(not entry.input.topic for entry in this.entries), what="a tick")
        this.running.cancel()  # without the checkpoint of an orderly stop
        await asyncio.wait([this.running])
        floor = this.restored.floor
        last = this.journal.last_input()[0]
    async with in_process(mosquitto.port, path) as this:
        assert this.restored.differences == 0, this.restored.first_differences
        resends = 18  # those of the first two came before the clock was known to tick
        assert 22 < this.restored.replayed == last - resends - 1, "resends and quarantined are not applied again"
        late = floor.line("L1")
        restored = this.restored.floor.line("L1")
        assert late is not None
        assert restored is not None
        now = this.journal.last_input()[1] + 3_600_000
        assert restored.tick(now) == late.tick(now)


async def test_difference_in_a_replay_is_told_and_the_journal_trusted(mosquitto: RunningBroker, path: Path) -> None:
    async with (
        in_process(mosquitto.port, path, journal__checkpoint_seconds=3_600) as this,
        device(mosquitto.port) as client,
    ):
        await connected(this)
        await say(client, "report/desk/andon", action="raise", andon_type="material")
        await messages(this, 1)
        this.running.cancel()
        await asyncio.wait([this.running])
        offset = this.journal.position().offset
        forge_payload(path, 1, b'{"action": "raise", "andon_type": "quality"}')
    async with in_process(mosquitto.port, path) as this:
        (difference,) = this.restored.first_differences
        assert (difference.number, difference.events_were) == (1, offset)
        assert this.journal.position().offset == offset
        assert [call["data"]["andon_type"] for call in this.events("andon_event")] == ["material"]


async def test_dated_resend_is_suppressed_also_after_a_restart(mosquitto: RunningBroker, path: Path) -> None:
    began = round(time.time() * 1000)
    for expected in ([("applied", None)] * 3, [("suppressed", "duplicate")] * 3):
        async with in_process(mosquitto.port, path) as this, device(mosquitto.port) as client:
            await connected(this)
            for number in range(3):
                await say(client, "report/bagger/counts", total=number, ts=began + number)
            await messages(this, 3)
            assert this.dispositions() == expected


async def test_committed_but_unacknowledged_press_is_one_call(mosquitto: RunningBroker, path: Path) -> None:
    """The connection ends between commit and acknowledgement: the broker sends the press again."""
    async with in_process(mosquitto.port, path, make_client=DeafLink) as this, device(mosquitto.port) as client:
        await connected(this)
        await say(client, "report/desk/andon", action="raise", andon_type="material")
        await messages(this, 1)
        this.running.cancel()
        await asyncio.wait([this.running])
    async with in_process(mosquitto.port, path) as this, device(mosquitto.port) as client:
        await messages(this, 1)
        assert this.dispositions() == [("suppressed", "duplicate")]
        await say(client, "report/desk/andon", action="raise", andon_type="material")
        await messages(this, 2)
        assert this.entries[-1].reached_core, "the next press is not taken for the first one"
        assert accounted(this)


class DeafLink(BrokerLink):
    """A link whose acknowledgements never reach the broker."""

    def acknowledge(self, messages: Iterable[Message]) -> int:
        del messages
        return 0


async def command(client: aiomqtt.Client, command_id: str, **fields: object) -> None:
    await say(client, "command/desk/andon", id=command_id, user={"id": "ann", "roles": ["team_leader"]}, **fields)


async def test_command_is_done_once_and_answered_every_time(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as this, device(mosquitto.port) as client:
        await connected(this)
        for _ in range(2):
            await command(client, "one", action="raise", andon_type="material")
        await messages(this, 2)
        first, second = (entry for entry in this.entries if entry.input.topic)
        assert first.command is not None
        assert first.command.outcome == "applied"
        assert first.command.event_ids == tuple(event.id for event in first.events) != ()
        assert second.command == first.command
        assert this.dispositions()[1] == ("suppressed", "duplicate_command")
    async with in_process(mosquitto.port, path) as this, device(mosquitto.port) as client:
        await connected(this)
        await command(client, "one", action="raise", andon_type="material")
        await command(client, "two", action="resolve", call_id="no-such-call")
        await messages(this, 2)
        again, other = (entry.command for entry in this.entries if entry.input.topic)
        assert again == first.command
        assert other is not None
        assert (other.outcome, other.event_ids) == ("rejected", ())
        assert len(this.events("andon_event")) == 1
        assert accounted(this)


class CrashingFloor(Floor):
    """A core with a bug: it trips over one word, half-way through its work."""

    def __init__(self, floor: Floor) -> None:
        self.__dict__.update(floor.__dict__)

    def apply(self, report: Report, now: Millis) -> Outcome:
        outcome = super().apply(report, now)
        if isinstance(report.body, StateReport) and report.body.state == "fault":
            raise ZeroDivisionError
        return outcome


async def test_message_that_crashes_the_core_stops_the_process_once(mosquitto: RunningBroker, path: Path) -> None:
    async def crash_core() -> None:
        async with in_process(mosquitto.port, path, make_floor=CrashingFloor) as this, device(mosquitto.port) as client:
            await connected(this)
            await say(client, "report/bagger/counts", total=1)
            await say(client, "report/bagger/state", state="fault")
            await say(client, "report/bagger/counts", total=2)
            await asyncio.wait([this.running])
            assert not this.pipeline.status().ready
            assert this.dispositions() == [("applied", None)], "what came before is committed"

    with pytest.raises(CoreCrashed) as crash:
        await crash_core()
    assert crash.value.topic == "report/north/pack/L1/bagger/state"
    async with in_process(mosquitto.port, path, make_floor=CrashingFloor) as this:
        assert this.journal.checkpoints() == [], "the half-changed state is not kept"
        await messages(this, 2)
        assert this.dispositions() == [("quarantined", "crashed"), ("applied", None)]
        assert this.restored.differences == 0
        kept = next(e for e in this.journal.inputs_after(0, limit=10) if e.disposition.reason == "crashed")
        assert json.loads(kept.input.payload) == {"state": "fault"}
        assert accounted(this)


async def test_deadlines_fire_without_messages_and_are_journalled(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as this, device(mosquitto.port) as client:
        await connected(this)
        await say(client, "report/bagger/state", state="running")
        await say(client, "report/bagger/counts", total=1)
        await say(client, "report/bagger/counts", total=2)
        await until(lambda: any(not entry.input.topic for entry in this.entries), what="a tick")
        tick = next(entry for entry in this.entries if not entry.input.topic)
        assert tick.events
        assert accounted(this)
        assert this.journal.counters()["tick", "applied", ""] >= 1


async def test_message_outside_the_root_is_quarantined(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as this, device(mosquitto.port) as client:
        await connected(this)
        await client.publish(f"{ROOT}/report/else/where", b"\xff", qos=1)
        await messages(this, 1)
        assert this.dispositions() == [("quarantined", "bad_topic")]


async def test_settled_acknowledgements_are_remembered(
    mosquitto: RunningBroker, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_side, "ACK_DOUBT_KEEPALIVES", 0.05)
    async with in_process(mosquitto.port, path, journal__checkpoint_seconds=0.02) as this:
        async with device(mosquitto.port) as client:
            await connected(this)
            await say(client, "report/desk/andon", action="raise", andon_type="material")
            await messages(this, 1)
        await until(lambda: this.journal.dedup_window().acked_up_to >= 1, what="settled")


async def test_a_listener_sees_only_what_is_durable(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as this, device(mosquitto.port) as client:
        await connected(this)
        seen: list[tuple[int, int]] = []
        this.pipeline.add_listener(
            lambda entries: seen.append((entries[-1].input.number, this.journal.last_input()[0]))
        )
        for number in range(120):
            await say(client, "report/bagger/counts", total=number)
        await messages(this, 120)
        assert seen
        assert all(told <= durable for told, durable in seen)
