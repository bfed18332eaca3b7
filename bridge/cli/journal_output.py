"""Shared parts of the journal and quarantine commands: path options, output, progress, exit codes.

Exit codes: 0 done, and the journal is intact as far as it was read; 1 it is not; 2 it could not be done.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from bridge.cli.settings_options import console, error_console, fail, read_settings
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.ports.journal import JournalError

NOT_WHOLE, NOT_DONE = 1, 2
MAX_NUMBER = 2**63 - 1  # of an input or an offset: SQLite's integers

PathOption = Annotated[
    Path | None,
    typer.Option("--path", help="Journal or backup. Default: the journal of the settings.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print a JSON document.")]


def journal_path(path: Path | None, config: Path | None) -> Path:
    """Return the path of the journal: `path` if given, else from the settings."""
    return journal_and_stream(path, config)[0]


def journal_and_stream(path: Path | None, config: Path | None) -> tuple[Path, str | None]:
    """Return the path of the journal and the stream that it must hold; None for a stream if `path` is given."""
    if path is not None:
        return path, None
    settings = read_settings(config, code=NOT_DONE)
    return settings.journal.path, settings.stream


def state_text(state: str) -> str:
    """Return the state of a quarantined input in words; JSON documents have it as stored."""
    return "replay requested" if state == "asked" else state


@contextmanager
def exit_on_journal_error() -> Iterator[None]:
    """Print a journal error in one line, and exit with its code."""
    try:
        yield
    except JournalError as error:
        fail(escape_unprintable(str(error)), code=NOT_WHOLE if isinstance(error, JournalDamaged) else NOT_DONE)


def escape_unprintable(text: str) -> str:
    """Escape unprintable characters, so that text of a file or a device can't control the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def print_text(text: str, *, style: str | None = None) -> None:
    console.print(escape_unprintable(text), style=style, markup=False, highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2))  # noqa: T201 - a document, not a message


@contextmanager
def progress_bar() -> Iterator[Any]:
    """Yield a progress callback (part, done, of), which draws a bar if stderr is a terminal."""
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        console=error_console,
        transient=True,
    )
    tasks: dict[str, TaskID] = {}

    def progress(part: str, done: int, of: int) -> None:
        if part not in tasks:
            tasks[part] = shown.add_task(part)
        shown.update(tasks[part], completed=done, total=of or None)

    if not error_console.is_terminal:
        yield lambda _part, _done, _of: None
        return
    with shown:
        yield progress
