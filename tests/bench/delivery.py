"""One run of events to dashboards: a server on a real port, compiled readers, and the processor time of each."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from tests.bench.dashboards import EVERYTHING, Audience, front_handshake, mqtt_handshake
from tests.bench.load import Load, position_samples, topics
from tests.bench.npm import installed_modules
from tests.bench.processes import (
    Handshake,
    Server,
    Talking,
    all_ready,
    compile_program,
    cpu_seconds,
    python_server,
    running_reader,
    talking,
    waiting_seconds,
    write_records,
)
from tests.bench.rows import END_TO_END, IN_PROCESS, DeliveryRow, Latencies
from tests.support.brokers import free_port, mosquitto_broker, running
from tests.support.bytes_dashboard import UPGRADE

FEEDING_SECONDS: Final = 2.0  # after the end, to ask the feeder how late it was, unless the server is saturated
GRACE_SECONDS: Final = 0.3  # after the last event is due: what is not there by then is late
PREPARING_SECONDS: Final = 0.5  # and per event
PREPARING_SECONDS_EACH: Final = 100e-6
STALLING_RATE: Final = 2_000  # events a second: the buffers of a stalled dashboard hold some 3,000
STALLING_SECONDS: Final = 10
WS_VERSION: Final = "8.18.3"
WS_PROGRAM: Final = Path(__file__).parent / "servers" / "ws.js"

MOSQUITTO_CONF: Final = """\
listener {port} 127.0.0.1
listener {web_port} 127.0.0.1
protocol websockets
allow_anonymous true
user root
persistence false
max_queued_messages 100000
log_type error
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is measured, and by whom it is served: `front`, `floor`, `mosquitto`, `textbook` or `ws`.

    The last `stalled` dashboards want everything and read nothing. Only the front says whether they are behind.
    """

    server: str
    load: Load
    dashboards: int
    coalescing_ms: int = 0
    audience: Audience = EVERYTHING
    stalled: int = 0
    sampled: int = 10
    warms_up: bool = True
    grace_seconds: float = GRACE_SECONDS

    def filters_of(self, number: int) -> Sequence[str]:
        """Return what a dashboard wants."""
        is_stalled = number >= self.dashboards - self.stalled
        return (EVERYTHING if is_stalled else self.audience).filters_of(number)

    def offered(self) -> int:
        """Return the sum of what each dashboard that reads wants of the load."""
        wanted = self.audience.wanted(topics(self.load))
        return sum(wanted[number % len(wanted)] for number in range(self.dashboards - self.stalled))


async def measure(run: Run, folder: Path) -> DeliveryRow:
    """Run it once: all dashboards connect, a small load warms the server up, then the measured one follows.

    Raise AssertionError unless the stalled dashboards, and no others, are behind before it and at its end.
    """
    assert run.server == "front" or not run.stalled, f"{run.server} does not say which dashboards are stalled"
    async with _serving(run, folder) as server, _reading(run, server, folder) as reader:
        await all_ready(reader, run.dashboards)
        if run.warms_up:
            await _offer_a_second(run, run.load.rate // 10, server, reader, folder)
        if run.stalled:
            await _stall(run, server, reader, folder)
        row = await _offer(run, server, reader, folder)
        if run.stalled:
            await _settle(run, reader)
            await _assert_stalled(run, server)
        return row


async def _offer_a_second(run: Run, rate: int, server: Server, reader: Talking, folder: Path) -> None:
    async with _feeding(server, replace(run.load, rate=rate, seconds=1), folder) as (_, feeding):
        await feeding
    await _settle(run, reader)


async def _stall(run: Run, server: Server, reader: Talking, folder: Path) -> None:
    """Offer events until the buffers to the stalled dashboards are full."""
    for _ in range(STALLING_SECONDS):
        await _offer_a_second(run, STALLING_RATE, server, reader, folder)
        if await _behind(server) >= run.stalled:
            break
    await _assert_stalled(run, server)


async def _assert_stalled(run: Run, server: Server) -> None:
    behind = await _behind(server)
    assert behind == run.stalled, f"{behind} dashboards are behind, and {run.stalled} do not read"


async def _behind(server: Server) -> int:
    return int((await server.statistics())["catching_up"])


async def _settle(run: Run, reader: Talking) -> None:
    """Wait until nothing more comes of what was offered."""
    before, counts = -1, await reader.ask("print")
    while counts["events"] != before:
        await asyncio.sleep(GRACE_SECONDS + run.coalescing_ms / 1_000)
        before, counts = counts["events"], await reader.ask("print")


@contextlib.asynccontextmanager
async def _serving(run: Run, folder: Path) -> AsyncIterator[Server]:
    match run.server:
        case "front":
            async with python_server("front", "", "{}") as server:
                yield server
        case "textbook":
            async with python_server("textbook") as server:
                yield server
        case "floor":
            async with python_server("floor", str(run.coalescing_ms)) as server:
                yield server
        case "ws":
            modules = await asyncio.to_thread(installed_modules, "ws", WS_VERSION)
            async with talking("node", WS_PROGRAM, modules, _write_events(folder)) as process:
                yield Server("ws", process.pid, await process.answer(), process)
        case "mosquitto":
            web_port = free_port()
            with running(mosquitto_broker(folder, conf=MOSQUITTO_CONF.replace("{web_port}", str(web_port)))) as broker:
                assert broker.process is not None
                yield Server("mosquitto", broker.process.pid, web_port, mqtt_port=broker.port)
        case unknown:
            raise ValueError(unknown)


def _reading(run: Run, server: Server, folder: Path) -> contextlib.AbstractAsyncContextManager[Talking]:
    wanted = [run.filters_of(number) for number in range(run.dashboards)]
    match run.server:
        case "front":
            dashboards = [front_handshake(*item, coalescing_ms=run.coalescing_ms) for item in enumerate(wanted)]
        case "mosquitto":
            dashboards = [mqtt_handshake(*item) for item in enumerate(wanted)]
        case "textbook":
            dashboards = [Handshake(UPGRADE, awaited=b"ready")] * run.dashboards
        case _:
            dashboards = [Handshake(UPGRADE)] * run.dashboards
    return running_reader(folder, server.port, dashboards, sampled=run.sampled, stalled=run.stalled)


async def _offer(run: Run, server: Server, reader: Talking, folder: Path) -> DeliveryRow:
    """Offer the load and count what came until `grace_seconds` after its end."""
    load, offered = run.load, run.offered()
    wall = load.seconds + run.grace_seconds + run.coalescing_ms / 1_000
    pids = {run.server: server.pid, "reader": reader.pid}
    reader.tell("reset")  # here, for on a busy machine this process may sleep until after the start
    await reader.ask("print")
    async with _feeding(server, load, folder) as (start, feeding):
        await _sleep_until(start - 10_000_000)
        before = {part: cpu_seconds(pid) for part, pid in pids.items()}
        waited = waiting_seconds(server.pid)
        await _sleep_until(start + int(wall * 1e9))
        counts = await reader.ask("print")
        cores = {part: (cpu_seconds(pid) - before[part]) / wall for part, pid in pids.items()}
        waited = waiting_seconds(server.pid) - waited
        await asyncio.wait([feeding], timeout=FEEDING_SECONDS)
        fed = feeding.result() if feeding.done() else {}  # a saturated server is still being fed
    if "cpu_seconds" in fed:
        cores["publisher"] = fed["cpu_seconds"] / wall
    return DeliveryRow(
        server=run.server,
        fed_by=END_TO_END if server.talking is None else IN_PROCESS,
        dashboards=run.dashboards,
        load=load,
        coalescing_ms=run.coalescing_ms,
        filters=min(run.dashboards, len(run.audience.filter_sets)),
        stalled=run.stalled,
        offered=offered,
        delivered=counts["events"],
        bytes=counts["bytes"],
        cpu_seconds=cores[run.server] * wall,
        cores=cores,
        waited=waited / wall,
        late_ms=fed.get("late_ms"),
        telemetry=Latencies(**counts["telemetry"]),
        alarms=Latencies(**counts["alarms"]) if load.alarms else None,
    )


@contextlib.asynccontextmanager
async def _feeding(server: Server, load: Load, folder: Path) -> AsyncIterator[tuple[int, "asyncio.Task[Any]"]]:
    """Have the load sent from a time on (ns of CLOCK_MONOTONIC); the task returns what the feeder says at its end."""
    preparing = PREPARING_SECONDS + load.rate * load.seconds * PREPARING_SECONDS_EACH
    start = time.monotonic_ns() + int(preparing * 1e9)
    async with contextlib.AsyncExitStack() as stack:
        feeder = server.talking
        if feeder is None:
            numbers = map(str, (load.rate, load.batch_ms, start, load.seconds))
            flood, events = compile_program("flood", folder), _write_events(folder)
            feeder = await stack.enter_async_context(talking(flood, str(server.mqtt_port), events, *numbers))
        else:
            fields = {"do": "feed", "load": asdict(load)}
            while not (await feeder.ask(json.dumps({**fields, "start": start})))["in_time"]:
                preparing *= 2
                start = time.monotonic_ns() + int(preparing * 1e9)
        feeding = asyncio.create_task(feeder.answer())
        stack.callback(feeding.cancel)
        yield start, feeding


def _write_events(folder: Path) -> Path:
    """Write the topic and the body of each event, for what sends them over and over."""
    parts = (part for event in position_samples() for part in (str(event.topic).encode(), event.body))
    return write_records(folder / "events", parts)


async def _sleep_until(due: int) -> None:
    await asyncio.sleep((due - time.monotonic_ns()) / 1e9)
