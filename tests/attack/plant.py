"""A plant that works while its bridge is attacked: Mosquitto, `floor run`, reports, presses, honest dashboards."""

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.request import Request, urlopen

from tests.attack.attackers import MODEST, attacking
from tests.attack.budgets import increases
from tests.attack.measurement import Bounds, Histogram, Measurement, Phase
from tests.attack.probe import PATIENCE_SECONDS, visiting
from tests.attack.served_bridge import ServedBridge, modest_sink, served_bridge
from tests.attack.shape import Shape
from tests.bench.dashboards import front_handshake
from tests.bench.ingest import ROOT, WINDOW, ingest_reports
from tests.bench.processes import (
    Meter,
    Talking,
    Usage,
    all_ready,
    compile_program,
    open_descriptors,
    resident_bytes,
    running_reader,
    talking,
    write_records,
)
from tests.bench.whole_bridge import ANDON_TYPES, presses, write_plant
from tests.support.bridge_process import BridgeProcess
from tests.support.brokers import RunningBroker, mosquitto_broker, running
from tests.support.bytes_dashboard import connect, encoded
from tests.support.tokens import bearer, token

DASHBOARDS: Final = 50
OF_ALL_LINES: Final = 10  # of them; each of the others watches a line
REPORTS_PER_SECOND: Final = 500  # that make some 500 events
LIFE_SECONDS: Final = 120  # of a plant, at most
SETTLING_SECONDS: Final = 2.0
STARTING_SECONDS: Final = 0.2  # from the attack to the first press
DRAIN_SECONDS: Final = 10.0  # for the alarms that are late: those after it are missing
LOOK_SECONDS: Final = 0.1
LOST: Final = "broker.lost"  # docs/operations.md
OFFSET: Final = re.compile(r"^floor_pipeline_offset (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How long a shape is measured, without an attack and with it, and beside what plant."""

    lines: int
    presses_per_second: int
    baseline_seconds: int
    attack_seconds: int
    bounds: Bounds

    @property
    def shapes_of_a_plant(self) -> int:
        """Return how many shapes are measured before every station has an open call of every type."""
        seconds = self.baseline_seconds + self.attack_seconds
        return self.lines * len(ANDON_TYPES) // (seconds * self.presses_per_second)


WHOLE: Final = Form(
    lines=200,
    presses_per_second=40,
    baseline_seconds=4,
    attack_seconds=7,
    bounds=Bounds(percent=99, times=1.5, ready_seconds=1.0, on_any_machine=False),
)
QUICK: Final = Form(
    lines=200,
    presses_per_second=16,
    baseline_seconds=3,
    attack_seconds=4,
    bounds=Bounds(percent=95, times=3.0, ready_seconds=PATIENCE_SECONDS, on_any_machine=True),
)


@dataclass(slots=True, kw_only=True)
class Plant:
    """A bridge to attack, and all that is honest around it; `programs` is the folder of the compiled ones."""

    form: Form
    folder: Path
    programs: Path
    broker: RunningBroker
    served: ServedBridge
    reader: Talking
    epoch: str
    pressed: int = 0  # how often, at all stations

    async def measure(self, shape: Shape) -> Measurement:
        """Attack a server beside the bridge, and then the bridge."""
        began, first = time.monotonic(), self._offset(await self._metrics())
        async with modest_sink(self.programs, self.served.tls) as port:
            baseline = await self._phase(shape, port, self.form.baseline_seconds)
        before = await self._metrics()
        events = (self._offset(before) - first) / (time.monotonic() - began)
        lost = self.bridge.log().count(LOST)
        async with _largest_sizes(self._pid) as (smallest, largest):
            seconds = max(self.form.attack_seconds, shape.seconds)
            attack = await self._phase(shape, self.served.attacked_port, seconds)
        after = await self._metrics()
        return Measurement(
            shape=shape,
            baseline=baseline,
            attack=attack,
            events_per_second=events,
            links_lost=self.bridge.log().count(LOST) - lost,
            dashboards_lost=(await self.reader.ask("print"))["closed"],
            has_ended=self._has_ended,
            grown_bytes=largest["bytes"] - smallest,
            descriptors=largest["descriptors"],
            counters=increases(before, after),
        )

    @property
    def bridge(self) -> BridgeProcess:
        return self.served.process

    @property
    def _pid(self) -> int:
        assert self.bridge.process is not None
        return self.bridge.process.pid

    @property
    def _has_ended(self) -> bool:
        return self.bridge.process is None or self.bridge.process.returncode is not None

    async def _phase(self, shape: Shape, port: int, seconds: int) -> Phase:
        """Have stations pressed for so many seconds beside the attack; wait then for alarms that are late."""
        numbers = range(self.pressed, self.pressed + seconds * self.form.presses_per_second)
        self.pressed = numbers.stop
        former = await self._alarms()
        assert self.broker.process is not None
        pids = {"bridge": self._pid, "broker": self.broker.process.pid, "reader": self.reader.pid}
        async with asyncio.TaskGroup() as tasks, contextlib.AsyncExitStack() as stack:
            attackers = [
                await stack.enter_async_context(
                    attacking(self.programs, attack, port, name=f"records-{at}", wrapper=MODEST)
                )
                for at, attack in enumerate(shape.attacks)
            ]
            visits = tasks.create_task(visiting(self.bridge.port, self.served.health_port, seconds))
            start = time.monotonic_ns() + int(STARTING_SECONDS * 1e9)
            pressing = await stack.enter_async_context(self._pressing(numbers, start))
            meter = Meter(pids)
            await asyncio.sleep((start - time.monotonic_ns()) / 1e9 + seconds)
            usage = Usage(seconds, {}, {}) if self._has_ended else meter.read()
            counts = [await attacker.counts() for attacker in attackers]
            published = await pressing.answer()
        assert published["messages"] == len(numbers), published
        expected = sum(_watchers(number % self.form.lines, self.form.lines) for number in numbers)
        return Phase(
            latencies=await self._all_alarms(former, expected),
            expected=expected,
            visits=visits.result(),
            attackers=counts,
            cores=usage.cores,
            waited=usage.waited.get("bridge", 0.0),
        )

    @contextlib.asynccontextmanager
    async def _pressing(self, numbers: range, start: int) -> AsyncIterator[Talking]:
        rate = self.form.presses_per_second
        messages = presses(lines=self.form.lines, numbers=numbers, rate=rate, start=start)
        records = write_records(self.folder / "presses", (part for message in messages for part in message))
        program = compile_program("publish", self.programs)
        async with talking(program, str(self.broker.port), records, str(rate), str(WINDOW), str(start)) as publisher:
            yield publisher

    async def _alarms(self) -> Histogram:
        """Return all alarms that came so far."""
        return Counter(dict(await self.reader.ask("alarms")))

    async def _all_alarms(self, former: Histogram, expected: int) -> Histogram:
        """Return what came since, once that is all and no more follows, or after `DRAIN_SECONDS`."""
        came, deadline = Histogram(), time.monotonic() + DRAIN_SECONDS
        while not self._has_ended and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_SECONDS)
            former_look, came = came, await self._alarms() - former
            if came.total() >= expected and came == former_look:
                break
        return came

    async def _metrics(self) -> str:
        """Return the metrics of the bridge; empty if it does not answer."""
        url = f"http://127.0.0.1:{self.bridge.port}/metrics"

        def scrape() -> str:
            with contextlib.suppress(OSError), urlopen(Request(url, headers=bearer()), timeout=10) as answer:
                return str(answer.read().decode())
            return ""

        return await asyncio.to_thread(scrape)

    @staticmethod
    def _offset(metrics: str) -> float:
        return sum(map(float, OFFSET.findall(metrics)))


