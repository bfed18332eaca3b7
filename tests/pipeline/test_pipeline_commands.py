"""Commands, duplicates and crashes in a running pipeline."""

import asyncio
import json
import time
from collections.abc import Iterable
from pathlib import Path

import aiomqtt
import pytest

from bridge.domain.line.floor import Floor
from bridge.domain.messages import Message
from bridge.domain.reports import Outcome, Report, StateReport
from bridge.domain.utc_time import Millis
from bridge.mqtt.link import BrokerLink
from bridge.pipeline.pipeline import CoreCrashed
from tests.pipeline.test_pipeline import accounted, connected, messages
from tests.support.brokers import RunningBroker
from tests.support.in_process import device, in_process, publish_report


async def test_dated_resend_is_suppressed_also_after_a_restart(mosquitto: RunningBroker, path: Path) -> None:
    began = round(time.time() * 1000)
    for expected in ([("applied", None)] * 3, [("suppressed", "duplicate")] * 3):
        async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
            await connected(pipeline)
            for number in range(3):
                await publish_report(client, "report/bagger/counts", total=number, ts=began + number)
            await messages(pipeline, 3)
            assert pipeline.dispositions() == expected


async def test_committed_but_unacknowledged_press_is_one_call(mosquitto: RunningBroker, path: Path) -> None:
    """The connection ends between commit and acknowledgement: the broker sends the press again."""
    async with in_process(mosquitto.port, path, make_client=DeafLink) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)
        await publish_report(client, "report/desk/andon", action="raise", andon_type="material")
        await messages(pipeline, 1)
        pipeline.running.cancel()
        await asyncio.wait([pipeline.running])
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await messages(pipeline, 1)
        assert pipeline.dispositions() == [("suppressed", "duplicate")]
        await publish_report(client, "report/desk/andon", action="raise", andon_type="material")
        await messages(pipeline, 2)
        assert pipeline.entries[-1].reached_core, "the next press is not taken for the first one"
        assert accounted(pipeline)


class DeafLink(BrokerLink):
    """A link whose acknowledgements never reach the broker."""

    def acknowledge(self, messages: Iterable[Message]) -> int:
        del messages
        return 0


async def command(client: aiomqtt.Client, command_id: str, **fields: object) -> None:
    await publish_report(
        client, "command/desk/andon", id=command_id, user={"id": "ann", "roles": ["team_leader"]}, **fields
    )


async def test_command_is_done_once_and_answered_every_time(mosquitto: RunningBroker, path: Path) -> None:
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)
        for _ in range(2):
            await command(client, "one", action="raise", andon_type="material")
        await messages(pipeline, 2)
        first, second = (entry for entry in pipeline.entries if entry.input.topic)
        assert first.command is not None
        assert first.command.outcome == "applied"
        assert first.command.event_ids == tuple(event.id for event in first.events) != ()
        assert second.command == first.command
        assert pipeline.dispositions()[1] == ("suppressed", "duplicate_command")
    async with in_process(mosquitto.port, path) as pipeline, device(mosquitto.port) as client:
        await connected(pipeline)
        await command(client, "one", action="raise", andon_type="material")
        await command(client, "two", action="resolve", call_id="no-such-call")
        await messages(pipeline, 2)
        again, other = (entry.command for entry in pipeline.entries if entry.input.topic)
        assert again == first.command
        assert other is not None
        assert (other.outcome, other.event_ids) == ("rejected", ())
        assert len(pipeline.events("andon_event")) == 1
        assert accounted(pipeline)


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
        async with (
            in_process(mosquitto.port, path, make_floor=CrashingFloor) as pipeline,
            device(mosquitto.port) as client,
        ):
            await connected(pipeline)
            await publish_report(client, "report/bagger/counts", total=1)
            await publish_report(client, "report/bagger/state", state="fault")
            await publish_report(client, "report/bagger/counts", total=2)
            await asyncio.wait([pipeline.running])
            assert not pipeline.core.status().ready
            assert pipeline.dispositions() == [("applied", None)], "what came before is committed"

    with pytest.raises(CoreCrashed) as crash:
        await crash_core()
    assert crash.value.topic == "report/north/pack/L1/bagger/state"
    async with in_process(mosquitto.port, path, make_floor=CrashingFloor) as pipeline:
        assert pipeline.journal.checkpoints() == [], "the half-changed state is not kept"
        await messages(pipeline, 2)
        assert pipeline.dispositions() == [("quarantined", "crashed"), ("applied", None)]
        assert pipeline.restored.differences == 0
        kept = next(e for e in pipeline.journal.inputs_after(0, limit=10) if e.disposition.reason == "crashed")
        assert json.loads(kept.input.payload) == {"state": "fault"}
        assert accounted(pipeline)
