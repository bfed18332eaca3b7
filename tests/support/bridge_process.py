"""A whole bridge as its own process: `floor run` on a broker of the test's, as an operator starts it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from bridge.mqtt.link import BrokerLink
from tests.support.brokers import RunningBroker, client_settings, free_port, linked
from tests.support.socket_dashboard import SocketDashboard, dashboard
from tests.support.tokens import SECRET, token

ROOT = Path(__file__).parents[2]
DEMO_PLANT = ROOT / "bridge" / "demo" / "plant.toml"
START_SECONDS = 30.0
CLOSE_SECONDS = 0.2  # whoever stops reading in a flood of events never sees the answer to its close

CONFIG = """
plant_file = "{plant}"
[broker]
port = {broker}
max_backoff_seconds = 0.3
[token]
secret = "{secret}"
[web]
port = {port}
"""


class Process(Protocol):
    """What is asked of a bridge's process: as asyncio has it."""

    pid: int

    @property
    def returncode(self) -> int | None: ...
    def send_signal(self, signal: int, /) -> None: ...
    def kill(self) -> None: ...
    async def wait(self) -> int: ...


@dataclass
class RunningFloor:
    """One `floor run`, which may be killed and started again on the same journal."""

    config: Path
    port: int
    broker: RunningBroker
    environment: Mapping[str, str] = field(default_factory=dict)
    process: Process | None = field(default=None)
    under: tuple[str, ...] = ()  # a command that runs it, and leaves it the process id
    role: str = "both"

    async def start(self) -> None:
        await self.launch()
        await self.ready()

    async def launch(self) -> None:
        with (self.config.parent / "bridge.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(
                    *self.under,
                    sys.executable,
                    "-m",
                    "bridge",
                    "run",
                    "--config",
                    str(self.config),
                    "--role",
                    self.role,
                ),
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},
            )

    async def ready(self) -> None:
        assert self.process is not None
        async with asyncio.timeout(START_SECONDS):
            while not await asyncio.to_thread(self.is_ready):
                assert self.process.returncode is None, self.log()
                await asyncio.sleep(0.05)

    @property
    def journal(self) -> Path:
        return self.config.parent / ".floor" / "journal.db"

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 30)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def readiness(self) -> str:
        """What it says of its readiness; empty where it says nothing."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=2) as answer:
                return str(answer.read().decode())
        except HTTPError as error:
            return error.read().decode()
        except (URLError, OSError):
            return ""

    def log(self) -> str:
        return (self.config.parent / "bridge.log").read_text()

    def token(self) -> str:
        """Return a token of an admin, valid by this bridge's wall clock."""
        return token()

    @asynccontextmanager
    async def device(self) -> AsyncIterator[BrokerLink]:
        """Return a client that publishes as a device does."""
        async with linked(BrokerLink(client_settings(self.broker), client_id="a-device", durable=False)) as link:
            yield link

    @asynccontextmanager
    async def dashboard(self, proof: str | None = None) -> AsyncIterator[SocketDashboard]:
        """Return an authenticated dashboard, by default of an admin."""
        async with dashboard(self.port, proof or self.token(), close_timeout=CLOSE_SECONDS) as board:
            yield board

    def is_ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


def write_config(folder: Path, broker: RunningBroker, *, plant: Path | None = None) -> tuple[Path, int]:
    """Write settings for a bridge on this broker; returns their path and its free port."""
    port = free_port()
    config = folder / "floor.toml"
    config.write_text(CONFIG.format(plant=plant or DEMO_PLANT, broker=broker.port, port=port, secret=SECRET))
    return config, port


@asynccontextmanager
async def running_floor(
    folder: Path, broker: RunningBroker, *, plant: Path | None = None, environment: Mapping[str, str] | None = None
) -> AsyncIterator[RunningFloor]:
    """Run a bridge on this broker; stopped at the end, however the test ends. `environment` adds settings."""
    config, port = write_config(folder, broker, plant=plant)
    async with kept_running(RunningFloor(config, port, broker, environment or {})) as floor:
        yield floor


@asynccontextmanager
async def kept_running(floor: RunningFloor) -> AsyncIterator[RunningFloor]:
    """Start a bridge that is described already; stopped at the end, however the test ends."""
    await floor.start()
    try:
        yield floor
    finally:
        if floor.process is not None and floor.process.returncode is None:
            floor.process.kill()
            await floor.process.wait()
