"""A whole bridge under the devices of `device-sim run --disturb`, and its disturbances.

The plant runs many times as fast as life, and the bridge with it. While the bridge is absent its plant runs on, so each
of its starts finds a wall clock that has run as fast. `bridge_under_load.py` has undisturbed devices.
"""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.faults.load_plant import write_plant
from tests.faults.loss_ledger import LossLedger, close_ledger
from tests.faults.published_events import PublishedEvents, published_events
from tests.faults.resuming_subscriber import ResumingSubscriber, subscribers
from tests.faults.simulated_load import SentReport, SimulatedLoad, simulated_load
from tests.faults.simulator_truth import PlayedTruth, read_truth
from tests.support.bridge_process import ROOT, BridgeProcess, Launcher, Process, ProgramLauncher, bridge_process
from tests.support.brokers import RunningBroker, until
from tests.support.tcp_proxy import ConnectionEnd, TcpProxy, tcp_proxy

SCALE: Final = 120.0  # simulated seconds a second
LOOK_SECONDS: Final = 0.05
END_SECONDS: Final = 30.0


@dataclass
class ShiftedClock(Launcher):
    """Lets a bridge find at each start that its wall has run `SCALE` times as fast as life, also in its absence."""

    began: float = field(default_factory=time.time)
    ahead: float = 0.0  # seconds by which the bridge's running wall clock is ahead of the real one

    def now(self) -> float:
        """Return the time of the plant, in seconds since 1970."""
        return self.began + (time.time() - self.began) * SCALE

    def wall_ms(self) -> int:
        return round((time.time() + self.ahead) * 1000)

    async def launch(self, bridge: BridgeProcess) -> Process:
        self.ahead = self.now() - time.time()
        return await ProgramLauncher((sys.executable, "-m", "tests.faults.shifted_clock", f"{self.ahead:.3f}")).launch(
            bridge
        )


@dataclass(frozen=True, slots=True)
class AbsenceSpan:
    """A span in which the bridge did not run, in milliseconds of its own wall clock."""

    since: int
    until: int


@dataclass
class SentReports:
    """Reports that the journal must account for: of the simulated devices, and of those without a sequence."""

    truth: PlayedTruth
    without_sequence: SimulatedLoad

    @property
    def sent(self) -> list[SentReport]:
        return [*self.truth.sent, *self.without_sequence.sent]

    @property
    def acknowledged(self) -> list[SentReport]:
        return [*self.truth.acknowledged, *self.without_sequence.acknowledged]


@dataclass
class DisturbedBridge:
    bridge: BridgeProcess
    clock: ShiftedClock
    broker: RunningBroker
    network: TcpProxy
    load: SimulatedLoad
    consumer: PublishedEvents
    dashboard: ResumingSubscriber
    plant: asyncio.subprocess.Process
    truth_file: Path
    network_free: asyncio.Lock = field(default_factory=asyncio.Lock)
    away: list[AbsenceSpan] = field(default_factory=list)
    network_cuts: int = 0  # announced by the simulator, and played

    @contextlib.contextmanager
    def absent(self) -> Iterator[None]:
        """Record an absence of the bridge."""
        since = round(self.clock.now() * 1000)
        yield
        self.away.append(AbsenceSpan(since, round(self.clock.now() * 1000)))

    async def play_network(self, cuts_file: Path) -> None:
        """Play the network faults between broker and bridge that the simulator announces, until cancelled."""
        played = 0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            announced = _announced(cuts_file)
            for cut in announced[played:]:
                if cut["part"] == "network":
                    async with self.network_free:
                        await self._cut_network(cut["how"], cut["seconds"])
                    self.network_cuts += 1
            played = len(announced)

    async def _cut_network(self, how: str, seconds: float) -> None:
        if how == "silent":
            self.network.freeze()
        else:
            self.network.refusing = True
            self.network.cut(ConnectionEnd.RESET)
        await asyncio.sleep(seconds)
        self.network.refusing = False
        self.network.thaw()

    async def close_ledger(self) -> tuple[LossLedger, PlayedTruth]:
        """Wait for the end of the plant's run, let everything else fall silent, and close the ledger."""
        _, errors = await asyncio.wait_for(self.plant.communicate(), END_SECONDS)
        ended = f"the simulator ended with {self.plant.returncode}: {errors.decode()[-3_000:]}"
        assert self.plant.returncode == 0, ended
        assert not errors, ended
        await self.load.more(1)
        await self.load.stop()
        truth = read_truth(self.truth_file)
        both = SentReports(truth, self.load)
        return await close_ledger(self.bridge, self.broker, both, self.consumer, self.dashboard), truth


@asynccontextmanager
async def disturbed_bridge(
    folder: Path, broker: RunningBroker, profile: str, *, seconds: float
) -> AsyncIterator[DisturbedBridge]:
    """Run a bridge, its consumers, and the plant under a profile for so long; the bridge is behind a network."""
    clock = ShiftedClock()
    truth_file, cuts_file = folder / "truth.jsonl", folder / "cuts.jsonl"
    await _device_sim(broker, "leave", "--disturb", profile)
    async with tcp_proxy(broker.port) as network:
        settings = {"FLOOR_BROKER__PORT": str(network.port), "FLOOR_TIME__SCALE": str(SCALE)}
        async with (
            published_events(broker) as plain,
            bridge_process(folder, broker, plant=write_plant(folder), environment=settings, launcher=clock) as bridge,
            subscribers(bridge) as (board,),
            simulated_load(broker, has_plant=False) as load,
        ):
            await until(lambda: board.live, what="live")
            plant = await _start(
                broker,
                *("run", "--disturb", profile, "--truth", str(truth_file), "--cuts", str(cuts_file), "--quiet"),
                *("--scale", str(SCALE), "--duration", str(seconds)),
            )
            disturbed = DisturbedBridge(bridge, clock, broker, network, load, plain, board, plant, truth_file)
            playing = asyncio.create_task(disturbed.play_network(cuts_file), name="play-network")
            try:
                yield disturbed
            finally:
                playing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await playing
                if plant.returncode is None:
                    plant.kill()
                    await plant.wait()


def _announced(cuts_file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in cuts_file.read_text().splitlines()] if cuts_file.exists() else []


async def _start(broker: RunningBroker, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "device_sim", *arguments, "--broker", f"127.0.0.1:{broker.port}"),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _device_sim(broker: RunningBroker, *arguments: str) -> None:
    process = await _start(broker, *arguments)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
