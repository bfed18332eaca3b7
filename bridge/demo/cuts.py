"""Power cuts of bridge and broker, announced by the simulated plant and played by the demo."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bridge.demo.child import ChildProcess
from bridge.demo.embedded_broker import EmbeddedBroker

POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class CutAnnouncement:
    """One announcement of `device-sim run --cuts FILE`: a JSON object on a line."""

    part: str  # `bridge` or `broker`; `network` is announced too, but not played
    how: str  # `crash` or `stop` of the bridge, `link` of the broker, `silent` or `reset` of the network
    seconds: float  # real time
    forgets: bool  # the broker loses its stored data


class CutPlayer:
    """Plays announced cuts. The demo's supervisor asks it whether bridge or broker is offline on purpose."""

    def __init__(
        self, file: Path, bridge: ChildProcess, broker: EmbeddedBroker, *, print_status: Callable[[str], None]
    ) -> None:
        self._file = file
        self._bridge = bridge
        self._broker = broker
        self._print_status = print_status
        self._bridge_may_run = asyncio.Event()
        self._broker_runs = asyncio.Event()
        self._bridge_may_run.set()
        self._broker_runs.set()

    @property
    def is_bridge_down(self) -> bool:
        return not self._bridge_may_run.is_set()

    @property
    def is_broker_down(self) -> bool:
        return not self._broker_runs.is_set()

    async def wait_for_bridge(self) -> None:
        await self._bridge_may_run.wait()

    async def wait_for_broker(self) -> None:
        await self._broker_runs.wait()

    async def play(self) -> None:
        """Play announced cuts until cancelled, independently per part; skip a cut of a part that is offline."""
        async with asyncio.TaskGroup() as tasks:
            async for cut in self._read_announcements():
                if cut.part == "bridge" and not self.is_bridge_down:
                    self._bridge_may_run.clear()
                    tasks.create_task(self._cut_bridge(cut), name="cut-bridge")
                elif cut.part == "broker" and not self.is_broker_down:
                    self._broker_runs.clear()
                    tasks.create_task(self._cut_broker(cut), name="cut-broker")

    async def _cut_bridge(self, cut: CutAnnouncement) -> None:
        how = "power cut" if cut.how == "crash" else "stopped"
        self._print_status(f"[yellow]bridge: {how} for {cut.seconds:.1f} s[/]")
        if cut.how == "crash":
            self._bridge.kill()
        else:
            await self._bridge.stop()
        await asyncio.sleep(cut.seconds)
        self._bridge_may_run.set()

    async def _cut_broker(self, cut: CutAnnouncement) -> None:
        memory = ", stored data lost" if cut.forgets else ""
        self._print_status(f"[yellow]broker: power cut for {cut.seconds:.1f} s{memory}[/]")
        await self._broker.simulate_power_loss(loses_data=cut.forgets)
        await asyncio.sleep(cut.seconds)
        await self._broker.start()
        self._broker_runs.set()
        self._print_status("the broker runs again")

    async def _read_announcements(self) -> AsyncIterator[CutAnnouncement]:
        """Yield each announcement that is added to the file."""
        read = 0
        while True:
            await asyncio.sleep(POLL_SECONDS)
            text = await asyncio.to_thread(self._read_file)
            lines = text[read : text.rfind("\n") + 1].splitlines()
            read = max(read, text.rfind("\n") + 1)
            for line in lines:
                cut = json.loads(line)
                yield CutAnnouncement(cut["part"], cut["how"], cut["seconds"], cut["forgets"])

    def _read_file(self) -> str:
        return self._file.read_text(encoding="utf-8") if self._file.exists() else ""
