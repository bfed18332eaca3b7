"""The pipeline side: it receives what its decoders decode."""

import asyncio
from pathlib import Path

from bridge.adapters.clock import FloorClock
from bridge.ingest.decoders import DecoderTable
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.replay import restore_floor
from bridge.settings import Settings
from bridge.wiring.pipeline_side import PipelineSide
from tests.ingest import raw_state
from tests.support.brokers import RunningBroker, until
from tests.support.running_pipeline import PLANT, ROOT, device, settings_of

SECRET = "0123456789abcdef0123456789abcdef"


async def test_a_second_payload_format_becomes_events(mosquitto: RunningBroker, tmp_path: Path) -> None:
    decode = DecoderTable([(raw_state.FILTER, raw_state.decode)])
    settings = Settings.model_validate({"broker": settings_of(mosquitto.port), "token": {"secret": SECRET}})
    journal = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    floor = restore_floor(PLANT, journal, decode=decode).floor
    side = PipelineSide(settings, journal=journal, floor=floor, decode=decode, clock=FloorClock())
    try:
        async with asyncio.TaskGroup() as tasks, device(mosquitto.port) as client:
            await side.claim(tasks)
            side.start(tasks)
            await until(lambda: side.is_connected, what="the link")
            await client.publish(f"{ROOT}/{raw_state.TOPIC}", b"running", qos=1)
            await until(lambda: journal.position().offset > 0, what="an event")
            await side.stop_intake()
            await side.drain()
            side.cancel()
    finally:
        journal.close()
