"""`floor demo`: a broker, the bridge and a simulated plant on this machine, each a process of its own.

The bridge is an ordinary `floor run`: it may be killed at any time, and is started again from its journal.
"""

import asyncio
import contextlib
import errno
import fcntl
import secrets
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import BinaryIO, Final
from urllib.error import URLError
from urllib.request import urlopen

from rich.console import Console

from bridge.adapters.embedded_broker import EmbeddedBroker, EmbeddedBrokerError
from bridge.core.events import EventType
from bridge.demo.child import Child
from bridge.demo.cuts import Cuts
from bridge.demo.errors import DemoError
from bridge.demo.floor_time import FloorTime, pace
from bridge.demo.simulator import Simulator
from bridge.watch import Frame, Watch

JOURNAL: Final = "journal.db"  # in the demo's folder
READY_SECONDS: Final = 30.0
MAX_RESTARTS: Final = 5  # in a row, each ended by itself and soon: a bridge that cannot run is shown, not hidden


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    folder: Path
    port: int
    broker_port: int
    scale: float
    seed: int
    disturb: str | None = None  # a profile of device-sim, or a file


def write_config(options: DemoOptions) -> Path:
    """Write the demo's settings file and, the first time, its token secret; return the file's path."""
    secret = options.folder / "secret"
    if not secret.exists():
        fresh = options.folder / "secret.new"  # moved into place whole: half a secret would fail every later start
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48))
        fresh.replace(secret)
    plant = Path(str(resources.files("bridge.demo") / "plant.toml"))
    config = options.folder / "floor.toml"
    config.write_text(
        f"""# written by `floor demo`, new at every start
plant_file = "{plant}"

[broker]
port = {options.broker_port}

[journal]
path = "{JOURNAL}"

[token]
secret_file = "secret"

[web]
port = {options.port}

[time]
scale = {options.scale}
"""
    )
    return config


def require_free(port: int, option: str, *, usual: int) -> None:
    """Raise `DemoError` that names a port that can't be had, and the option that moves it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise DemoError(
                    f"port {port}: {error.strerror}; choose another: make demo ARGS='{option} {usual}'"
                ) from error
            raise DemoError(
                f"port {port} is taken: stop what holds it, or choose another: make demo ARGS='{option} {port + 1}'"
            ) from error


@contextlib.contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Hold the demo's folder; raises `DemoError` where another demo does: it would lose its settings and its broker."""
    with _lock_file(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with the process, also at kill -9
        except BlockingIOError as error:
            raise DemoError(
                f"another demo runs in {folder}: stop it, or give this one a folder and ports of its own: "
                "make demo ARGS='--folder /tmp/demo2 --port 8081 --broker-port 11884'"
            ) from error
        yield


def _lock_file(folder: Path) -> BinaryIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / "lock").open("wb")
    except OSError as error:
        raise DemoError(f"{error}\nchoose another folder: make demo ARGS='--folder /tmp/demo'") from error


def say(console: Console, text: str, *, wrap: bool = True) -> None:
    """Print, where there still is a terminal or a reader: their end must not keep us from stopping what we started."""
    with contextlib.suppress(OSError, SystemExit):  # rich ends the program on a broken pipe
        console.print(text, highlight=False, soft_wrap=not wrap)


async def run(options: DemoOptions, *, console: Console, issue_token: Callable[[Path], str]) -> None:
    """Run the demo until SIGINT, SIGTERM or a closed terminal; raises `DemoError` where it cannot."""
    try:
        with own_folder(options.folder):
            await _run(options, console=console, issue_token=issue_token)
    except EmbeddedBrokerError as error:
        raise DemoError(str(error)) from error


