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
from tests.pipeline.pipeline_run import PipelineRun, deliver, run_pipeline
from tests.pipeline.test_pipeline_commands import CrashingFloor, deliver_command
from tests.support.brokers import until
from tests.support.fake_link import FakeLink
from tests.support.journal_samples import break_disk

PRESS = b'{"action": "raise", "andon_type": "material", "ts": 1000}'


def ask(path: Path, *numbers: int) -> None:
    """Ask for replays as `floor quarantine replay` does, while the bridge runs or not."""
    quarantine = SqliteQuarantineWriter.open(path, stream="main")
    try:
        assert list(quarantine.request_replays(numbers)) == list(numbers)
    finally:
        quarantine.close()


async def test_asked_replay_is_one_new_input(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path, checkpoint_seconds=0.05) as run:
        link.deliver("report/north/pack/L1/robot/state", b'{"state": "running", "ts": 5}')
        await run.messages(1)
        await asyncio.to_thread(ask, path, 1)
        await run.messages(2)
        first, second = run.entries[:2]
        assert (second.input.topic, second.input.payload) == (first.input.topic, first.input.payload)
        assert second.disposition == first.disposition, "not a duplicate: the plant still has no robot"
        assert run.journal.requested_replays(10) == []
        assert run.is_accounted()


@pytest.mark.parametrize("killed", [False, True])
async def test_replay_asked_while_the_bridge_is_down_is_done_once_also_under_kill(
    link: FakeLink, path: Path, *, killed: bool
) -> None:
    async with run_pipeline(link, path, make_floor=CrashingFloor) as run:
        link.deliver("report/north/pack/L1/desk/andon", PRESS.replace(b"1000", b'"x"'))
        link.deliver("report/north/pack/L1/robot/andon", PRESS)
        await run.messages(2)
    ask(path, 2)
    if killed:
        async with run_pipeline(link, path) as run:
            break_disk(run.journal)
            await until(
                lambda: run.pipeline.status().in_flight.get("andon") == 1, what="it is taken, and not committed"
            )
            await run.kill()
    async with run_pipeline(link, path) as run:
        await run.messages(1)
        assert run.dispositions() == [("quarantined", "unknown_equipment")]
    async with run_pipeline(link, path, checkpoint_seconds=0.02) as run:
        deliver(link, "report/bagger/state", state="running")
        await run.messages(1)
        assert run.dispositions() == [("applied", None)], "it is not taken a third time"
        assert run.journal.counters()["andon", "quarantined", "unknown_equipment"] == 2


async def test_replay_that_crashes_the_core_again_is_not_tried_for_ever(link: FakeLink, path: Path) -> None:
    async def crash(*, send: bool) -> None:
        async with run_pipeline(link, path, make_floor=CrashingFloor) as run:
            if send:
                deliver(link, "report/bagger/state", state="fault")
            await asyncio.wait([run.task], timeout=20)

    with pytest.raises(CoreCrashed):
        await crash(send=True)
    async with run_pipeline(link, path, make_floor=CrashingFloor) as run:
        await run.messages(1)
        assert run.dispositions() == [("quarantined", "crashed")]
    ask(path, 1)
    with pytest.raises(CoreCrashed):
        await crash(send=False)
    async with run_pipeline(link, path) as run:
        assert run.journal.requested_replays(10) == [], "and that settled the request"
        assert run.is_accounted()


async def test_replay_of_what_once_crashed_the_core_is_applied_by_a_mended_one(link: FakeLink, path: Path) -> None:
    async def crash() -> None:
        async with run_pipeline(link, path, make_floor=CrashingFloor) as run:
            deliver(link, "report/bagger/state", state="fault")
            await asyncio.wait([run.task])

    with pytest.raises(CoreCrashed):
        await crash()
    async with run_pipeline(link, path) as run:
        await run.messages(1)
    ask(path, 1)
    async with run_pipeline(link, path) as run:
        await run.messages(1)
        assert run.dispositions() == [("applied", None)]
        assert run.events("line_status_update")[-1]["data"]["status"] == "fault"


