"""Commands, duplicates and crashes in a running pipeline."""

import asyncio
import json
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from bridge.domain.line.floor import Floor
from bridge.domain.messages import Message
from bridge.domain.reports import Outcome, Report, StateReport
from bridge.domain.utc_time import Millis
from bridge.pipeline.pipeline import CoreCrashed
from tests.pipeline.pipeline_run import deliver, run_pipeline
from tests.support.fake_link import FakeLink


async def test_dated_resend_is_suppressed_also_after_a_restart(link: FakeLink, path: Path) -> None:
    began = round(time.time() * 1000)
    for expected in ([("applied", None)] * 3, [("suppressed", "duplicate")] * 3):
        async with run_pipeline(link, path) as run:
            for number in range(3):
                deliver(link, "report/bagger/counts", total=number, ts=began + number)
            await run.messages(3)
            assert run.dispositions() == expected


async def test_committed_but_unacknowledged_press_is_one_call(path: Path) -> None:
    """The connection ends between commit and acknowledgement: the broker sends the press again."""
    link = DeafLink()
    async with run_pipeline(link, path) as run:
        deliver(link, "report/desk/andon", action="raise", andon_type="material")
        await run.messages(1)
        await run.kill()
    async with run_pipeline(link, path) as run:
        await run.messages(1)
        assert run.dispositions() == [("suppressed", "duplicate")]
        deliver(link, "report/desk/andon", action="raise", andon_type="material")
        await run.messages(2)
        assert run.entries[-1].reached_core, "the next press is not taken for the first one"
        assert run.is_accounted()


class DeafLink(FakeLink):
    """A link whose acknowledgements never reach the broker."""

    def acknowledge(self, messages: Iterable[Message]) -> int:
        del messages
        return 0


def deliver_command(link: FakeLink, command_id: str, **fields: object) -> None:
    deliver(link, "command/desk/andon", id=command_id, user={"id": "ann", "roles": ["team_leader"]}, **fields)


async def test_command_is_done_once_and_answered_every_time(link: FakeLink, path: Path) -> None:
    async with run_pipeline(link, path) as run:
        for _ in range(2):
            deliver_command(link, "one", action="raise", andon_type="material")
        await run.messages(2)
        first, second = (entry for entry in run.entries if entry.input.topic)
        assert first.command is not None
        assert first.command.outcome == "applied"
        assert first.command.event_ids == tuple(event.id for event in first.events) != ()
        assert second.command == first.command
        assert run.dispositions()[1] == ("suppressed", "duplicate_command")
    async with run_pipeline(link, path) as run:
        deliver_command(link, "one", action="raise", andon_type="material")
        deliver_command(link, "two", action="resolve", call_id="no-such-call")
        await run.messages(2)
        again, other = (entry.command for entry in run.entries if entry.input.topic)
        assert again == first.command
        assert other is not None
        assert (other.outcome, other.event_ids) == ("rejected", ())
        assert len(run.events("andon_event")) == 1
        assert run.is_accounted()


class CrashingFloor(Floor):
    """A core with a bug: it trips over one word, half-way through its work."""

    def __init__(self, floor: Floor) -> None:
        self.__dict__.update(floor.__dict__)

    def apply(self, report: Report, now: Millis) -> Outcome:
        outcome = super().apply(report, now)
        if isinstance(report.body, StateReport) and report.body.state == "fault":
            raise ZeroDivisionError
        return outcome


async def test_message_that_crashes_the_core_stops_the_process_once(link: FakeLink, path: Path) -> None:
    async def crash_core() -> None:
        async with run_pipeline(link, path, make_floor=CrashingFloor) as run:
            deliver(link, "report/bagger/counts", total=1)
            deliver(link, "report/bagger/state", state="fault")
            deliver(link, "report/bagger/counts", total=2)
            await asyncio.wait([run.task])
            assert not run.pipeline.status().ready
            assert run.dispositions() == [("applied", None)], "what came before is committed"

    with pytest.raises(CoreCrashed) as crash:
        await crash_core()
    assert crash.value.topic == "report/north/pack/L1/bagger/state"
    async with run_pipeline(link, path, make_floor=CrashingFloor) as run:
        assert run.journal.checkpoints() == [], "the half-changed state is not kept"
        await run.messages(2)
        assert run.dispositions() == [("quarantined", "crashed"), ("applied", None)]
        assert run.restored.differences == 0
        crashed = next(e for e in run.journal.inputs_after(0, limit=10) if e.disposition.reason == "crashed")
        assert json.loads(crashed.input.payload) == {"state": "fault"}
        assert run.is_accounted()
