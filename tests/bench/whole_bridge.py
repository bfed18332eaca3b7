"""The whole bridge as an operator starts it: reports and presses through a real Mosquitto, events to dashboards.

Two compiled publishers send reports of all lines and presses of Andon stations at QoS 1; the compiled reader has the
dashboards, unbatched as those of ten lines. A press has in its description the time at which it is due, and each raises
a call of its own, so that its latency is that of its one event.
"""

import asyncio
import contextlib
import re
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tests.bench.dashboards import EVERYTHING, front_handshake
from tests.bench.ingest import FIRST_SECONDS, ROOT, WINDOW, ingest_reports
from tests.bench.judgement import judge
from tests.bench.large_journal import LINES_OF_AN_AREA
from tests.bench.processes import (
    Meter,
    Talking,
    all_ready,
    compile_program,
    running_reader,
    talking,
    write_records,
)
from tests.bench.rows import END_TO_END, FigureRow, Latencies
from tests.support.bridge_process import PROGRAM, BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, mosquitto_broker, running

HALF: Final = 0.5  # of a core
PROBED_RATES: Final = (50, 400)  # reports a second, between or near which a bridge takes half of a core
LINES: Final = 125  # half of those of `ingest.py`
EVENT: Final = '"schema_version":1,"id":"'  # in every event once, and in no other frame
PRESSES_PER_SECOND: Final = 47  # not in step with the reports
ANDON_TYPES: Final = ("equipment", "maintenance", "process", "quality")
SAMPLED: Final = 10
PREPARING_SECONDS: Final = 1.0
SETTLED_SECONDS: Final = 0.5
DRAIN_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.05
STEP: Final = 1_000_000  # ns: what publish.c sends together
OFFSET: Final = re.compile(r"^floor_pipeline_offset (\S+)$", re.MULTILINE)
CONFLATED: Final = re.compile(r'^floor_dashboard_events_total\{outcome="conflated",[^}]*\} (\S+)$', re.MULTILINE)

