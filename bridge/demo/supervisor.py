"""The supervisor of `floor demo`: a broker, the bridge and a simulated plant on this machine, each a process.

The bridge is an ordinary `floor run`: it may be killed at any time, and is restarted from its journal.
"""

import asyncio
import contextlib
import shlex
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from rich.console import Console

from bridge.demo.child import RUN_MODULE, ChildProcess
from bridge.demo.cuts import CutPlayer
from bridge.demo.demo_clock import DemoClock, describe_scale
from bridge.demo.embedded_broker import EmbeddedBroker, EmbeddedBrokerError
from bridge.demo.errors import DemoError
from bridge.demo.folder import JOURNAL, DemoOptions, lock_folder, require_free_port, write_config
from bridge.demo.simulator import SimulatorCommands
from bridge.domain.events import EventType
from bridge.watch.client import Frame, WatchClient

READY_SECONDS: Final = 30.0
MAX_RESTARTS: Final = 5  # in a row, each ended by itself and soon: a bridge that cannot run is reported, not hidden


def print_status(console: Console, text: str, *, wrap: bool = True) -> None:
    """Print, and ignore a closed terminal or pipe: it must not keep us from stopping what we started."""
    with contextlib.suppress(OSError, SystemExit):  # rich ends the program on a broken pipe
        console.print(text, highlight=False, soft_wrap=not wrap)


async def run(options: DemoOptions, *, console: Console, issue_token: Callable[[Path], str]) -> None:
    """Run the demo until SIGINT, SIGTERM or a closed terminal; raise `DemoError` if it cannot run."""
    try:
        with lock_folder(options.folder):
            await _run(options, console=console, issue_token=issue_token)
    except EmbeddedBrokerError as error:
        raise DemoError(str(error)) from error


