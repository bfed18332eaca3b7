"""A whole bridge on a simulated clock, with a plant that loads it and somebody at each end who keeps books."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.brokers import RunningBroker
from tests.faults.consumers import Consumer, Dashboard, consumer, dashboard
from tests.faults.ledger import Ledger, close_books
from tests.faults.simulated_load import SCALE, SimulatedLoad, simulated_load
from tests.running_floor import RunningFloor, running_floor


@dataclass
class FloorUnderLoad:
    floor: RunningFloor
    load: SimulatedLoad
    consumer: Consumer
    dashboard: Dashboard

    async def books(self, title: str) -> Ledger:
        """Let the plant fall silent, close the books and print them."""
        await self.load.stop()
        ledger = await close_books(self.floor, self.load, self.consumer, self.dashboard)
        print(f"\n{title}: {ledger}")  # noqa: T201 - what the run is for
        return ledger


@contextlib.asynccontextmanager
async def floor_under_load(folder: Path, broker: RunningBroker) -> AsyncIterator[FloorUnderLoad]:
    async with (
        running_floor(folder, broker, environment={"FLOOR_TIME__SCALE": str(SCALE)}) as floor,
        consumer(broker) as plain,
        dashboard(floor) as board,
        simulated_load(broker) as load,
    ):
        yield FloorUnderLoad(floor, load, plain, board)
