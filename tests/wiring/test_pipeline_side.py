"""The pipeline side: it receives what its decoders decode."""

from pathlib import Path

from bridge.ingest.decoders import DecoderTable
from tests.ingest import raw_state
from tests.support.brokers import RunningBroker, until
from tests.support.in_process import ROOT, device, in_process


async def test_a_second_payload_format_becomes_events(mosquitto: RunningBroker, tmp_path: Path) -> None:
    decoders = DecoderTable([(raw_state.FILTER, raw_state.decode)])
    async with (
        in_process(mosquitto.port, tmp_path / "journal.db", decoders=decoders) as bridge,
        device(mosquitto.port) as client,
    ):
        await until(lambda: bridge.connected, what="the link")
        await client.publish(f"{ROOT}/{raw_state.TOPIC}", b"running", qos=1)
        await until(lambda: bridge.journal.position().offset > 0, what="an event")
