"""Runs the plant against a broker: real time in, simulated messages out, until it is told to stop."""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from rich.console import Console
from rich.live import Live

from device_sim.chance import MINUTE, SECOND
from device_sim.link import Audience, Link
from device_sim.narration import PlainLines, Silence
from device_sim.plant import Plant
from device_sim.plant_file import PlantSpec
from device_sim.table import LiveTable
from device_sim.wire import CONNECT_SECONDS, Broker

BEAT_SECONDS: Final = 0.05
LONGEST_STEP: Final = MINUTE  # simulated in one go; bounds how long the loop does nothing else
GOODBYE_SECONDS: Final = 5.0

Show = Literal["table", "lines", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    spec: PlantSpec
    broker: Broker
    seed: int = 1
    scale: float = 1.0  # simulated seconds in a real one
    duration: float | None = None  # real seconds; None: until it is stopped
    timestamps: bool = False
    show: Show = "lines"


async def run(options: Run) -> None:
    """Simulate until the duration is over or a signal comes; raises `WireError` where the broker cannot be used."""
    plant = Plant(options.spec, seed=options.seed, start=time.time_ns() // 1_000_000 // SECOND * SECOND)
    await options.broker.find_version(plant.identity(plant.devices[0]))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    with _audience(options, plant) as audience:
        links = [
            Link(device, plant, options.broker, audience, timestamps=options.timestamps) for device in plant.devices
        ]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(link.run(), name=link.device) for link in links]
            await _live(plant, links, audience, stop, options)
            for link in links:
                link.mailbox.close()
            _, late = await asyncio.wait(running, timeout=GOODBYE_SECONDS)
            for task in late:
                task.cancel()


async def _live(plant: Plant, links: list[Link], audience: Audience, stop: asyncio.Event, options: Run) -> None:
    """Keep simulated time at `scale` times real time for the duration, from the moment every device is connected."""
    await _first_of(stop, links)
    if options.duration is not None:
        asyncio.get_running_loop().call_later(options.duration, stop.set)
    by_device = {link.device: link for link in links}
    started, start = time.monotonic(), plant.now
    while not stop.is_set():
        due = start + round((time.monotonic() - started) * options.scale * SECOND)
        for message in plant.step(min(due, plant.now + LONGEST_STEP)):
            by_device[message.device].post(message)
            audience.said(message)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), BEAT_SECONDS)


async def _first_of(stop: asyncio.Event, links: list[Link]) -> None:
    """Wait until every device is online, or until it is time to stop; not for ever for a device that is kept out."""
    connected = asyncio.gather(*(link.online.wait() for link in links))
    stopped = asyncio.create_task(stop.wait(), name="wait for stop")
    await asyncio.wait((connected, stopped), timeout=CONNECT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for waiting in (connected, stopped):
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting


@contextlib.contextmanager
def _audience(options: Run, plant: Plant) -> Iterator[Audience]:
    match options.show:
        case "table":
            title = f"{options.spec.site} at {options.broker.host}:{options.broker.port}, {options.scale:g} x real time"
            table = LiveTable(plant, title)
            with Live(table, console=Console(), refresh_per_second=4):
                yield table
        case "lines":
            yield PlainLines(sys.stdout)
        case "nothing":
            yield Silence()
