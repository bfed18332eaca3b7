"""A small plant behind a real broker: a pipeline with its journal, and a client that plays the devices."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt

from bridge.adapters.clock import FloorClock
from bridge.domain import plant
from bridge.domain.line.floor import Floor
from bridge.domain.records import JournalEntry
from bridge.domain.stream_status import StreamOwner
from bridge.ingest.native import decode
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.mqtt.link import BrokerLink
from bridge.mqtt.retained_reader import RetainedReader
from bridge.pipeline.pipeline import FOR_EVER, Pipeline
from bridge.pipeline.replay import RestoredFloor, restore_floor
from bridge.ports.journal import RetentionLimits
from bridge.publisher.publisher import Publisher
from bridge.settings import BrokerSettings

ROOT = "floor/v1"
PLACE = "north/pack/L1"

PLANT = plant.Plant(
    name="test",
    areas=(plant.AreaConfig(id="pack", site="north"),),
    lines=(
        plant.LineConfig(
            id="L1",
            area="pack",
            equipment=(
                plant.EquipmentConfig(id="bagger", ideal_cycle_seconds=1.0),
                plant.EquipmentConfig(id="desk", kind="station"),
            ),
            total_from=("bagger",),
            ideal_cycle_seconds=1.0,
            limits=(plant.MeasurementLimit(parameter="weight", unit="g", upper=1_000_000.0),),
        ),
    ),
)


def settings_of(port: int, protocol: str = "auto") -> BrokerSettings:
    values = {"port": port, "protocol": protocol, "keepalive_seconds": 2, "max_backoff_seconds": 0.2}
    return BrokerSettings.model_validate(values)


def link_of(port: int, client_id: str = "floor-main", protocol: str = "auto") -> BrokerLink:
    return BrokerLink(
        settings_of(port, protocol),
        client_id=client_id,
        durable=True,
        subscriptions=[(f"{ROOT}/report/#", 1), (f"{ROOT}/command/#", 1)],
    )


@dataclass(slots=True)
class Shop:
    """A running pipeline and what it committed since it started."""

    link: BrokerLink
    outlet: BrokerLink  # the publisher's; the same one, unless it was given a way of its own
    journal: SqliteJournal
    pipeline: Pipeline
    publisher: Publisher
    restored: RestoredFloor
    running: asyncio.Task[None]
    publishing: asyncio.Task[None]
    entries: list[JournalEntry] = field(default_factory=list)

    def events(self, event_type: str) -> list[dict[str, Any]]:
        bodies = [json.loads(each.body) for each in self.journal.events_after(0, limit=100_000)]
        return [body for body in bodies if body["type"] == event_type]

    def dispositions(self) -> list[tuple[str, str | None]]:
        """What became of the messages since the start, ticks left out."""
        return [(e.disposition.effect.value, e.disposition.reason) for e in self.entries if e.input.topic]


@contextlib.asynccontextmanager
async def shop(
    port: int,
    path: Path,
    *,
    make_floor: Callable[[Floor], Floor] = lambda floor: floor,
    checkpoint_seconds: float = 5.0,
    ack_doubt_seconds: float = 15.0,
    outlet_port: int | None = None,
    keep: RetentionLimits = FOR_EVER,
    protocol: str = "auto",
) -> AsyncIterator[Shop]:
    """Run a pipeline until the block ends; then stop it in an orderly way."""
    journal = SqliteJournal.open(path, stream="main")
    restored = restore_floor(PLANT, journal, decode=decode)
    link = link_of(port, protocol=protocol)
    clock = FloorClock(not_before=journal.last_input()[1])
    pipeline = Pipeline(
        link,
        journal,
        make_floor(restored.floor),
        clock,
        decode=decode,
        root=ROOT,
        commit_max_inputs=50,
        commit_max_ms=1,
        checkpoint_seconds=checkpoint_seconds,
        ack_doubt_seconds=ack_doubt_seconds,
        keep=keep,
    )
    outlet = link
    if outlet_port is not None:
        outlet = BrokerLink(settings_of(outlet_port), client_id="floor-main-publisher", durable=False)
    publisher = Publisher(
        outlet,
        RetainedReader(settings_of(port), client_id="floor-main-retained", username=None, password=None),
        journal,
        clock,
        root=ROOT,
        lines=restored.floor.line_places(),
        simulated=False,
        owner=StreamOwner("shop", 0),
        ready=lambda: pipeline.status().ready,
    )
    pipeline.add_listener(publisher.on_committed)
    linking = [asyncio.create_task(each.run()) for each in {link, outlet}]
    running, publishing = asyncio.create_task(pipeline.run()), asyncio.create_task(publisher.run())
    this = Shop(link, outlet, journal, pipeline, publisher, restored, running, publishing)
    pipeline.add_listener(this.entries.extend)
    try:
        yield this
    finally:
        pipeline.stop()
        try:
            await asyncio.wait([this.running])
            publisher.stop()
            await asyncio.wait([this.publishing])
        finally:
            for each in linking:
                each.cancel()
            await asyncio.wait(linking)
            journal.close()
    for task in (this.publishing, this.running):
        if not task.cancelled():
            await task


@contextlib.asynccontextmanager
async def device(port: int) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        yield client


async def say(client: aiomqtt.Client, topic: str, **fields: object) -> None:
    """Publish a JSON object; `topic` is relative to the line: `{report|command}/{equipment}/{kind}`."""
    way, equipment, kind = topic.split("/")
    await client.publish(f"{ROOT}/{way}/{PLACE}/{equipment}/{kind}", json.dumps(fields), qos=1)


async def run_until_killed(port: int, path: Path) -> None:
    """Run a pipeline in a process of its own; says `ready` once it is connected."""
    async with shop(port, path, checkpoint_seconds=0.05) as this:
        while not this.link.status.connected:
            await this.link.wait_status_change(this.link.status)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await this.running


if __name__ == "__main__":
    asyncio.run(run_until_killed(int(sys.argv[1]), Path(sys.argv[2])))
