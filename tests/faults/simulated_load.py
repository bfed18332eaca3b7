"""A simulated plant with an account of its reports: sent, and acknowledged by the broker.

Beside a plant that `device-sim` runs by itself, it is the line whose devices have no sequence, and nothing else.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from bridge.domain.messages import Publication
from bridge.mqtt.link import BrokerLink
from bridge.ports.broker import BrokerUnavailable
from device_sim import plant_file
from device_sim.plant.simulated_plant import SimulatedPlant
from device_sim.reports import ReportMessage
from tests.device_sim.report_numbering import ReportNumbering
from tests.faults.load_plant import reports_without_sequence
from tests.support.bridge_process import ROOT
from tests.support.brokers import RunningBroker, client_settings, until

SCALE: Final = 60.0  # simulated seconds a second: about a hundred reports a second
BEAT_SECONDS: Final = 0.02
UNSEQUENCED_BEATS: Final = 2  # beats of the plant for one of the devices without a sequence
BOOT: Final = 1
SentReport = tuple[str, bytes]
"""(topic relative to the root, payload); no two are equal, for each is numbered by its device."""


@dataclass
class SimulatedLoad:
    """The plant's devices on one connection.

    A device with a sequence sends again what was not acknowledged, and nothing before it. The others do not: nobody
    could tell a press that is sent again from a second one. So of theirs some may be taken in that were never
    acknowledged to them.
    """

    link: BrokerLink
    has_plant: bool = True
    sent: list[SentReport] = field(default_factory=list)
    acknowledged: list[SentReport] = field(default_factory=list)

    _stopped: bool = False
    _silent: asyncio.Event = field(default_factory=asyncio.Event)

    async def stop(self) -> None:
        """Stop sending once every report is acknowledged."""
        self._stopped = True
        await self._silent.wait()

    async def more(self, reports: int) -> None:
        """Wait until so many more were acknowledged."""
        wanted = len(self.acknowledged) + reports
        await until(lambda: len(self.acknowledged) >= wanted, seconds=30, what="load")

    async def run(self) -> None:
        plant = SimulatedPlant(plant_file.load(ROOT / "device_sim" / "plant.toml"), seed=1, start=0)
        devices = plant.devices if self.has_plant else ()
        stamps = {device: ReportNumbering(BOOT) for device in devices}
        unsequenced = reports_without_sequence()
        messages = [message for device in devices for message in plant.birth_messages(device)]
        began = time.monotonic()
        beat = 0
        while not self._stopped:
            await self._report(_reports(messages, stamps))
            if beat % UNSEQUENCED_BEATS == 0:
                await self._report_once(next(unsequenced))
            await asyncio.sleep(BEAT_SECONDS)
            if self.has_plant:
                messages = plant.step(round((time.monotonic() - began) * SCALE * 1_000))
            beat += 1
        # each device has a last word, so that what was lost before it leaves a gap
        await self._report(
            _reports([message for device in devices for message in plant.birth_messages(device)], stamps)
        )
        self._silent.set()

    async def _report(self, reports: Sequence[Publication]) -> None:
        """Publish until every report is acknowledged, over any number of connections."""
        self.sent += map(_content, reports)
        while True:
            try:
                await self.link.publish_many([_under_root(report) for report in reports])
                break
            except BrokerUnavailable:
                await self.link.wait_status_change(self.link.status)
        self.acknowledged += map(_content, reports)

    async def _report_once(self, reports: Sequence[Publication]) -> None:
        self.sent += map(_content, reports)
        try:
            await self.link.publish_many([_under_root(report) for report in reports])
        except BrokerUnavailable:
            return
        self.acknowledged += map(_content, reports)


def _reports(messages: Sequence[ReportMessage], stamps: dict[str, ReportNumbering]) -> list[Publication]:
    return [Publication(message.topic, stamps[message.device].payload(message)) for message in messages]


def _under_root(publication: Publication) -> Publication:
    return replace(publication, topic=f"floor/v1/{publication.topic}")


def _content(publication: Publication) -> SentReport:
    return publication.topic, publication.payload


@contextlib.asynccontextmanager
async def simulated_load(broker: RunningBroker, *, has_plant: bool = True) -> AsyncIterator[SimulatedLoad]:
    link = BrokerLink(client_settings(broker), client_id="the-plant", durable=False)
    load = SimulatedLoad(link, has_plant)
    linking = asyncio.create_task(link.run(), name="load-link")
    saying = asyncio.create_task(load.run(), name="load")
    try:
        yield load
    finally:
        for task in (saying, linking):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
