"""Parts of a bridge in the test's own process, built by the composition root of `floor run`.

For tests that change a part or look into it. `tests/pipeline/pipeline_run.py` and `tests/publisher/publisher_run.py`
run one part without the wiring; `bridge_process.py` starts the whole as a process.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiomqtt

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.adapters.clock import FloorClock
from bridge.domain.line.floor import Floor
from bridge.domain.plant import AreaConfig, EquipmentConfig, LineConfig, MeasurementLimit, Plant
from bridge.ingest.decoders import DecoderTable, build_decoders
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.mqtt.link import BrokerLink
from bridge.pipeline.pipeline import Pipeline
from bridge.pipeline.replay import RestoredFloor, restore_floor
from bridge.ports.broker import BrokerClient
from bridge.ports.clock import FrontClock
from bridge.ports.journal import ReadableJournal
from bridge.publisher.publisher import Publisher
from bridge.settings.settings import Settings
from bridge.wiring.front_side import FrontSide
from bridge.wiring.pipeline_side import PipelineSide
from tests.support.committed_entries import CommittedEntries
from tests.support.fake_link import FakeLink
from tests.support.tokens import SECRET

ROOT = "floor/v1"
PLACE = "north/pack/L1"
STOP_SECONDS: Final = 10.0
DEFAULTS: Final[dict[str, dict[str, object]]] = {
    "broker": {"probe": "off", "keepalive_seconds": 2, "max_backoff_seconds": 0.2},
    "journal": {"commit_max_inputs": 50, "commit_max_ms": 1, "keep_events_days": 0, "keep_inputs_days": 0},
    "token": {"secret": SECRET},
}

PIPELINE, PUBLISHER = "pipeline", "publisher"
CLIENT_IDS: Final = {PIPELINE: "floor-main", PUBLISHER: "floor-main-publisher"}

PLANT = Plant(
    name="test",
    areas=(AreaConfig(id="pack", site="north"),),
    lines=(
        LineConfig(
            id="L1",
            area="pack",
            equipment=(
                EquipmentConfig(id="bagger", ideal_cycle_seconds=1.0),
                EquipmentConfig(id="desk", kind="station"),
            ),
            total_from=("bagger",),
            ideal_cycle_seconds=1.0,
            limits=(MeasurementLimit(parameter="weight", unit="g", upper=1_000_000.0),),
        ),
    ),
)


def settings_with(**changes: object) -> Settings:
    """Return settings for tests; `broker` replaces a section, `broker__port` changes one setting of it."""
    values: dict[str, Any] = {name: dict(section) for name, section in DEFAULTS.items()}
    for name, value in changes.items():
        section, _, key = name.partition("__")
        if key:
            values.setdefault(section, {})[key] = value
        else:
            values[section] = value
    return Settings.model_validate(values)


def front_side(
    path: Path,
    *,
    journal: ReadableJournal | None,
    plant: Plant,
    clock: FrontClock,
    link: FakeLink,
    authenticator: TokenAuthenticator | None = None,
    **settings: object,
) -> FrontSide:
    """Return a front, not started, whose link to the broker is `link`; without a `journal` it follows that at `path`.

    `settings` are changes for `settings_with`. Without an `authenticator`, they decide about tokens too.
    """
    checked = settings_with(journal__path=path, **settings)
    return FrontSide(
        checked,
        journal=journal,
        plant=plant,
        authenticator=authenticator or TokenAuthenticator.from_settings(checked),
        clock=clock,
        make_client=lambda *_, **__: link,
    )


@dataclass(slots=True, kw_only=True)
class RunningPipeline(CommittedEntries):
    """A pipeline, a publisher or both, and what the pipeline committed since it started."""

    restored: RestoredFloor
    core: Pipeline
    publisher: Publisher
    clients: dict[str, BrokerClient]  # by their client ids
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)  # by the part that they run

    @property
    def link(self) -> BrokerClient:
        """Return the link by which reports come."""
        return self.clients[CLIENT_IDS[PIPELINE]]

    @property
    def outlet(self) -> BrokerClient:
        """Return the publisher's link."""
        return self.clients[CLIENT_IDS[PUBLISHER]]

    @property
    def connected(self) -> bool:
        return all(self.clients[CLIENT_IDS[part]].status.connected for part in self.tasks)

    @property
    def running(self) -> asyncio.Task[None]:
        return self.tasks["pipeline"]

    @property
    def publishing(self) -> asyncio.Task[None]:
        return self.tasks["publisher"]


