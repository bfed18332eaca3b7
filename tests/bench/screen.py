"""Progress and tables of a benchmark on a terminal."""

import re
import sys
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest
from typing import Final

from tests.bench.ratios import compare
from tests.bench.report import by_audience, figure_cells, notes
from tests.bench.rows import FigureRow, Row

HEAD: Final = (
    "wait", "server", "per CPU-s", "p50 ms", "p99 ms", "cores:", "reader", "publ.", "bytes", "fed by", "delivered",
)  # fmt: skip
WIDTHS: Final = (5, -9, 10, 8, 8, 6, 6, 6, 6, -28, -1)
"""Of the columns; negative: aligned to the left."""
RATIO_HEAD: Final = ("front", "of the floor", "x Mosquitto", "x textbook", "x ws", "p99 / Mosquitto's")


class Screen:
    """Writes rows as they are measured; those of deliveries under their audience, those of figures as one table."""

    def __init__(self) -> None:
        self._audience = ""

    def begin(self, name: str, *, seconds: float) -> None:
        """Write the heading of a section that begins after so many seconds."""
        self._audience = ""
        say(f"\n{f'== {name} ':=<72} after {clock(seconds)}")

    def row(self, row: Row, *, seconds: float) -> None:
        """Write a row, or that its figures are there after so many seconds."""
        if isinstance(row, FigureRow):
            say(f"  {row.name}: {'measured in' if row.figures else row.note + ','} {clock(seconds)}")
            return
        if row.audience != self._audience:
            self._audience = row.audience
            say(f"\n  {row.audience}")
            say(_aligned(HEAD, WIDTHS))
        say(_aligned(row.cells(), WIDTHS))

    def end(self, rows: Sequence[Row]) -> None:
        """Write what follows from the rows of a section."""
        for audience, deliveries in by_audience(rows):
            compared = [ratio.cells() for ratio in compare(deliveries)]
            if compared:
                say(f"\n  {audience}: deliveries per CPU-second of the front, and its p99")
                _say_table(RATIO_HEAD, compared)
        figures = [row for row in rows if isinstance(row, FigureRow)]
        if any(row.figures for row in figures):
            say("")
            _say_table(*figure_cells(figures))
            for note in notes(figures):
                say(f"  {note}")


def clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:02.0f} s"


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _say_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table; the parts of a head are below one another."""
    heads = list(zip_longest(*(re.split("(?<=[,;:]) ", text) for text in head), fillvalue=""))
    columns = zip(*heads, *rows, strict=True)
    first, *others = (max(map(len, column)) for column in columns)
    for cells in chain(heads, rows):
        say(_aligned(cells, (-first, *others)))


def _aligned(cells: Iterable[str], widths: Iterable[int]) -> str:
    parts = (cell.ljust(-width) if width < 0 else cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return ("  " + "  ".join(parts)).rstrip()
