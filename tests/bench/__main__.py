"""`python -m tests.bench`: measures all sections, or runs events to dashboards with the options of one run.

    python -m tests.bench all [--quick] [--only SECTION ...] [--json FILE] [--write]
    python -m tests.bench fanout --server front --rate 5000 --dashboards 100 --coalescing 10 --seconds 5

docs/performance.md says how to read the figures.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge.adapters import logs
from bridge.wiring import runtime
from tests.bench.dashboards import AUDIENCES
from tests.bench.delivery import Run, measure
from tests.bench.load import BATCH_MS, Load
from tests.bench.processes import NoCompiler, compile_program
from tests.bench.report import write_document, write_json
from tests.bench.screen import Screen, clock, say
from tests.bench.sections import QUICK, SECTIONS
from tests.support.command_line import ROOT

if TYPE_CHECKING:
    from tests.bench.rows import Row

SERVERS: Final = ("floor", "front", "mosquitto", "textbook", "ws")
RAW: Final = ROOT / ".floor" / "bench.json"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    commands = parser.add_subparsers(dest="command", required=True)
    everything = commands.add_parser("all", help="all sections, or some")
    everything.add_argument("--quick", action="store_true", help="the form of a minute")
    everything.add_argument("--only", nargs="+", choices=SECTIONS, default=[], metavar="SECTION")
    everything.add_argument("--json", type=Path, default=RAW, help="where the raw figures go")
    everything.add_argument("--write", action="store_true", help="write the tables into docs/performance.md")
    _add_fanout(commands.add_parser("fanout", help="one run of events to dashboards for each server"))
    chosen = parser.parse_args()
    if chosen.command == "all" and chosen.write and (chosen.quick or chosen.only):
        parser.error("only the figures of a full run are written into the document")
    try:
        with tempfile.TemporaryDirectory() as folder:
            compile_program("reader", Path(folder))
    except NoCompiler as error:
        parser.error(str(error))
    logs.configure(level="critical", log_format="console")
    runtime.run(_all(chosen) if chosen.command == "all" else _fanout(chosen))


def _add_fanout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", nargs="+", choices=SERVERS, default=["floor", "front"])
    parser.add_argument("--rate", type=int, default=1_000, help="events a second")
    parser.add_argument("--dashboards", type=int, default=100)
    parser.add_argument("--coalescing", type=int, default=0, help="ms that events wait for company; 0: the default")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--batch-ms", type=int, default=BATCH_MS, help="of the commits")
    parser.add_argument("--audience", choices=AUDIENCES, default="everything", help="what the dashboards want")
    parser.add_argument("--alarms", action="store_true", help="five alarms a second as well; the latency is theirs")
    parser.add_argument("--stalled", type=int, default=0, help="how many of the front's dashboards do not read")


async def _fanout(chosen: argparse.Namespace) -> None:
    load = Load(rate=chosen.rate, seconds=chosen.seconds, batch_ms=chosen.batch_ms, alarms=chosen.alarms)
    rows = []
    screen = Screen()
    for server in chosen.server:
        run = Run(
            server=server,
            load=load,
            dashboards=chosen.dashboards,
            coalescing_ms=chosen.coalescing,
            audience=AUDIENCES[chosen.audience],
            stalled=chosen.stalled,
        )
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            rows.append(await measure(run, Path(folder)))
        screen.row(rows[-1], seconds=time.monotonic() - began)
    screen.end(rows)


async def _all(chosen: argparse.Namespace) -> None:
    began = time.monotonic()
    screen = Screen()
    report: dict[str, list[Row]] = {}
    failed: list[str] = []
    for name in chosen.only or (QUICK if chosen.quick else SECTIONS):
        screen.begin(name, seconds=time.monotonic() - began)
        rows = report[name] = []
        try:
            await _measure_section(name, quick=chosen.quick, rows=rows, screen=screen)
        except (AssertionError, OSError) as error:
            failed.append(name)
            say(f"  {name} failed, the next section follows: {str(error) or type(error).__name__}")
        screen.end(rows)
        write_json(report, chosen.json)
    seconds = time.monotonic() - began
    say(f"\nThe run took {clock(seconds)}; the raw figures are in {chosen.json}")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    if chosen.write:
        write_document(report, seconds=seconds)


async def _measure_section(name: str, *, quick: bool, rows: list["Row"], screen: Screen) -> None:
    began = time.monotonic()
    async for row in SECTIONS[name](quick=quick):
        rows.append(row)
        screen.row(row, seconds=time.monotonic() - began)
        began = time.monotonic()


if __name__ == "__main__":
    main()
