"""A real broker that retains reports: a reconnect, however often, changes nothing that was known live.

Both protocols; the session survives the reconnect, or is lost while retained messages stay.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiomqtt
import pytest

from bridge.ports.broker import LinkStatus
from tests.support.brokers import RunningBroker, until
from tests.support.in_process import PLACE, ROOT, RunningPipeline, device, in_process, publish_report

PROTOCOLS = ["5", "3.1.1"]
TOPIC = f"{ROOT}/report/{PLACE}/bagger"


async def connected(pipeline: RunningPipeline) -> LinkStatus:
    await until(lambda: pipeline.link.status.connected, what="connected")
    return pipeline.link.status


async def restart_broker(mosquitto: RunningBroker, pipeline: RunningPipeline) -> None:
    """Stop it in an orderly way and start it again: it has its sessions, and all that it retains."""
    generation = pipeline.link.status.generation
    mosquitto.stop()
    await until(lambda: not pipeline.link.status.connected, what="loss noticed")
    mosquitto.start()
    await until(
        lambda: pipeline.link.status.connected and pipeline.link.status.generation > generation, what="recovered"
    )
    assert pipeline.link.status.session_present


async def lose_session(mosquitto: RunningBroker, pipeline: RunningPipeline) -> None:
    """Let another client end the session; retained messages stay."""
    generation = pipeline.link.status.generation
    async with aiomqtt.Client("127.0.0.1", mosquitto.port, identifier="floor-main", clean_session=True):
        await until(lambda: not pipeline.link.status.connected, what="taken over")
    await until(
        lambda: pipeline.link.status.connected and pipeline.link.status.generation > generation, what="recovered"
    )
    assert not pipeline.link.status.session_present


WAYS = [restart_broker, lose_session]
SessionLoss = Callable[[RunningBroker, RunningPipeline], Awaitable[None]]


async def retain(client: aiomqtt.Client, kind: str, **fields: object) -> None:
    await client.publish(f"{TOPIC}/{kind}", json.dumps(fields), qos=1, retain=True)


async def handled(pipeline: RunningPipeline, count: int) -> None:
    await until(lambda: len(outcomes(pipeline)) >= count, what=f"{count} messages: {pipeline.dispositions()}")


def outcomes(pipeline: RunningPipeline) -> list[tuple[str, str | None]]:
    """Return the dispositions, without those of messages whose acknowledgement a killed connection took along."""
    return [disposition for disposition in pipeline.dispositions() if disposition != ("suppressed", "duplicate")]


def statuses(pipeline: RunningPipeline) -> list[str]:
    updates = pipeline.events("line_status_update")
    return [event["data"]["status"] for event in updates if event["data"]["scope"] == "equipment"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("state", {"state": "running"}),
        ("death", {}),
        ("birth", {}),
        ("death", {"boot_id": 4}),
        ("counts", {"total": 120}),
    ],
)
async def test_a_reconnect_changes_nothing_that_was_known_live(
    mosquitto: RunningBroker, tmp_path: Path, *, protocol: str, way: SessionLoss, kind: str, fields: dict[str, object]
) -> None:
    async with device(mosquitto.port) as client:
        await retain(client, kind, **fields)
    async with in_process(mosquitto.port, tmp_path / "journal.db", broker__protocol=protocol) as pipeline:
        await connected(pipeline)
        await handled(pipeline, 1)  # the retained one, with the new subscription
        async with device(mosquitto.port) as client:
            await publish_report(client, "report/bagger/state", state="fault")
            await publish_report(client, "report/bagger/counts", total=50_000)
            await publish_report(client, "report/bagger/counts", total=50_001)
            await handled(pipeline, 4)
        for turn in range(2):
            before = len(outcomes(pipeline))
            await way(mosquitto, pipeline)
            again = 0 if protocol == "5" and way is restart_broker else 1
            await handled(pipeline, before + again)
            async with device(mosquitto.port) as client:
                await publish_report(client, "report/bagger/counts", total=50_002 + turn)
                await handled(pipeline, before + again + 1)
            assert outcomes(pipeline)[before:] == [("suppressed", "retained")] * again + [("applied", None)]
        assert statuses(pipeline)[-1] == "fault"
        assert statuses(pipeline).count("fault") == 1
        await until(lambda: bool(pipeline.events("production_update")), what="production")
        await until(lambda: pipeline.events("production_update")[-1]["data"]["total_count"] == 3, what="3 pieces")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_restart_of_the_bridge_changes_nothing_either(
    mosquitto: RunningBroker, tmp_path: Path, *, protocol: str
) -> None:
    """Reports in the journal were received live."""
    async with device(mosquitto.port) as client:
        await retain(client, "state", state="running")
    async with (
        in_process(mosquitto.port, tmp_path / "journal.db", broker__protocol=protocol) as pipeline,
        device(mosquitto.port) as client,
    ):
        await connected(pipeline)
        await handled(pipeline, 1)
        await publish_report(client, "report/bagger/state", state="fault")
        await handled(pipeline, 2)
        await lose_session(mosquitto, pipeline)
        await handled(pipeline, 3)
    async with (
        in_process(mosquitto.port, tmp_path / "journal.db", broker__protocol=protocol) as pipeline,
        device(mosquitto.port) as client,
    ):
        await connected(pipeline)
        await lose_session(mosquitto, pipeline)
        await handled(pipeline, 1)
        assert set(outcomes(pipeline)) == {("suppressed", "retained")}
        await publish_report(client, "report/bagger/state", state="stopped")
        await until(lambda: statuses(pipeline)[-1] == "stopped", what="live again")
        assert statuses(pipeline)[-2:] == ["fault", "stopped"]