@contextlib.asynccontextmanager
async def running_plant(
    folder: Path,
    programs: Path,
    form: Form,
    *,
    descriptors: int | None,
    settings: Mapping[str, str] = {},
    tls: bool = False,
) -> AsyncIterator[Plant]:
    """Run a plant in `folder` at some 500 events a second.

    `descriptors`: of the bridge, None: as many as there are. `settings`: environment variables of the bridge.
    `tls`: whether it has HTTPS.
    """
    handshakes = [
        front_handshake(number, _filters(number, form.lines), coalescing_ms=0) for number in range(DASHBOARDS)
    ]
    with running(mosquitto_broker(folder)) as broker:
        plant = write_plant(folder, form.lines)
        async with (
            served_bridge(folder, broker, plant, descriptors=descriptors, settings=settings, tls=tls) as served,
            running_reader(programs, served.process.port, handshakes, sampled=DASHBOARDS) as reader,
            _reporting(folder, programs, broker, form.lines),
        ):
            await all_ready(reader, DASHBOARDS)
            epoch = await _epoch(served.process.port)
            await asyncio.sleep(SETTLING_SECONDS)
            yield Plant(
                form=form,
                folder=folder,
                programs=programs,
                broker=broker,
                served=served,
                reader=reader,
                epoch=epoch,
            )


def _filters(dashboard: int, lines: int) -> Sequence[str]:
    return ["#"] if dashboard < OF_ALL_LINES else [f"+/+/L{_line_of(dashboard, lines)}/#"]


def _line_of(dashboard: int, lines: int) -> int:
    return (dashboard - OF_ALL_LINES) * lines // (DASHBOARDS - OF_ALL_LINES)


def _watchers(line: int, lines: int) -> int:
    """Return how many dashboards see this line."""
    return OF_ALL_LINES + sum(_line_of(number, lines) == line for number in range(OF_ALL_LINES, DASHBOARDS))


@contextlib.asynccontextmanager
async def _reporting(folder: Path, programs: Path, broker: RunningBroker, lines: int) -> AsyncIterator[None]:
    """Have reports published until the end of the block."""
    messages = islice(ingest_reports(lines), REPORTS_PER_SECOND * LIFE_SECONDS)
    parts = (part for topic, payload in messages for part in (f"{ROOT}/{topic}".encode(), payload))
    records = write_records(folder / "reports", parts)
    numbers = map(str, (REPORTS_PER_SECOND, WINDOW, time.monotonic_ns()))
    async with talking(compile_program("publish", programs), str(broker.port), records, *numbers):
        yield


async def _epoch(port: int) -> str:
    board = await connect(port, encoded({"type": "auth", "token": token()}))
    answer = await board.receive("auth_ok")
    board.abort()
    return str(answer["streams"]["main"]["epoch"])


@contextlib.asynccontextmanager
async def _largest_sizes(pid: int) -> AsyncIterator[tuple[int, Mapping[str, int]]]:
    """Yield the resident bytes of a process, and its most `bytes` and open `descriptors` until the end of the block."""
    smallest = resident_bytes(pid)
    largest = {"bytes": smallest, "descriptors": 0}

    async def follow() -> None:
        with contextlib.suppress(OSError):  # it has ended
            while True:
                largest["bytes"] = max(largest["bytes"], resident_bytes(pid))
                largest["descriptors"] = max(largest["descriptors"], open_descriptors(pid))
                await asyncio.sleep(LOOK_SECONDS)

    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(follow(), name="sizes")
        try:
            yield smallest, largest
        finally:
            following.cancel()
