"""Report of a benchmark: lines as it goes, ratios of rows of one run, raw figures as JSON, and tables for the docs."""

import json
import os
import platform
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.bench.rows import DELIVERY_HEAD, DeliveryRow, FigureRow, Row
from tests.support.command_line import ROOT

DOCUMENT: Final = ROOT / "docs" / "performance.md"
BEGIN: Final = "<!-- the last full run, written by `make bench ARGS=--write` -->"
END: Final = "<!-- end of the last full run -->"
DELIVERY_WIDTHS: Final = (-40, 6, -10, 12, 9, 9, -44, 6, -20)
"""Of the columns of a row of deliveries; negative: aligned to the left."""
RATIO_HEAD: Final = [
    "load", "wait", "of the floor", "times Mosquitto", "times the textbook", "times Mosquitto's p99",
]  # fmt: skip

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
        "kernel": platform.release(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "python": platform.python_version(),
    }


def lines_of(row: Row) -> str:
    if isinstance(row, DeliveryRow):
        return _aligned(row.cells(), DELIVERY_WIDTHS)
    return f"{row.name}: " + ", ".join(f"{name} {number(value)}" for name, value in row.figures.items())


def heading() -> str:
    return _aligned(
        ["load", "wait", "server", "per CPU-s", "p50 ms", "p99 ms", "cores", "bytes", "delivered"], DELIVERY_WIDTHS
    )


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        cell.ljust(-width) if width < 0 else cell.rjust(width) for cell, width in zip(cells, widths, strict=True)
    ).rstrip()


def number(value: float) -> str:
    """Return a figure with three digits or more."""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratios(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Yield the front's rows beside the other servers' of the same load; of the floor also with the same wait."""
    measured = [row for row in rows if isinstance(row, DeliveryRow)]
    for row in measured:
        if row.server != "front":
            continue
        alike = {other.server: other for other in measured if _is_same_load(other, row)}
        floor, mosquitto, textbook = (alike.get(server) for server in ("floor", "mosquitto", "textbook"))
        if len(alike) > 1:
            yield {
                "load": row.cells()[0],
                "wait": row.cells()[1],
                "floor": _times(row, floor),
                "mosquitto": _times(row, mosquitto),
                "textbook": _times(row, textbook),
                "p99_mosquitto": _p99_times(row, mosquitto),
            }


def _is_same_load(other: DeliveryRow, row: DeliveryRow) -> bool:
    same = (other.load, other.dashboards, other.filters, other.stalled) == (
        row.load, row.dashboards, row.filters, row.stalled,
    )  # fmt: skip
    return same and (other.server in {"mosquitto", "textbook"} or other.coalescing_ms == row.coalescing_ms)


def _times(row: DeliveryRow, other: DeliveryRow | None) -> float | None:
    return None if other is None else row.per_cpu_second / other.per_cpu_second


def _p99_times(row: DeliveryRow, other: DeliveryRow | None) -> float | None:
    """Return the ratio of the latencies; None if one is invalid, or saturated: so late that it has no latency."""
    if other is None or other.invalid or row.invalid or row.is_saturated or other.is_saturated:
        return None
    return row.latencies.p99_ms / other.latencies.p99_ms


def ratio_cells(ratio: Mapping[str, Any]) -> list[str]:
    return ["-" if value is None else value if isinstance(value, str) else f"{value:.2f}" for value in ratio.values()]


def write_json(report: Report, path: Path) -> None:
    data = {
        "machine": machine(),
        "sections": {name: [row.as_data() for row in rows] for name, rows in report.items()},
        "ratios": {name: list(ratios(rows)) for name, rows in report.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1) + "\n")


def write_document(report: Report) -> None:
    """Replace the tables of docs/performance.md."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{tables(report)}\n{END}{after}")


def tables(report: Report) -> str:
    """Return the report as Markdown."""
    here = machine()
    cpu = f"{here['cores']} cores of {here['cpu']}, {here['memory_gb']} GB"
    parts = [f"{here['date']}: {cpu}, Linux {here['kernel']}, Python {here['python']}.\n"]
    for name, rows in report.items():
        parts.append(f"### {name}\n")
        deliveries = [row.cells() for row in rows if isinstance(row, DeliveryRow)]
        if deliveries:
            parts.append(_table(DELIVERY_HEAD, deliveries))
        compared = [ratio_cells(ratio) for ratio in ratios(rows)]
        if compared:
            parts.append(_table(RATIO_HEAD, compared))
        figures = [row for row in rows if isinstance(row, FigureRow)]
        if figures:
            parts.append(_figure_table(figures))
    return "\n".join(parts)


def _figure_table(rows: Sequence[FigureRow]) -> str:
    """Return a table with a row for each figure: journals have many figures, and few sizes."""
    cells = [
        [name.replace("_", " "), *(number(row.figures[name]) if name in row.figures else "-" for row in rows)]
        for name in rows[0].figures
    ]
    return _table(["", *(row.name for row in rows)], cells)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
