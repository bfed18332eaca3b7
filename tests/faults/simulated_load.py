"""A simulated plant whose every report is kept account of: what was sent, and what the broker acknowledged."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from bridge.adapters.broker import BrokerLink
from bridge.core.messages import BrokerGone, Publication
from device_sim import plant_file
from device_sim.messages import Message, Stamp
from device_sim.plant import Plant
from tests.brokers import RunningBroker, client_settings, until
from tests.running_floor import ROOT

SCALE: Final = 60.0  # simulated seconds a second: about a hundred reports a second
BEAT_SECONDS: Final = 0.02
BOOT: Final = 1
Report = tuple[str, bytes]
"""(topic relative to the root, payload); no two are equal, for each is numbered by its device."""


@dataclass
class SimulatedLoad:
    """The plant's devices on one connection. A device sends again what was not acknowledged, and nothing before it."""

    link: BrokerLink
    sent: list[Report] = field(default_factory=list)
    acknowledged: list[Report] = field(default_factory=list)

    _stopped: bool = False
    _silent: asyncio.Event = field(default_factory=asyncio.Event)

    async def stop(self) -> None:
        """Fall silent once what was begun is acknowledged."""
        self._stopped = True
        await self._silent.wait()

    async def more(self, reports: int) -> None:
        """Wait until so many more were acknowledged."""
        wanted = len(self.acknowledged) + reports
        await until(lambda: len(self.acknowledged) >= wanted, seconds=30, what="load")

    async def run(self) -> None:
        plant = Plant(plant_file.load(ROOT / "device_sim" / "plant.toml"), seed=1, start=0)
        stamps = {device: Stamp(BOOT) for device in plant.devices}
        messages = [message for device in plant.devices for message in plant.birth(device)]
        began = time.monotonic()
        while not self._stopped:
            await self._say([_report(message, stamps) for message in messages])
            await asyncio.sleep(BEAT_SECONDS)
            messages = plant.step(round((time.monotonic() - began) * SCALE * 1_000))
        self._silent.set()

    async def _say(self, reports: list[Report]) -> None:
        """Publish until every report is acknowledged, over any number of connections."""
        self.sent += reports
        publications = [Publication(f"floor/v1/{topic}", payload) for topic, payload in reports]
        while True:
            try:
                await self.link.publish_many(publications)
                break
            except BrokerGone:
                await self.link.wait_status_change(self.link.status)
        self.acknowledged += reports


def _report(message: Message, stamps: dict[str, Stamp]) -> Report:
    return message.topic, stamps[message.device].payload(message)


@contextlib.asynccontextmanager
async def simulated_load(broker: RunningBroker) -> AsyncIterator[SimulatedLoad]:
    link = BrokerLink(client_settings(broker), client_id="the-plant", durable=False)
    load = SimulatedLoad(link)
    linking = asyncio.create_task(link.run(), name="load-link")
    saying = asyncio.create_task(load.run(), name="load")
    try:
        yield load
    finally:
        for task in (saying, linking):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
