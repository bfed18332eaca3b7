"""The `floor journal export` command: the journal as JSON Lines."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.journal_output import (
    MAX_NUMBER,
    NOT_DONE,
    NOT_WHOLE,
    PathOption,
    escape_unprintable,
    exit_on_journal_error,
    journal_path,
)
from bridge.cli.settings_options import ConfigOption, error_console, fail


class ExportKind(StrEnum):
    EVENTS = "events"
    INPUTS = "inputs"


def export(
    out: Annotated[Path | None, typer.Option("--out", help="New file to write. Default: stdout.")] = None,
    *,
    only: Annotated[ExportKind | None, typer.Option("--only", help="Default: events, then inputs.")] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="First offset (of inputs: number), or an RFC 3339 time.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Last offset or number, or a time; included.")] = None,
    path: PathOption = None,
    config: ConfigOption = None,
) -> None:
    """Export events and inputs as JSON Lines; from a damaged journal, everything that is still readable.

    If entries are unreadable, stderr lists them and the exit code is 1.
    """
    from bridge.journal.tools import export as journal_export  # noqa: PLC0415
    from bridge.journal.tools.read_only import is_journal_file  # noqa: PLC0415

    span = _parse_range(since, until, only)
    journal = journal_path(path, config)
    if out is not None and is_journal_file(out, journal):
        fail(f"{out}: is a file of the journal {journal}", code=NOT_DONE)
    kinds = {ExportKind.EVENTS: journal_export.export_events, ExportKind.INPUTS: journal_export.export_inputs}
    with exit_on_journal_error(), _open_output(out) as write:
        written = 0
        gaps: list[journal_export.ExportGap] = []
        for kind in kinds if only is None else (only,):
            for line in kinds[kind](journal, span):
                if isinstance(line, bytes):
                    write(line + b"\n")
                    written += 1
                else:
                    journal_export.add_gap(gaps, line)
    for gap in gaps:
        error_console.print(escape_unprintable(f"unreadable: {gap}"), markup=False, highlight=False, soft_wrap=True)
    if gaps:
        count = sum(gap.last - gap.first + 1 for gap in gaps)
        fail(f"incomplete: {written} lines written, {count} unreadable", code=NOT_WHOLE)
    error_console.print(f"{written} lines written", highlight=False)


def _parse_range(since: str | None, until: str | None, only: ExportKind | None) -> Any:
    from bridge.journal.tools.export import ExportRange  # noqa: PLC0415

    bounds: dict[str, int] = {}
    for text, key, instant in ((since, "first", "begin"), (until, "last", "end")):
        if text is None:
            continue
        if text.isdecimal():
            if only is None:
                fail("an offset or a number in --from or --to needs --only events or --only inputs", code=NOT_DONE)
            bounds[key] = _parse_position(text)
        else:
            bounds[instant] = _parse_time(text)
    return ExportRange(**bounds)


def _parse_position(text: str) -> int:
    if len(text) > len(str(MAX_NUMBER)) or int(text) > MAX_NUMBER:
        fail(f"a number is at most {MAX_NUMBER}", code=NOT_DONE)
    return int(text)


def _parse_time(text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
        return round((at if at.tzinfo else at.astimezone()).timestamp() * 1_000)
    except (ValueError, OverflowError):  # OverflowError: a local time at an end of the calendar
        fail(f"{escape_unprintable(text)} is neither a number nor a time such as 2026-01-05T06:00:00Z", code=NOT_DONE)


@contextmanager
def _open_output(out: Path | None) -> Iterator[Callable[[bytes], object]]:
    if out is None:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    try:
        with out.open("xb") as file:
            yield file.write
    except OSError as error:
        fail(f"{out}: {error.strerror}", code=NOT_DONE)