@contextlib.asynccontextmanager
async def in_process(
    broker: int | FakeLink,
    path: Path,
    *,
    parts: Sequence[str] = (PIPELINE, PUBLISHER),
    journal: SqliteJournal | None = None,
    clock: FloorClock | None = None,
    make_floor: Callable[[Floor], Floor] = lambda floor: floor,
    make_client: Callable[..., BrokerClient] = BrokerLink,
    decoders: DecoderTable | None = None,
    **settings: object,
) -> AsyncIterator[RunningPipeline]:
    """Run these parts until the block ends, with the broker at this port; then stop them in order.

    `settings` are changes for `settings_with`. A `journal` that is given is used in place of `path`, and left open.
    """
    clients: dict[str, BrokerClient] = {}

    def keep_client(*args: Any, client_id: str, **kwargs: Any) -> BrokerClient:
        fake = None if isinstance(broker, int) else broker
        clients[client_id] = fake or make_client(*args, client_id=client_id, **kwargs)
        return clients[client_id]

    port = broker if isinstance(broker, int) else 1
    with contextlib.ExitStack() as opened:
        if journal is None:
            journal = SqliteJournal.open(path, stream="main")
            opened.callback(journal.close)
        checked = settings_with(broker__port=port, **settings)
        decode = decoders or build_decoders(max_bytes=checked.broker.max_payload_bytes)
        restored = restore_floor(PLANT, journal, decode=decode)
        side = PipelineSide(
            checked,
            journal=journal,
            floor=make_floor(restored.floor),
            decode=decode,
            clock=clock or FloorClock(not_before=journal.last_input()[1]),
            make_client=keep_client,
        )
        pipeline = RunningPipeline(
            journal=journal, restored=restored, core=side.pipeline, publisher=side.publisher, clients=clients
        )
        side.pipeline.add_listener(pipeline.entries.extend)
        async with _running(pipeline, parts):
            yield pipeline
    for part in reversed(parts):
        if not pipeline.tasks[part].cancelled():
            await pipeline.tasks[part]


@contextlib.asynccontextmanager
async def _running(pipeline: RunningPipeline, parts: Sequence[str]) -> AsyncIterator[None]:
    work: dict[str, Pipeline | Publisher] = {PIPELINE: pipeline.core, PUBLISHER: pipeline.publisher}
    linking = [asyncio.create_task(pipeline.clients[CLIENT_IDS[part]].run()) for part in parts]
    pipeline.tasks = {part: asyncio.create_task(work[part].run(), name=part) for part in parts}
    try:
        yield
    finally:
        for part in parts:
            work[part].stop()
            await asyncio.wait([pipeline.tasks[part]], timeout=STOP_SECONDS)
        for task in (*linking, *pipeline.tasks.values()):
            task.cancel()
        await asyncio.wait([*linking, *pipeline.tasks.values()])


@contextlib.asynccontextmanager
async def device(port: int) -> AsyncIterator[aiomqtt.Client]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        yield client


async def publish_report(client: aiomqtt.Client, topic: str, **fields: object) -> None:
    """Publish a JSON object; `topic` is relative to the line: `{report|command}/{equipment}/{kind}`."""
    way, equipment, kind = topic.split("/")
    await client.publish(f"{ROOT}/{way}/{PLACE}/{equipment}/{kind}", json.dumps(fields), qos=1)
