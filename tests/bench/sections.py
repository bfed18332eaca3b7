"""Sections of the benchmark, each with its rows. To add one: a function here, and its name in `SECTIONS`."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, Protocol

from tests.bench.connections import DASHBOARDS, QUICK_DASHBOARDS, measure_idle, measure_storm
from tests.bench.dashboards import MIXED
from tests.bench.delivery import Run, measure
from tests.bench.fanout import fanout_runs
from tests.bench.ingest import IngestLoad, Reader, measure_ingest
from tests.bench.load import Load
from tests.bench.node_red import measure_node_red
from tests.bench.npm import NotInstalled
from tests.bench.press import measure_presses
from tests.bench.rows import END_TO_END, IN_PROCESS, JOURNAL, DeliveryRow, FigureRow, Row
from tests.bench.scale import journal, lines, matching
from tests.bench.whole_bridge import WholeLoad, half_load_rate, measure_whole_bridge


class Section(Protocol):
    def __call__(self, *, quick: bool) -> AsyncIterator[Row]:
        """Yield the rows as they are measured; if `quick`, those of the short form."""


MIXED_LOAD: Final = Load(rate=2_000, seconds=10, alarms=True)
AUDIENCE_SIZES: Final = (10, 100)  # dashboards beside the whole bridge
QUICK_MIXED_LOAD: Final = Load(rate=400, seconds=2, alarms=True)


async def fanout(*, quick: bool) -> AsyncIterator[Row]:
    missing: set[str] = set()
    for run in fanout_runs(quick=quick):
        if run.server in missing:
            continue
        try:
            yield await _measure(run)
        except NotInstalled as error:
            missing.add(run.server)
            yield FigureRow(name=run.server, figures={}, fed_by=IN_PROCESS, note=f"not measured: {error}")


async def mixed(*, quick: bool) -> AsyncIterator[Row]:
    """Yield telemetry and alarms to a plant's dashboards; then the same while 5 % of them do not read."""
    load, dashboards = (QUICK_MIXED_LOAD, 200) if quick else (MIXED_LOAD, 1_000)
    for stalled in (0, dashboards // 20):
        yield await _measure(
            Run(server="front", load=load, dashboards=dashboards, audience=MIXED, stalled=stalled, sampled=50)
        )


async def _measure(run: Run) -> DeliveryRow:
    with tempfile.TemporaryDirectory() as folder:
        return await measure(run, Path(folder))


async def idle(*, quick: bool) -> AsyncIterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        yield await measure_idle(QUICK_DASHBOARDS if quick else DASHBOARDS, Path(folder))


async def storm(*, quick: bool) -> AsyncIterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        yield await measure_storm(QUICK_DASHBOARDS if quick else DASHBOARDS, Path(folder))


async def match(*, quick: bool) -> AsyncIterator[Row]:
    for count in matching.QUICK_COUNTS if quick else matching.COUNTS:
        figures = await _apart(partial(matching.measure_matching, count))
        yield FigureRow(name=f"{count:,} subscriptions", figures=figures, fed_by="topics in memory")


async def plant_lines(*, quick: bool) -> AsyncIterator[Row]:
    for count in lines.QUICK_SIZES if quick else lines.SIZES:
        figures = await _apart(partial(lines.measure_lines, count))
        yield FigureRow(name=f"{count:,} lines", figures=figures, fed_by="reports in memory")


async def journal_size(*, quick: bool) -> AsyncIterator[Row]:
    for events in journal.QUICK_SIZES if quick else journal.SIZES:
        with tempfile.TemporaryDirectory() as folder:
            figures = await _apart(partial(journal.measure_journal, Path(folder) / "journal.db", events))
        yield FigureRow(name=f"{events:,} events", figures=figures, fed_by=JOURNAL)


async def reports(*, quick: bool) -> AsyncIterator[Row]:
    """Yield a pipeline's rows: durable, synchronisation off, with the stock client; then Node-RED."""
    load = _ingest_load(quick=quick)
    variants: tuple[tuple[bool, Reader], ...] = ((True, "one-pass"), (False, "one-pass"), (True, "paho"))
    for durable, reader in variants:
        with tempfile.TemporaryDirectory() as folder:
            yield (await measure_ingest(Path(folder), load, durable=durable, reader=reader)).as_figures()
    if quick:
        return
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield await measure_node_red(Path(folder))
    except NotInstalled as error:
        yield FigureRow(name="Node-RED", figures={}, fed_by=END_TO_END, note=f"not measured: {error}")


def _ingest_load(*, quick: bool) -> IngestLoad:
    return IngestLoad(rate=2_000, seconds=4) if quick else IngestLoad()


async def end_to_end(*, quick: bool) -> AsyncIterator[Row]:
    """Yield presses on an idle plant; then presses and events while the bridge takes half of a core."""
    for row in await measure_presses(50 if quick else 150):
        yield row
    seconds = 4 if quick else 12
    rate = await half_load_rate(max(AUDIENCE_SIZES), seconds=seconds)
    for dashboards in AUDIENCE_SIZES:
        for fronts in (None, 1):
            load = WholeLoad(rate=rate, seconds=seconds, dashboards=dashboards, fronts=fronts)
            with tempfile.TemporaryDirectory() as folder:
                yield await measure_whole_bridge(Path(folder), load)


async def _apart(work: Callable[[], Mapping[str, Any]]) -> dict[str, float]:
    """Return the figures that `work` measures in a new process, whose memory is its own."""
    with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as processes:
        return dict(await asyncio.get_running_loop().run_in_executor(processes, work))


SECTIONS: Final[Mapping[str, Section]] = {
    "fan-out": fanout,
    "mixed": mixed,
    "idle": idle,
    "storm": storm,
    "matching": match,
    "lines": plant_lines,
    "journal": journal_size,
    "ingest": reports,
    "end to end": end_to_end,
}
QUICK: Final = ("fan-out", "mixed", "idle", "matching")
"""The sections of the quick form, which takes a minute."""
