"""Report of a benchmark: raw figures as JSON, and tables for the docs."""

import json
import os
import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from tests.bench.ratios import RATIO_HEAD, compare
from tests.bench.rows import DELIVERY_HEAD, DeliveryRow, FigureRow, Row
from tests.support.command_line import ROOT

DOCUMENT: Final = ROOT / "docs" / "performance.md"
BEGIN: Final = "<!-- the last full run, written by `make bench ARGS=--write` -->"
END: Final = "<!-- end of the last full run -->"

Report = Mapping[str, Sequence[Row]]
"""The rows of each section."""


def machine() -> dict[str, Any]:
    """Return what the figures depend on beside the code."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.+)$", info, re.MULTILINE)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cores": len(os.sched_getaffinity(0)),
        "cpu": model[1] if model else platform.machine(),
        "kernel": platform.release().partition("-")[0],  # without the name of a build
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "python": platform.python_version(),
    }


def number(value: float) -> str:
    """Return a figure with three digits or more."""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def figure_cells(rows: Sequence[FigureRow]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table with a row for each figure: journals have many figures, and few sizes."""
    measured = [row for row in rows if row.figures]
    cells = [
        [name.replace("_", " "), *(number(row.figures[name]) if name in row.figures else "-" for row in measured)]
        for name in _merged([list(row.figures) for row in measured])
    ]
    cells.append(["fed by", *(row.fed_by for row in measured)])
    if any(row.judgement is not None for row in measured):
        texts = ["-" if row.judgement is None else row.judgement.text or "none" for row in measured]
        cells.append(["marks", *texts])
    return ["", *(row.name for row in measured)], cells


def _merged(orders: Iterable[Sequence[str]]) -> list[str]:
    """Return the names of all, each behind the one that it follows in the first of these orders that has it."""
    merged: list[str] = []
    for order in orders:
        at = 0
        for name in order:
            if name not in merged:
                merged.insert(at, name)
            at = merged.index(name) + 1
    return merged


def notes(rows: Iterable[FigureRow]) -> Iterator[str]:
    """Yield what is to be said of the rows of a section."""
    return (f"{row.name}: {row.note}" for row in rows if row.note)


def write_json(report: Report, path: Path) -> None:
    data = {
        "machine": machine(),
        "sections": {name: [row.as_data() for row in rows] for name, rows in report.items()},
        "ratios": {name: [ratio.as_data() for ratio in compare(rows)] for name, rows in report.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")


def write_document(report: Report, *, seconds: float) -> None:
    """Replace the tables of docs/performance.md by those of a run that took so long."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{tables(report, seconds=seconds)}\n{END}{after}")


def tables(report: Report, *, seconds: float) -> str:
    """Return the report as Markdown."""
    here = machine()
    cpu = f"{here['cores']} cores of {here['cpu']}, {here['memory_gb']} GB"
    system = f"Linux {here['kernel']}, Python {here['python']}"
    parts = [f"{here['date']}: {cpu}, {system}. The run took {seconds / 60:.1f} minutes.\n"]
    for name, rows in report.items():
        parts.append(f"### {name}\n")
        for audience, deliveries in by_audience(rows):
            parts += [f"**{audience}**\n", table(DELIVERY_HEAD, (row.cells() for row in deliveries))]
            compared = [ratio.cells() for ratio in compare(deliveries)]
            if compared:
                parts.append(table(RATIO_HEAD, compared))
        figures = [row for row in rows if isinstance(row, FigureRow)]
        if any(row.figures for row in figures):
            parts.append(table(*figure_cells(figures)))
        parts += [f"- {note}\n" for note in notes(figures)]
    return "\n".join(parts)


def by_audience(rows: Iterable[Row]) -> Iterator[tuple[str, list[DeliveryRow]]]:
    """Yield the rows of deliveries with an equal audience, of those that are one after the other."""
    deliveries = (row for row in rows if isinstance(row, DeliveryRow))
    return ((audience, list(group)) for audience, group in groupby(deliveries, key=lambda row: row.audience))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