AREA: Final = """
[[areas]]
id = "A{area}"
site = "S1"
"""
LINE: Final = """
[[lines]]
id = "L{line}"
area = "A{area}"
total_from = ["M1"]
ideal_cycle_seconds = 1.0
equipment = [{{ id = "M1", ideal_cycle_seconds = 1.0 }}, {{ id = "desk", kind = "station" }}]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeLoad:
    """Reports per second to a bridge with so many dashboards that see everything.

    What comes in the first `FIRST_SECONDS` of `seconds` is not measured. `fronts`: None for one process, as `floor run`
    starts it, else a pipeline and so many fronts beside it, of which one has the dashboards.
    """

    rate: int
    seconds: int
    dashboards: int
    fronts: int | None = None
    lines: int = LINES

    @property
    def presses(self) -> int:
        return int(PRESSES_PER_SECOND * (self.seconds - FIRST_SECONDS))


async def measure_whole_bridge(folder: Path, load: WholeLoad) -> FigureRow:
    """Offer the load; raise AssertionError if an event does not come to a dashboard, or comes twice."""
    handshakes = [front_handshake(n, *EVERYTHING.filter_sets, coalescing_ms=0) for n in range(load.dashboards)]
    with running(mosquitto_broker(folder)) as broker:
        plant = write_plant(folder, load.lines)
        async with bridge_process(folder, broker, plant=plant, fronts=load.fronts, launcher=PROGRAM) as bridge:
            front = bridge if load.fronts is None else bridge.front
            async with running_reader(folder, front.port, handshakes, sampled=SAMPLED, counted=EVENT) as reader:
                await all_ready(reader, load.dashboards)
                reader.tell("reset")
                await asyncio.sleep(SETTLED_SECONDS)
                return await _offer(load, folder, broker, bridge, reader)


async def half_load_rate(dashboards: int, *, seconds: int) -> int:
    """Return the reports per second at which a bridge in one process takes half of a core with all that it does.

    It is interpolated between two rates, each offered for so many seconds, to so many dashboards.
    """
    cores = []
    for rate in PROBED_RATES:
        with tempfile.TemporaryDirectory() as folder:
            row = await measure_whole_bridge(Path(folder), WholeLoad(rate=rate, seconds=seconds, dashboards=dashboards))
        cores.append(row.figures["bridge_cores"])
    return interpolated_rate(cores)


def interpolated_rate(cores: Sequence[float]) -> int:
    """Return the rate for `HALF`, by the processor time at `PROBED_RATES`; not below the first of them.

    Between them it is interpolated by the logarithm of the rate: the more reports, the more of them share an event.
    Beyond them it is proportional, as nothing more is shared.
    """
    (low, high), (least, most) = PROBED_RATES, cores
    part = max(0.0, HALF - least) / max(most - least, 0.01)
    return round(low * (high / low) ** part if part < 1 else low + (high - low) * part)


async def _offer(
    load: WholeLoad, folder: Path, broker: RunningBroker, bridge: BridgeProcess, reader: Talking
) -> FigureRow:
    first = await _offset(bridge)
    assert broker.process is not None
    servers = bridge_pids(bridge)
    pids = {**servers, "broker": broker.process.pid, "reader": reader.pid}
    async with _publishing(load, folder, broker) as (start, publishers):
        await _sleep_until(start + int(FIRST_SECONDS * 1e9))
        meter = Meter(pids)
        before = await reader.ask("print")
        await _sleep_until(start + load.seconds * 10**9)
        usage = meter.read()
        counts = await reader.ask("print")
        published = [await publisher.answer() for publisher in publishers]
    ended = time.monotonic()
    last = await _all_delivered(bridge, reader, load, first)
    late = time.monotonic() - ended
    assert [each["messages"] for each in published] == [load.rate * load.seconds, load.presses], published
    cores = {**usage.cores, "publishers": sum(each["cpu_seconds"] / each["seconds"] for each in published)}
    waited = max(usage.waited[part] for part in servers)
    judgement = judge(cores, servers.keys(), waited=waited, late_seconds=late)
    per_second = (counts["events"] - before["events"]) / usage.seconds
    name = "one process" if load.fronts is None else "two processes"
    return FigureRow(
        name=f"{name}, {load.dashboards} dashboards",
        fed_by=END_TO_END,
        note=f"{load.rate:,} reports a second from {load.lines} lines",
        judgement=judgement,
        figures={
            "reports_per_second": load.rate,
            "events_per_second": per_second / load.dashboards,
            "deliveries_per_second": per_second,
            "conflated_part": last["conflated"] / (last["events"] + last["conflated"]),
            "presses": load.presses,
            **({} if judgement.invalid else Latencies(**last["alarms"]).figures("press")),
            **{f"{part}_cores": taken for part, taken in cores.items()},
            "waited": waited,
            **{f"deliveries_per_cpu_s_{part}": per_second / cores[part] for part in servers},
            "deliveries_per_cpu_s_all": per_second / sum(cores[part] for part in (*servers, "broker")),
        },
    )


def bridge_pids(bridge: BridgeProcess) -> dict[str, int]:
    """Return the processes of a bridge by their part."""
    processes = {"bridge": bridge} if not bridge.fronts else {"pipeline": bridge, "front": bridge.front}
    return {part: each.process.pid for part, each in processes.items() if each.process is not None}


@contextlib.asynccontextmanager
async def _publishing(
    load: WholeLoad, folder: Path, broker: RunningBroker
) -> AsyncIterator[tuple[int, tuple[Talking, Talking]]]:
    """Have reports published from a time on (ns of CLOCK_MONOTONIC), and presses from the measured part on."""
    program = compile_program("publish", folder)
    messages = islice(ingest_reports(load.lines), load.rate * load.seconds)
    parts = (part for topic, payload in messages for part in (f"{ROOT}/{topic}".encode(), payload))
    reports = write_records(folder / "reports", parts)
    start = time.monotonic_ns() + int(PREPARING_SECONDS * 1e9)
    first_press = start + int(FIRST_SECONDS * 1e9)
    pressed = presses(lines=load.lines, numbers=range(load.presses), rate=PRESSES_PER_SECOND, start=first_press)
    press_records = write_records(folder / "presses", (part for message in pressed for part in message))
    port, window = str(broker.port), str(WINDOW)
    async with (
        talking(program, port, reports, str(load.rate), window, str(start)) as reporting,
        talking(program, port, press_records, str(PRESSES_PER_SECOND), window, str(first_press)) as pressing,
    ):
        yield start, (reporting, pressing)


def presses(*, lines: int, numbers: range, rate: int, start: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the presses of these numbers, line after line, `rate` a second from `start` on, in ns of CLOCK_MONOTONIC.

    Each has the time at which it is due in its description. After its fourth a station has an open call of each type.
    """
    assert numbers.stop <= lines * len(ANDON_TYPES)
    for place, number in enumerate(numbers):
        turn, line = divmod(number, lines)
        due = start + -(-place * 10**9 // rate // STEP) * STEP
        topic = f"{ROOT}/report/S1/A{line // LINES_OF_AN_AREA}/L{line}/desk/andon"
        body = '{"boot_id":1,"seq":%d,"action":"raise","andon_type":"%s","description":"@mono:a%019d"}'
        yield topic.encode(), (body % (turn, ANDON_TYPES[turn], due)).encode()


def write_plant(folder: Path, lines: int) -> Path:
    path = folder / "plant.toml"
    areas = (AREA.format(area=area) for area in range(-(-lines // LINES_OF_AN_AREA)))
    all_lines = (LINE.format(line=line, area=line // LINES_OF_AN_AREA) for line in range(lines))
    path.write_text("".join(('name = "bench"\n', *areas, *all_lines)))
    return path


async def _all_delivered(bridge: BridgeProcess, reader: Talking, load: WholeLoad, first: int) -> Any:
    """Wait until the dashboards have the presses, and all that was committed since `first`; return the reader's counts.

    What was conflated for them counts as `conflated`, and was not sent.
    """
    deadline = time.monotonic() + DRAIN_SECONDS
    presses = load.presses * min(load.dashboards, SAMPLED)
    while True:
        least = await _offset(bridge) - first
        counts = await reader.ask("print")
        conflated = await _sum(bridge.fronts[0] if bridge.fronts else bridge, CONFLATED)
        had = counts["events"] + conflated
        if counts["alarms"]["count"] >= presses and had >= least * load.dashboards:
            assert counts["alarms"]["count"] == presses, counts
            assert had <= (await _offset(bridge) - first) * load.dashboards, (counts, conflated)
            return {**counts, "conflated": conflated}
        assert time.monotonic() < deadline, (least, conflated, counts)
        await asyncio.sleep(LOOK_SECONDS)


async def _offset(bridge: BridgeProcess) -> int:
    """Return the offset of the last event in the journal."""
    return await _sum(bridge, OFFSET)


async def _sum(process: BridgeProcess, metric: re.Pattern[str]) -> int:
    """Return the sum of the samples of a process that the pattern finds."""
    return int(sum(map(float, metric.findall(await asyncio.to_thread(process.metrics)))))


async def _sleep_until(due: int) -> None:
    await asyncio.sleep((due - time.monotonic_ns()) / 1e9)
