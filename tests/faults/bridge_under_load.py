"""A whole bridge on a simulated clock, with a plant that loads it and a ledger at each end.

Its devices are undisturbed, so that the ledgers count exactly; `disturbed_bridge.py` has those of `--disturb`.
"""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults.load_plant import write_plant
from tests.faults.loss_ledger import LossLedger, close_ledger
from tests.faults.published_events import PublishedEvents, published_events
from tests.faults.resuming_subscriber import ResumingSubscriber, subscribers
from tests.faults.simulated_load import SCALE, SimulatedLoad, simulated_load
from tests.support import run_record
from tests.support.bridge_process import RUN, BridgeProcess, Launcher, bridge_process
from tests.support.brokers import RunningBroker, until

LIVE_SECONDS = 30.0


@dataclass
class BridgeUnderLoad:
    bridge: BridgeProcess
    broker: RunningBroker
    load: SimulatedLoad
    consumer: PublishedEvents
    dashboard: ResumingSubscriber

    async def close_ledger(self, title: str) -> LossLedger:
        """Let the plant fall silent; close, print and record the ledger."""
        await self.load.stop()
        ledger = await close_ledger(self.bridge, self.broker, self.load, self.consumer, self.dashboard)
        run_record.note(title, str(ledger))
        return ledger


@contextlib.asynccontextmanager
async def bridge_under_load(
    folder: Path,
    broker: RunningBroker,
    *,
    launcher: Launcher = RUN,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[BridgeUnderLoad]:
    """Run a bridge, until its dashboard is live and beyond; `environment` adds settings."""
    settings = {"FLOOR_TIME__SCALE": str(SCALE), **(environment or {})}
    async with (
        bridge_process(folder, broker, plant=write_plant(folder), environment=settings, launcher=launcher) as bridge,
        published_events(broker) as plain,
        subscribers(bridge) as (board,),
        simulated_load(broker) as load,
    ):
        await until(lambda: board.live, seconds=LIVE_SECONDS, what="a live dashboard")  # or it could not be lost
        yield BridgeUnderLoad(bridge, broker, load, plain, board)
