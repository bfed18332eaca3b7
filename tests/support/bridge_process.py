"""A whole bridge as its own process: `floor run` on a broker of the test's.

For tests of what only a process has: signals, exit codes, kills. `in_process.py` is faster, where these do not matter.
With `PROGRAM` it starts as an operator starts it.
"""

import asyncio
import os
import signal
import sqlite3
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from bridge.mqtt.link import BrokerLink
from bridge.ports.clock import wall_ms
from tests.support.brokers import RunningBroker, client_settings, free_port, linked
from tests.support.forked_process import fork_floor
from tests.support.socket_dashboard import SocketDashboard, dashboard
from tests.support.tokens import SECRET, token

ROOT = Path(__file__).parents[2]
DEMO_PLANT = ROOT / "bridge" / "demo" / "plant.toml"
START_SECONDS = 30.0
TOKEN_SECONDS = 86_400
CLOSE_SECONDS = 0.2  # a client that stops reading in a flood of events never sees the answer to its close

CONFIG = """
plant_file = "{plant}"
[broker]
port = {broker}
probe = "off"
max_backoff_seconds = 0.3
[token]
secret = "{secret}"
[web]
port = {port}
"""


class Process(Protocol):
    """Process of a bridge; a subset of asyncio's."""

    pid: int

    @property
    def returncode(self) -> int | None: ...
    def send_signal(self, signal: int, /) -> None: ...
    def kill(self) -> None: ...
    async def wait(self) -> int: ...


class Launcher(ABC):
    """Starts the process of a bridge, in one way."""

    @abstractmethod
    async def launch(self, bridge: "BridgeProcess") -> Process: ...

    def wall_ms(self) -> int:
        """Return the wall clock of the bridge last launched."""
        return wall_ms()


@dataclass(frozen=True, slots=True)
class ProgramLauncher(Launcher):
    """`floor run`; `wrapper` is a command that runs it under the same process id."""

    wrapper: tuple[str, ...] = ()

    async def launch(self, bridge: "BridgeProcess") -> Process:
        command = (sys.executable, "-m", "bridge", *_command(bridge))
        with bridge.log_file.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *self.wrapper,
                *command,
                stdout=log,
                stderr=log,
                env={**os.environ, **bridge.environment, "PYTHONPATH": str(ROOT)},
            )


class ForkLauncher(Launcher):
    """The same command in a process that is forked with everything imported, in a sixth of the time."""

    async def launch(self, bridge: "BridgeProcess") -> Process:
        if not all(name.startswith("FLOOR_") for name in bridge.environment):
            return await PROGRAM.launch(bridge)  # the others matter when an interpreter starts
        environment = {**os.environ, **bridge.environment}
        with bridge.log_file.open("ab") as log:
            return await fork_floor(*_command(bridge), environment=environment, output=log.fileno(), first=self.first())

    def first(self) -> Sequence[object]:
        """Return what the next process calls before the command: module, function and arguments; empty: nothing."""
        return ()


def _command(bridge: "BridgeProcess") -> tuple[str, ...]:
    return "run", "--config", str(bridge.config), "--role", bridge.role


RUN, PROGRAM = ForkLauncher(), ProgramLauncher()


@dataclass
class BridgeProcess:
    """One `floor run`, which may be killed and started again on the same journal."""

    config: Path
    port: int
    broker: RunningBroker
    environment: Mapping[str, str] = field(default_factory=dict)
    launcher: Launcher = RUN
    role: str = "both"
    process: Process | None = None
    fronts: list["BridgeProcess"] = field(default_factory=list)  # processes of their own beside this one

    @property
    def front(self) -> "BridgeProcess":
        return self.fronts[0]

    def add_front(self, environment: Mapping[str, str] | None = None) -> "BridgeProcess":
        """Describe a front beside this process, with its settings and another port. It is stopped with this one."""
        port = free_port()
        settings = {**self.environment, **(environment or {}), "FLOOR_WEB__PORT": str(port)}
        self.fronts.append(BridgeProcess(self.config, port, self.broker, settings, role="front"))
        return self.fronts[-1]

    async def start(self) -> None:
        await self.launch()
        await self.ready()

    async def launch(self) -> None:
        """Start the process, and don't wait for it."""
        self.process = await self.launcher.launch(self)

    async def ready(self) -> None:
        assert self.process is not None
        async with asyncio.timeout(START_SECONDS):
            while not await asyncio.to_thread(self.is_ready):
                assert self.process.returncode is None, self.log()
                await asyncio.sleep(0.05)

    @property
    def log_file(self) -> Path:
        return self.config.parent / "bridge.log"

    @property
    def journal(self) -> Path:
        return self.config.parent / ".floor" / "journal.db"

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 30)

    async def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def readiness(self) -> str:
        """The answer of its readiness check; empty without one."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/health/ready", timeout=2) as answer:
                return str(answer.read().decode())
        except HTTPError as error:
            return error.read().decode()
        except (URLError, OSError):
            return ""

    def metrics(self, proof: str | None = None) -> str:
        """Return what an admin is shown at `/metrics`."""
        headers = {"Authorization": f"Bearer {proof or self.token()}"}
        request = Request(f"http://127.0.0.1:{self.port}/metrics", headers=headers)
        with urlopen(request, timeout=20) as answer:
            return str(answer.read().decode())

    def log(self) -> str:
        return self.log_file.read_text()

    def token(self) -> str:
        """Return a token of an admin, valid by this bridge's wall clock."""
        return token(now=self.launcher.wall_ms() / 1_000, ttl=TOKEN_SECONDS)

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


def configured(
    folder: Path,
    broker: RunningBroker,
    *,
    plant: Path | None = None,
    environment: Mapping[str, str] | None = None,
    fronts: int | None = None,
    launcher: Launcher = RUN,
) -> BridgeProcess:
    """Write the settings of a bridge on this broker, with a free port; `environment` adds some. It is not started.

    `fronts`: None for one process with both sides, else a pipeline and so many fronts beside it.
    """
    port, config = free_port(), folder / "floor.toml"
    config.write_text(CONFIG.format(plant=plant or DEMO_PLANT, broker=broker.port, port=port, secret=SECRET))
    role = "both" if fronts is None else "pipeline"
    bridge = BridgeProcess(config, port, broker, environment or {}, launcher, role)
    for _ in range(fronts or 0):
        bridge.add_front()
    return bridge


@asynccontextmanager
async def bridge_process(
    folder: Path,
    broker: RunningBroker,
    *,
    plant: Path | None = None,
    environment: Mapping[str, str] | None = None,
    fronts: int | None = None,
    launcher: Launcher = RUN,
) -> AsyncIterator[BridgeProcess]:
    """Run what `configured` describes; killed at the end if the test has not stopped it."""
    bridge = configured(folder, broker, plant=plant, environment=environment, fronts=fronts, launcher=launcher)
    try:
        for process in (bridge, *bridge.fronts):
            await process.start()
        yield bridge
    finally:
        for process in (bridge, *bridge.fronts):
            await process.kill()


@contextmanager
def blocked_journal(bridge: BridgeProcess) -> Iterator[None]:
    """Keep the journal's writer waiting, as a disk does that has stopped to answer."""
    with closing(sqlite3.connect(bridge.journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