async def test_old_events_and_inputs_go_while_reports_come(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path, checkpoint_seconds=0.05, keep=RetentionLimits(max_bytes=1)) as run:
        pruned = run.journal.prune
        limits: list[RetentionLimits] = []

        def watch(now: int, keep: RetentionLimits) -> int:
            limits.append(keep)
            return pruned(now, keep)

        run.journal.prune = watch  # type: ignore[method-assign]
        deliver(link, "report/bagger/counts", total=1)
        await run.messages(1)
        await until(lambda: len(limits) > 2, what="retention is looked after, again and again")
        assert set(limits) == {RetentionLimits(max_bytes=1)}


async def test_stop_returns_from_a_commit_that_never_does_and_acknowledges_nothing_of_it(
    link: FakeLink, path: Path
) -> None:
    stuck = threading.Event()

    async def hang(run: PipelineRun) -> None:
        await run.ready()
        committed = run.journal.commit

        def commit(batch: Batch) -> None:
            stuck.wait()
            committed(batch)

        run.journal.commit = commit  # type: ignore[method-assign]
        deliver(link, "report/desk/andon", action="raise", andon_type="material", ts=1)
        await until(lambda: any(run.pipeline.status().in_flight.values()), what="a commit hangs")
        await until(lambda: not run.pipeline.status().ready, what="not ready")
        loop = asyncio.get_running_loop()
        began = loop.time()
        run.pipeline.stop()
        await asyncio.wait([run.task])
        assert loop.time() - began < STOP_COMMIT_SECONDS + 2.0, "of the 10 that a stop has"
        assert run.journal.last_input()[0] == 0
        assert run.entries == []

    async def run_and_hang() -> None:
        async with run_pipeline(link, path) as run:
            try:
                await hang(run)
            finally:
                stuck.set()

    with pytest.raises(CommitFailed, match=DISK_TIMEOUT):
        await run_and_hang()
    async with run_pipeline(link, path) as run:
        await run.messages(1)
        assert len(run.events("andon_event")) == 1, "whether the commit came to its end or not"
        assert run.is_accounted()


async def test_command_waits_for_a_journal_that_does_not_answer(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path) as run:
        await run.ready()
        journal_command, refused = run.journal.command, 0

        def look_up(user: str, command_id: str) -> CommandRecord | None:
            nonlocal refused
            refused += 1
            if refused <= 2:
                raise JournalUnavailable("unable to open database file")
            return journal_command(user, command_id)

        run.journal.command = look_up  # type: ignore[method-assign]
        deliver_command(link, "one", action="raise", andon_type="material")
        await until(lambda: not run.pipeline.status().ready, what="not ready")
        await run.messages(1)
        assert run.dispositions() == [("applied", None)]
        assert run.pipeline.status().ready
        assert run.is_accounted()


async def test_books_balance_while_a_command_that_is_replayed_waits_for_the_journal(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path, checkpoint_seconds=0.05) as run:
        deliver(
            link,
            "command/robot/andon",
            id="one",
            user={"id": "ann", "roles": []},
            action="raise",
            andon_type="material",
        )
        await run.messages(1)
        journal_command, answers = run.journal.command, threading.Event()
        waiting = threading.Event()

        def look_up(user: str, command_id: str) -> CommandRecord | None:
            waiting.set()
            answers.wait(20)
            return journal_command(user, command_id)

        run.journal.command = look_up  # type: ignore[method-assign]
        try:
            await asyncio.to_thread(ask, path, 1)
            await until(waiting.is_set, what="it is looked up")
            assert not any(run.pipeline.status().unaccounted.values())
        finally:
            answers.set()
        await run.messages(2)
        assert run.dispositions()[1] == ("suppressed", "duplicate_command"), "it was answered before"
        assert run.is_accounted()


async def test_stop_leaves_a_command_to_the_broker_that_could_not_be_looked_up(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path) as run:

        def look_up(user: str, command_id: str) -> CommandRecord | None:
            raise JournalUnavailable(f"{user} {command_id}")

        run.journal.command = look_up  # type: ignore[method-assign]
        deliver_command(link, "one", action="raise", andon_type="material")
        await until(lambda: any(run.pipeline.status().in_flight.values()), what="it is taken")
    async with run_pipeline(link, path) as run:
        await run.messages(1)
        assert run.dispositions() == [("applied", None)]