async def _run(options: DemoOptions, *, console: Console, issue_token: Callable[[Path], str]) -> None:
    terminal = sys.stdout.isatty()
    require_free_port(options.port, "--port", default=8080)
    require_free_port(options.broker_port, "--broker-port", default=11883)
    config = write_config(options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    began = time.monotonic()
    simulator = SimulatorCommands(options.disturb, options.seed, options.folder, options.broker_port)
    await simulator.prepare()
    async with EmbeddedBroker(folder=options.folder / "broker", port=options.broker_port) as broker:
        await simulator.publish_leftovers()
        clock = DemoClock(options.scale, options.folder / JOURNAL)
        command = (*RUN_MODULE, "bridge", "run", "--config", str(config))
        bridge = ChildProcess("bridge", options.folder, *command, environment=clock.anchor_environment)
        plant = ChildProcess(
            "plant",
            options.folder,
            *(*RUN_MODULE, "device_sim", "run", "--broker", f"127.0.0.1:{options.broker_port}"),
            *("--scale", str(options.scale), "--seed", str(options.seed), *simulator.run_options),
        )
        cuts = CutPlayer(simulator.cuts_file, bridge, broker, print_status=lambda text: print_status(console, text))
        try:
            await bridge.start()
            if not await _wait_until_ready(options.port, bridge, stop):
                raise DemoError(f"the bridge did not start (exit {await bridge.wait()}):\n{bridge.last_lines()}")
            await plant.start()
            if not stop.is_set():
                token, trouble = issue_token(config), simulator.describe_profile()
                _print_summary(console, options, broker.kind, bridge, plant, disturbances=trouble, token=token)
            async with asyncio.TaskGroup() as tasks:
                watching = [
                    tasks.create_task(
                        _restart_bridge(bridge, options.port, console, stop, cuts), name="restart-bridge"
                    ),
                    tasks.create_task(_raise_on_simulator_end(plant, stop), name="watch-plant"),
                    tasks.create_task(_raise_on_broker_end(broker, cuts), name="watch-broker"),
                    tasks.create_task(cuts.play(), name="play-cuts"),
                    tasks.create_task(
                        _print_first_deliveries(options, issue_token, config, console), name="first-deliveries"
                    ),
                ]
                if terminal:
                    watching.append(tasks.create_task(_stop_on_hangup(stop), name="watch-hangup"))
                await stop.wait()
                for task in watching:
                    task.cancel()
        finally:
            print_status(console, "stopping")
            await plant.stop()
            await bridge.stop()
    print_status(console, f"stopped after {time.monotonic() - began:.0f} s; the journal stays in {options.folder}")


async def _wait_until_ready(port: int, bridge: ChildProcess, stop: asyncio.Event) -> bool:
    """Wait until the bridge is ready or `stop` is set; return False if the bridge ended first.

    Raise `DemoError` after `READY_SECONDS`.
    """
    ended = asyncio.create_task(bridge.wait(), name="bridge-ended")
    deadline = time.monotonic() + READY_SECONDS
    try:
        while not stop.is_set():
            if ended.done():
                return False
            if await asyncio.to_thread(_is_ready, port):
                return True
            if time.monotonic() > deadline:
                raise DemoError(f"the bridge is not ready after {READY_SECONDS:.0f} s:\n{bridge.last_lines()}")
            await asyncio.sleep(0.1)
    finally:
        ended.cancel()
    return True


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _print_summary(
    console: Console,
    options: DemoOptions,
    broker: str,
    bridge: ChildProcess,
    plant: ChildProcess,
    *,
    disturbances: str | None,
    token: str,
) -> None:
    floor = Path(sys.executable).parent / "floor"
    rows = (
        ("broker", f"{broker} on 127.0.0.1:{options.broker_port}"),
        ("bridge", f"pid {bridge.pid}; after a kill -9 it restarts from its journal; log {bridge.log}"),
        ("plant", f"pid {plant.pid}, simulated, {describe_scale(options.scale)}; log {plant.log}"),
        *(() if disturbances is None else (("faults", disturbances),)),
        ("board", f"http://127.0.0.1:{options.port}/#token={token}"),
        ("token", token),
        ("watch", shlex.join((str(floor), "watch", "--config", str(options.folder / "floor.toml")))),
        ("stop", "Ctrl-C"),
    )
    print_status(console, "[bold green]ready[/]")
    for name, text in rows:
        print_status(console, f"  [bold]{name:<8}[/]{text}", wrap=False)


async def _restart_bridge(
    bridge: ChildProcess, port: int, console: Console, stop: asyncio.Event, cuts: CutPlayer
) -> None:
    failures = 0
    started = time.monotonic()
    while True:
        code = await bridge.wait()
        if stop.is_set():
            return
        if cuts.is_bridge_down:
            await cuts.wait_for_bridge()
            await _start_again(bridge, port, console, stop)
            continue
        soon = time.monotonic() - started < READY_SECONDS
        failures = failures + 1 if soon and code >= 0 else 0  # below 0: killed from outside, any number of times
        if failures > MAX_RESTARTS:
            raise DemoError(f"the bridge ended {failures} times in a row (exit {code}):\n{bridge.last_lines()}")
        print_status(console, f"[yellow]the bridge ended (exit {code}); restarting it from its journal[/]")
        started = time.monotonic()
        await _start_again(bridge, port, console, stop)


async def _start_again(bridge: ChildProcess, port: int, console: Console, stop: asyncio.Event) -> None:
    await bridge.start()
    if await _wait_until_ready(port, bridge, stop):
        print_status(console, f"the bridge runs again: pid {bridge.pid}")


async def _raise_on_simulator_end(plant: ChildProcess, stop: asyncio.Event) -> None:
    code = await plant.wait()
    if not stop.is_set():
        raise DemoError(f"the simulated plant ended (exit {code}):\n{plant.last_lines()}")


async def _raise_on_broker_end(broker: EmbeddedBroker, cuts: CutPlayer) -> None:
    while True:
        died = await broker.wait_exited()
        if not cuts.is_broker_down:
            raise DemoError(str(died))
        await cuts.wait_for_broker()


async def _stop_on_hangup(stop: asyncio.Event) -> None:
    """Set `stop` when the terminal is gone: as the session leader, `make` does not pass on SIGHUP, and waits."""
    while sys.stdout.isatty():  # noqa: ASYNC110 - no event signals it
        await asyncio.sleep(1)
    stop.set()


async def _print_first_deliveries(
    options: DemoOptions, issue_token: Callable[[Path], str], config: Path, console: Console
) -> None:
    """Print each event type when it is first delivered to a dashboard."""
    began = time.monotonic()
    seen: set[str] = set()

    def show(frame: Frame) -> None:
        if "offset" not in frame or frame["type"] in seen:
            return
        seen.add(frame["type"])
        after, count = f"{time.monotonic() - began:5.1f} s", f"({len(seen)} of {len(EventType)})"
        print_status(console, f"  [dim]{after}[/]  {frame['type']} [dim]{count}[/]")

    watch = WatchClient(
        url=f"ws://127.0.0.1:{options.port}/ws",
        token=lambda: issue_token(config),
        subscriptions=[{"id": "demo", "subscription_type": "line", "target_id": "all"}],
        on_frame=show,
    )
    with contextlib.suppress(asyncio.CancelledError):
        await watch.run()
