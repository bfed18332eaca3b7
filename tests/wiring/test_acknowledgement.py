"""Messages that a broker keeps for us while nothing can be committed."""

import asyncio
from pathlib import Path

from tests.support.brokers import RunningBroker, until
from tests.support.in_process import RunningPipeline, device, in_process, publish_report
from tests.support.journal_samples import break_disk


async def messages(pipeline: RunningPipeline, count: int) -> None:
    try:
        await until(lambda: len(pipeline.dispositions()) >= count, what=f"{count} messages")
    except AssertionError as error:
        raise AssertionError(f"have {pipeline.dispositions()}, {pipeline.link.status}") from error


async def connected(pipeline: RunningPipeline) -> None:
    await until(lambda: pipeline.link.status.connected, what="connected")


async def test_the_broker_keeps_what_is_not_committed(mosquitto: RunningBroker, path: Path) -> None:
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
        assert not any(pipeline.core.status().unaccounted.values())
