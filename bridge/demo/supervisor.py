"""`floor demo`: a broker, the bridge and a simulated plant on this machine, each a process of its own.

The bridge is an ordinary `floor run`: it may be killed at any time, and is started again from its journal.
"""

import asyncio
import contextlib
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from rich.console import Console

from bridge.adapters.embedded_broker import EmbeddedBroker, EmbeddedBrokerError, PortTaken, tied_to_us
from bridge.core.events import EventType
from bridge.watch import Frame, Watch

READY_SECONDS: Final = 30.0
STOP_SECONDS: Final = 12.0  # the bridge drains within 10
MAX_RESTARTS: Final = 5  # in a row without having been ready: a bridge that cannot start is shown, not hidden


class DemoError(Exception):
    """The demo cannot run; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    folder: Path
    port: int
    broker_port: int
    scale: float
    seed: int


def write_config(options: DemoOptions) -> Path:
    """Write the demo's settings file and, the first time, its token secret; return the file's path."""
    options.folder.mkdir(parents=True, exist_ok=True)
    secret = options.folder / "secret"
    if not secret.exists():
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(48))
    plant = Path(str(resources.files("bridge.demo") / "plant.toml"))
    config = options.folder / "floor.toml"
    config.write_text(
        f"""# written by `floor demo`, new at every start
plant_file = "{plant}"

[broker]
port = {options.broker_port}

[journal]
path = "journal.db"

[token]
secret_file = "secret"

[web]
port = {options.port}

[time]
scale = {options.scale}
"""
    )
    return config


class Child:
    """One process of the demo; its output goes to a log file."""

    def __init__(self, name: str, folder: Path, *command: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *tied_to_us(),
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is ours to pass on, in order
            )

    async def wait(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def last_lines(self, count: int = 8) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(f"  {line}" for line in lines[-count:])


def require_free(port: int, option: str) -> None:
    """Raise `DemoError` that names a taken port and the option that moves it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(_taken(port, option)) from error


def _taken(port: int, option: str) -> str:
    return f"port {port} is taken: stop what holds it, or choose another: make demo ARGS='{option} {port + 1}'"


async def run(options: DemoOptions, *, console: Console, issue_token: Callable[[Path], str]) -> None:
    """Run the demo until SIGINT or SIGTERM; raises `DemoError` where it cannot."""
    try:
        await _run(options, console=console, issue_token=issue_token)
    except PortTaken as error:
        raise DemoError(_taken(options.broker_port, "--broker-port")) from error
    except EmbeddedBrokerError as error:
        raise DemoError(str(error)) from error


async def _run(options: DemoOptions, *, console: Console, issue_token: Callable[[Path], str]) -> None:
    require_free(options.port, "--port")
    config = write_config(options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    began = time.monotonic()
    async with EmbeddedBroker(folder=options.folder / "broker", port=options.broker_port) as broker:
        bridge = Child("bridge", options.folder, sys.executable, "-m", "bridge", "run", "--config", str(config))
        plant = Child(
            "plant",
            options.folder,
            *(sys.executable, "-m", "device_sim", "run", "--broker", f"127.0.0.1:{options.broker_port}"),
            *("--scale", str(options.scale), "--seed", str(options.seed)),
        )
        try:
            await bridge.start()
            await _until_ready(options.port, bridge, stop)
            await plant.start()
            if not stop.is_set():
                _introduce(console, options, broker.kind, bridge, plant, token=issue_token(config))
            async with asyncio.TaskGroup() as tasks:
                watching = [
                    tasks.create_task(_keep_running(bridge, options.port, console, stop), name="keep-bridge"),
                    tasks.create_task(_tell_end(plant, stop), name="tell-plant"),
                    tasks.create_task(_tally(options, issue_token, config, console), name="tally"),
                ]
                await stop.wait()
                for task in watching:
                    task.cancel()
        finally:
            console.print("stopping")
            await plant.stop()
            await bridge.stop()
    console.print(f"stopped after {time.monotonic() - began:.0f} s; the journal stays in {options.folder}")


async def _until_ready(port: int, bridge: Child, stop: asyncio.Event) -> None:
    ended = asyncio.create_task(bridge.wait(), name="bridge-ended")
    deadline = time.monotonic() + READY_SECONDS
    try:
        while not stop.is_set():
            if ended.done():
                raise DemoError(f"the bridge did not start (exit {ended.result()}):\n{bridge.last_lines()}")
            if await asyncio.to_thread(_answers, port):
                return
            if time.monotonic() > deadline:
                raise DemoError(f"the bridge is not ready after {READY_SECONDS:.0f} s:\n{bridge.last_lines()}")
            await asyncio.sleep(0.1)
    finally:
        ended.cancel()


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _introduce(console: Console, options: DemoOptions, broker: str, bridge: Child, plant: Child, *, token: str) -> None:
    rows = (
        ("broker", f"{broker} on 127.0.0.1:{options.broker_port}"),
        ("bridge", f"pid {bridge.pid}; kill -9 it if you like: it goes on from its journal; log {bridge.log}"),
        ("plant", f"pid {plant.pid}, simulated, {options.scale:g} times as fast as life; log {plant.log}"),
        ("board", f"http://127.0.0.1:{options.port}/#token={token}"),
        ("token", token),
        ("watch", f"{Path(sys.executable).parent / 'floor'} watch --config {options.folder / 'floor.toml'}"),
        ("stop", "Ctrl-C"),
    )
    console.print("[bold green]ready[/]")
    for name, text in rows:
        console.print(f"  [bold]{name:<7}[/]{text}", highlight=False, soft_wrap=True)


async def _keep_running(bridge: Child, port: int, console: Console, stop: asyncio.Event) -> None:
    failures = 0
    while not stop.is_set():
        started = time.monotonic()
        code = await bridge.wait()
        if stop.is_set():
            return
        failures = 0 if time.monotonic() - started > READY_SECONDS else failures + 1
        if failures > MAX_RESTARTS:
            raise DemoError(f"the bridge ended {failures} times in a row (exit {code}):\n{bridge.last_lines()}")
        console.print(f"[yellow]the bridge ended (exit {code}); starting it again from its journal[/]")
        await bridge.start()
        await _until_ready(port, bridge, stop)
        console.print(f"the bridge is back: pid {bridge.pid}", highlight=False)


async def _tell_end(plant: Child, stop: asyncio.Event) -> None:
    code = await plant.wait()
    if not stop.is_set():
        raise DemoError(f"the simulated plant ended (exit {code}):\n{plant.last_lines()}")


async def _tally(options: DemoOptions, issue_token: Callable[[Path], str], config: Path, console: Console) -> None:
    """Tell of each event type when it is first delivered to a dashboard."""
    began = time.monotonic()
    seen: set[str] = set()

    def show(frame: Frame) -> None:
        if "offset" not in frame or frame["type"] in seen:
            return
        seen.add(frame["type"])
        console.print(
            f"  [dim]{time.monotonic() - began:5.1f} s[/]  {frame['type']} [dim]({len(seen)} of {len(EventType)})[/]",
            highlight=False,
        )

    watch = Watch(
        url=f"ws://127.0.0.1:{options.port}/ws",
        token=lambda: issue_token(config),
        subscriptions=[{"id": "tally", "subscription_type": "line", "target_id": "all"}],
        show=show,
    )
    with contextlib.suppress(asyncio.CancelledError):
        await watch.run()
