"""`python -m tests.attack`: attacks a bridge in all shapes, each beside a working plant, and says what that did.

    python -m tests.attack [--quick] [--only NUMBER ...] [--set NAME=VALUE ...] [--write]

It fails if a shape is not within the bounds of docs/threats.md. docs/proof.md has the last whole run. A setting that
makes a budget as good as unlimited must let it fail, as `--only 4 12 --set FLOOR_WEB__TURN_MS=1000`.
"""

import argparse
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import islice, takewhile
from pathlib import Path

from bridge.adapters import logs
from bridge.wiring import runtime
from tests.attack.measurement import HEAD, LEGEND, AttackRow, Histogram, Measurement
from tests.attack.plant import QUICK, WHOLE, Form, running_plant
from tests.attack.shapes import QUICK_SHAPES, all_shapes
from tests.bench.processes import NoCompiler, compile_program
from tests.bench.report import table
from tests.bench.screen import clock, say
from tests.support import run_record


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.attack")
    everything = [shape.number for shape in all_shapes("")]
    parser.add_argument("--quick", action="store_true", help="the form of a minute: some shapes, on one bridge")
    parser.add_argument("--only", nargs="+", type=int, choices=everything, metavar="NUMBER", help="these shapes")
    parser.add_argument("--write", action="store_true", help="write the table into docs/proof.md")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="environment of the bridge")
    chosen = parser.parse_args()
    if chosen.write and (chosen.quick or chosen.only or chosen.set):
        parser.error("only the table of a whole run is written into the document")
    try:
        with tempfile.TemporaryDirectory() as folder:
            compile_program("reader", Path(folder))
    except NoCompiler as error:
        parser.error(str(error))
    logs.configure(level="critical", log_format="console")
    numbers = chosen.only or (QUICK_SHAPES if chosen.quick else everything)
    settings = dict(text.split("=", 1) for text in chosen.set)
    runtime.run(_attack(numbers, QUICK if chosen.quick else WHOLE, settings, write=chosen.write))


async def _attack(numbers: Iterable[int], form: Form, settings: Mapping[str, str], *, write: bool) -> None:
    """Measure these shapes, and once more those that may be late by chance; exit with an error unless all passed."""
    began = time.monotonic()
    baselines = Histogram()
    rows: dict[int, AttackRow] = {}
    async for measurement in _measurements(numbers, form, settings):
        baselines.update(measurement.baseline.latencies)
        _add(rows, measurement, baselines, form)
    late = [number for number, row in rows.items() if row.is_only_late]
    async for measurement in _measurements(late, form, settings):
        _add(rows, measurement, baselines, form)
    failed = sum(row.has_failed for row in rows.values())
    seconds = time.monotonic() - began
    passed = sum(row.has_passed for row in rows.values())
    head = f"{len(rows)} shapes in {clock(seconds)}, {passed} passed."
    shown = table(HEAD, (row.cells() for row in rows.values()))
    say(f"\n{head}\n\n{shown}")
    if write:
        date = time.strftime("%Y-%m-%d", time.gmtime())
        run_record.write_section("attack", f"{date}, {head}\n{run_record.machine()}.\n\n{LEGEND}\n{shown}")
    if failed:
        sys.exit(f"{failed} shapes failed")


def _add(rows: dict[int, AttackRow], measurement: Measurement, baselines: Histogram, form: Form) -> None:
    """Add a row, in place of that of the same shape unless that was better."""
    number = measurement.shape.number
    former = rows.get(number)
    row = AttackRow(
        measurement=measurement,
        baselines=baselines,
        bounds=form.bounds,
        again=former is not None,
    )
    if former is None or row.times < former.times:
        rows[number] = row
    say(" | ".join(row.cells()))


async def _measurements(numbers: Iterable[int], form: Form, settings: Mapping[str, str]) -> AsyncIterator[Measurement]:
    """Yield those of these shapes, with a new plant when the former is used up or harmed."""
    waiting = deque(numbers)
    with tempfile.TemporaryDirectory() as programs:
        while waiting:
            following = [all_shapes("")[number - 1] for number in islice(waiting, form.shapes_of_a_plant)]
            those = list(takewhile(lambda shape: shape.tls is following[0].tls, following))  # noqa: B023 - used at once
            descriptors = min((shape.descriptors for shape in those if shape.descriptors), default=None)
            with tempfile.TemporaryDirectory() as folder:
                async with running_plant(
                    Path(folder),
                    Path(programs),
                    form,
                    descriptors=descriptors,
                    settings=settings,
                    tls=those[0].tls,
                ) as plant:
                    for _ in those:
                        measurement = await plant.measure(all_shapes(plant.epoch)[waiting.popleft() - 1])
                        yield measurement
                        if not measurement.has_left_the_plant_whole:
                            break


if __name__ == "__main__":
    main()
