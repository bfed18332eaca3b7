"""Work of the committer beside messages: requested replays, retention, and an orderly stop."""

import asyncio
import threading
from pathlib import Path

import pytest

from bridge.domain.records import CommandRecord
from bridge.journal.tools.quarantine_writer import SqliteQuarantineWriter
from bridge.pipeline.committer import DISK_TIMEOUT, STOP_COMMIT_SECONDS
from bridge.pipeline.pipeline import CoreCrashed
from bridge.ports.journal import Batch, CommitFailed, JournalUnavailable, RetentionLimits
from tests.pipeline.test_pipeline import accounted, break_disk, connected, messages
from tests.pipeline.test_pipeline_commands import CrashingFloor, command
from tests.support.brokers import RunningBroker, until
from tests.support.in_process import ROOT, RunningPipeline, device, in_process, publish_report

PRESS = b'{"action": "raise", "andon_type": "material", "ts": 1000}'


def ask(path: Path, *numbers: int) -> None:
    """Ask for replays as `floor quarantine replay` does, while the bridge runs or not."""
    quarantine = SqliteQuarantineWriter.open(path, stream="main")
    try:
        assert list(quarantine.request_replays(numbers)) == list(numbers)
    finally:
        quarantine.close()


async def test_asked_replay_is_one_new_input(mosquitto: RunningBroker, path: Path) -> None:
    async with (
        in_process(mosquitto.port, path, journal__checkpoint_seconds=0.05) as pipeline,
        device(mosquitto.port) as client,
    ):
        await connected(pipeline)
        await client.publish(f"{ROOT}/report/north/pack/L1/robot/state", b'{"state": "running", "ts": 5}', qos=1)
        await messages(pipeline, 1)
        await asyncio.to_thread(ask, path, 1)
        await messages(pipeline, 2)
        first, second = pipeline.entries[:2]
        assert (second.input.topic, second.input.payload) == (first.input.topic, first.input.payload)
        assert second.disposition == first.disposition, "not a duplicate: the plant still has no robot"
        assert pipeline.journal.requested_replays(10) == []
        assert accounted(pipeline)


@pytest.mark.parametrize("killed", [False, True])
async def test_replay_asked_while_the_bridge_is_down_is_done_once_also_under_kill(
    mosquitto: RunningBroker, path: Path, *, killed: bool
) -> None:
    async with in_process(mosquitto.port, path, make_floor=CrashingFloor) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)
        await client.publish(f"{ROOT}/report/north/pack/L1/desk/andon", PRESS.replace(b"1000", b'"x"'), qos=1)
        await client.publish(f"{ROOT}/report/north/pack/L1/robot/andon", PRESS, qos=1)
        await messages(pipeline, 2)
    ask(path, 2)
    if killed:
        async with in_process(mosquitto.port, path) as pipeline:
            break_disk(pipeline.journal)
            await until(
                lambda: pipeline.core.status().in_flight.get("andon") == 1, what="it is taken, and not committed"
            )
            pipeline.running.cancel()
            await asyncio.wait([pipeline.running])
    async with in_process(mosquitto.port, path) as pipeline:
        await messages(pipeline, 1)
        assert pipeline.dispositions() == [("quarantined", "unknown_equipment")]
    async with (
        in_process(mosquitto.port, path, journal__checkpoint_seconds=0.02) as pipeline,
        device(mosquitto.port) as client,
    ):
        await connected(pipeline)
        await publish_report(client, "report/bagger/state", state="running")
        await messages(pipeline, 1)
        assert pipeline.dispositions() == [("applied", None)], "it is not taken a third time"
        assert pipeline.journal.counters()["andon", "quarantined", "unknown_equipment"] == 2


async def test_replay_that_crashes_the_core_again_is_not_tried_for_ever(mosquitto: RunningBroker, path: Path) -> None:
    async def run(*, send: bool) -> None:
        async with (
            in_process(mosquitto.port, path, make_floor=CrashingFloor) as pipeline,
            device(mosquitto.port) as client,
        ):
            if send:
                await connected(pipeline)
                await publish_report(client, "report/bagger/state", state="fault")
            await asyncio.wait([pipeline.running], timeout=20)

    with pytest.raises(CoreCrashed):
        await run(send=True)
    async with in_process(mosquitto.port, path, make_floor=CrashingFloor) as pipeline:
        await messages(pipeline, 1)
        assert pipeline.dispositions() == [("quarantined", "crashed")]
    ask(path, 1)
    with pytest.raises(CoreCrashed):
        await run(send=False)
    async with in_process(mosquitto.port, path) as pipeline:
        assert pipeline.journal.requested_replays(10) == [], "and that settled the request"
        assert accounted(pipeline)


async def test_replay_of_what_once_crashed_the_core_is_applied_by_a_mended_one(
    mosquitto: RunningBroker, path: Path
) -> None:
    async def crash() -> None:
        async with (
            in_process(mosquitto.port, path, make_floor=CrashingFloor) as pipeline,
            device(mosquitto.port) as client,
        ):
            await connected(pipeline)
            await publish_report(client, "report/bagger/state", state="fault")
            await asyncio.wait([pipeline.running])

    with pytest.raises(CoreCrashed):
        await crash()
    async with in_process(mosquitto.port, path) as pipeline:
        await messages(pipeline, 1)
    ask(path, 1)
    async with in_process(mosquitto.port, path) as pipeline:
        await messages(pipeline, 1)
        assert pipeline.dispositions() == [("applied", None)]
        assert pipeline.events("line_status_update")[-1]["data"]["status"] == "fault"