async def _run(options: DemoOptions, *, console: Console, issue_token: Callable[[Path], str]) -> None:
    terminal = sys.stdout.isatty()
    require_free(options.port, "--port", usual=8080)
    require_free(options.broker_port, "--broker-port", usual=11883)
    config = write_config(options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    began = time.monotonic()
    simulator = Simulator(options.disturb, options.seed, options.folder, options.broker_port)
    await simulator.require_profile()
    async with EmbeddedBroker(folder=options.folder / "broker", port=options.broker_port) as broker:
        await simulator.leave_leftovers()
        floor_time = FloorTime(options.scale, options.folder / JOURNAL)
        command = (sys.executable, "-m", "bridge", "run", "--config", str(config))
        bridge = Child("bridge", options.folder, *command, environment=floor_time.settings)
        plant = Child(
            "plant",
            options.folder,
            *(sys.executable, "-m", "device_sim", "run", "--broker", f"127.0.0.1:{options.broker_port}"),
            *("--scale", str(options.scale), "--seed", str(options.seed), *simulator.options),
        )
        cuts = Cuts(simulator.cuts_file, bridge, broker, report=lambda text: say(console, text))
        try:
            await bridge.start()
            if not await _until_ready(options.port, bridge, stop):
                raise DemoError(f"the bridge did not start (exit {await bridge.wait()}):\n{bridge.last_lines()}")
            await plant.start()
            if not stop.is_set():
                token, trouble = issue_token(config), simulator.trouble()
                _introduce(console, options, broker.kind, bridge, plant, trouble=trouble, token=token)
            async with asyncio.TaskGroup() as tasks:
                watching = [
                    tasks.create_task(_keep_running(bridge, options.port, console, stop, cuts), name="keep-bridge"),
                    tasks.create_task(_tell_end(plant, stop), name="tell-plant"),
                    tasks.create_task(_tell_broker_end(broker, cuts), name="tell-broker"),
                    tasks.create_task(cuts.play(), name="play-cuts"),
                    tasks.create_task(_tally(options, issue_token, config, console), name="tally"),
                ]
                if terminal:
                    watching.append(tasks.create_task(_notice_hangup(stop), name="notice-hangup"))
                await stop.wait()
                for task in watching:
                    task.cancel()
        finally:
            say(console, "stopping")
            await plant.stop()
            await bridge.stop()
    say(console, f"stopped after {time.monotonic() - began:.0f} s; the journal stays in {options.folder}")


async def _until_ready(port: int, bridge: Child, stop: asyncio.Event) -> bool:
    """Wait until the bridge serves; False when it ended before."""
    ended = asyncio.create_task(bridge.wait(), name="bridge-ended")
    deadline = time.monotonic() + READY_SECONDS
    try:
        while not stop.is_set():
            if ended.done():
                return False
            if await asyncio.to_thread(_answers, port):
                return True
            if time.monotonic() > deadline:
                raise DemoError(f"the bridge is not ready after {READY_SECONDS:.0f} s:\n{bridge.last_lines()}")
            await asyncio.sleep(0.1)
    finally:
        ended.cancel()
    return True


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _introduce(
    console: Console, options: DemoOptions, broker: str, bridge: Child, plant: Child, *, trouble: str | None, token: str
) -> None:
    floor = Path(sys.executable).parent / "floor"
    rows = (
        ("broker", f"{broker} on 127.0.0.1:{options.broker_port}"),
        ("bridge", f"pid {bridge.pid}; kill -9 it if you like: it goes on from its journal; log {bridge.log}"),
        ("plant", f"pid {plant.pid}, simulated, {pace(options.scale)}; log {plant.log}"),
        *(() if trouble is None else (("trouble", trouble),)),
        ("board", f"http://127.0.0.1:{options.port}/#token={token}"),
        ("token", token),
        ("watch", shlex.join((str(floor), "watch", "--config", str(options.folder / "floor.toml")))),
        ("stop", "Ctrl-C"),
    )
    say(console, "[bold green]ready[/]")
    for name, text in rows:
        say(console, f"  [bold]{name:<8}[/]{text}", wrap=False)


async def _keep_running(bridge: Child, port: int, console: Console, stop: asyncio.Event, cuts: Cuts) -> None:
    failures = 0
    started = time.monotonic()
    while True:
        code = await bridge.wait()
        if stop.is_set():
            return
        if cuts.bridge_is_away:
            await cuts.until_the_bridge_may_run()
            await bridge.start()
            if await _until_ready(port, bridge, stop):
                say(console, f"the bridge is back: pid {bridge.pid}")
            continue
        soon = time.monotonic() - started < READY_SECONDS
        failures = failures + 1 if soon and code >= 0 else 0  # below 0: killed from outside, as often as one likes
        if failures > MAX_RESTARTS:
            raise DemoError(f"the bridge ended {failures} times in a row (exit {code}):\n{bridge.last_lines()}")
        say(console, f"[yellow]the bridge ended (exit {code}); starting it again from its journal[/]")
        started = time.monotonic()
        await bridge.start()
        if await _until_ready(port, bridge, stop):
            say(console, f"the bridge is back: pid {bridge.pid}")


async def _tell_end(plant: Child, stop: asyncio.Event) -> None:
    code = await plant.wait()
    if not stop.is_set():
        raise DemoError(f"the simulated plant ended (exit {code}):\n{plant.last_lines()}")


async def _tell_broker_end(broker: EmbeddedBroker, cuts: Cuts) -> None:
    while True:
        died = await broker.wait_exited()
        if not cuts.broker_is_away:
            raise DemoError(str(died))
        await cuts.until_the_broker_runs()


async def _notice_hangup(stop: asyncio.Event) -> None:
    """Stop when our terminal is gone: where `make` leads the session, it keeps the SIGHUP to itself and waits."""
    while sys.stdout.isatty():  # noqa: ASYNC110 - nothing else tells of it
        await asyncio.sleep(1)
    stop.set()


async def _tally(options: DemoOptions, issue_token: Callable[[Path], str], config: Path, console: Console) -> None:
    """Tell of each event type when it is first delivered to a dashboard."""
    began = time.monotonic()
    seen: set[str] = set()

    def show(frame: Frame) -> None:
        if "offset" not in frame or frame["type"] in seen:
            return
        seen.add(frame["type"])
        after, count = f"{time.monotonic() - began:5.1f} s", f"({len(seen)} of {len(EventType)})"
        say(console, f"  [dim]{after}[/]  {frame['type']} [dim]{count}[/]")

    watch = Watch(
        url=f"ws://127.0.0.1:{options.port}/ws",
        token=lambda: issue_token(config),
        subscriptions=[{"id": "tally", "subscription_type": "line", "target_id": "all"}],
        show=show,
    )
    with contextlib.suppress(asyncio.CancelledError):
        await watch.run()
