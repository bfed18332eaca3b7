"""A bridge in parts: a pipeline and its fronts, each its own process, on one journal and one broker."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.bridge_process import RunningFloor, kept_running, write_config
from tests.support.brokers import RunningBroker, free_port


@dataclass
class SplitFloor:
    pipeline: RunningFloor
    fronts: list[RunningFloor]

    @property
    def front(self) -> RunningFloor:
        return self.fronts[0]


def front_of(pipeline: RunningFloor, environment: Mapping[str, str] | None = None) -> RunningFloor:
    """Describe a front beside this pipeline: the same settings, an address of its own."""
    port = free_port()
    settings = {**pipeline.environment, **(environment or {}), "FLOOR_WEB__PORT": str(port)}
    return RunningFloor(pipeline.config, port, pipeline.broker, settings, role="front")


@asynccontextmanager
async def split_floor(
    folder: Path,
    broker: RunningBroker,
    *,
    fronts: int = 1,
    plant: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[SplitFloor]:
    """Run a pipeline and so many fronts, until the end of the test, however it ends."""
    config, port = write_config(folder, broker, plant=plant)
    pipeline = RunningFloor(config, port, broker, environment or {}, role="pipeline")
    floor = SplitFloor(pipeline, [front_of(pipeline) for _ in range(fronts)])
    async with AsyncExitStack() as running:
        for each in (pipeline, *floor.fronts):
            await running.enter_async_context(kept_running(each))
        yield floor