async def test_old_events_and_inputs_go_while_reports_come(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path, journal__checkpoint_seconds=0.05, journal__max_bytes=1) as pipeline:
        pruned = pipeline.journal.prune
        limits: list[RetentionLimits] = []

        def watch(now: int, keep: RetentionLimits) -> int:
            limits.append(keep)
            return pruned(now, keep)

        pipeline.journal.prune = watch  # type: ignore[method-assign]
        async with device(mosquitto.port) as client:
            await connected(pipeline)
            await publish_report(client, "report/bagger/counts", total=1)
            await messages(pipeline, 1)
        await until(lambda: len(limits) > 2, what="retention is looked after, again and again")
        assert set(limits) == {RetentionLimits(max_bytes=1)}


async def test_stop_returns_from_a_commit_that_never_does_and_acknowledges_nothing_of_it(
    mosquitto: RunningBroker, path: Path
) -> None:
    stuck = threading.Event()

    async def hang(pipeline: RunningPipeline) -> None:
        committed = pipeline.journal.commit

        def commit(batch: Batch) -> None:
            stuck.wait()
            committed(batch)

        pipeline.journal.commit = commit  # type: ignore[method-assign]
        async with device(mosquitto.port) as client:
            await connected(pipeline)
            await publish_report(client, "report/desk/andon", action="raise", andon_type="material", ts=1)
            await until(lambda: any(pipeline.core.status().in_flight.values()), what="a commit hangs")
            await until(lambda: not pipeline.core.status().ready, what="not ready")
            loop = asyncio.get_running_loop()
            began = loop.time()
            pipeline.core.stop()
            await asyncio.wait([pipeline.running])
            assert loop.time() - began < STOP_COMMIT_SECONDS + 2.0, "of the 10 that a stop has"
            assert pipeline.journal.last_input()[0] == 0
            assert pipeline.entries == []

    async def run_and_hang() -> None:
        async with in_process(mosquitto.port, path) as pipeline:
            try:
                await hang(pipeline)
            finally:
                stuck.set()

    with pytest.raises(CommitFailed, match=DISK_TIMEOUT):
        await run_and_hang()
    async with in_process(mosquitto.port, path) as pipeline:
        await messages(pipeline, 1)
        assert len(pipeline.events("andon_event")) == 1, "whether the commit came to its end or not"
        assert accounted(pipeline)


async def test_command_waits_for_a_journal_that_does_not_answer(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)
        journal_command, refused = pipeline.journal.command, 0

        def look_up(user: str, command_id: str) -> CommandRecord | None:
            nonlocal refused
            refused += 1
            if refused <= 2:
                raise JournalUnavailable("unable to open database file")
            return journal_command(user, command_id)

        pipeline.journal.command = look_up  # type: ignore[method-assign]
        await command(client, "one", action="raise", andon_type="material")
        await until(lambda: not pipeline.core.status().ready, what="not ready")
        await messages(pipeline, 1)
        assert pipeline.dispositions() == [("applied", None)]
        assert pipeline.core.status().ready
        assert accounted(pipeline)


async def test_books_balance_while_a_command_that_is_replayed_waits_for_the_journal(
    mosquitto: RunningBroker, path: Path
) -> None:
    async with (
        in_process(mosquitto.port, path, journal__checkpoint_seconds=0.05) as pipeline,
        device(mosquitto.port) as client,
    ):
        await connected(pipeline)
        await publish_report(
            client,
            "command/robot/andon",
            id="one",
            user={"id": "ann", "roles": []},
            action="raise",
            andon_type="material",
        )
        await messages(pipeline, 1)
        journal_command, answers = pipeline.journal.command, threading.Event()
        waiting = threading.Event()

        def look_up(user: str, command_id: str) -> CommandRecord | None:
            waiting.set()
            answers.wait(20)
            return journal_command(user, command_id)

        pipeline.journal.command = look_up  # type: ignore[method-assign]
        try:
            await asyncio.to_thread(ask, path, 1)
            await until(waiting.is_set, what="it is looked up")
            assert not any(pipeline.core.status().unaccounted.values())
        finally:
            answers.set()
        await messages(pipeline, 2)
        assert pipeline.dispositions()[1] == ("suppressed", "duplicate_command"), "it was answered before"
        assert accounted(pipeline)


async def test_stop_leaves_a_command_to_the_broker_that_could_not_be_looked_up(
    mosquitto: RunningBroker, path: Path
) -> None:
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)

        def look_up(user: str, command_id: str) -> CommandRecord | None:
            raise JournalUnavailable(f"{user} {command_id}")

        pipeline.journal.command = look_up  # type: ignore[method-assign]
        await command(client, "one", action="raise", andon_type="material")
        await until(lambda: any(pipeline.core.status().in_flight.values()), what="it is taken")
    async with in_process(mosquitto.port, path) as pipeline:
        await messages(pipeline, 1)
        assert pipeline.dispositions() == [("applied", None)]
