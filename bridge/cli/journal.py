"""`floor journal …`: look at the journal, keep a copy of it, put one back. All but `restore` beside a running bridge.

Exit codes: 0 done, and the journal is whole as far as it was looked at; 1 it is not; 2 it could not be done.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from bridge.cli.options import Config, console, errors, fail, read_settings
from bridge.core.records import JournalError

NOT_WHOLE, NOT_DONE = 1, 2

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Look at the journal, back it up, restore it. Docs: docs/journal.md.

    Exit codes: 0 done and whole, 1 the journal is not whole, 2 it could not be done.""",
)

PathOption = Annotated[
    Path | None,
    typer.Option("--path", help="A journal or a backup. Without it: the journal of the settings.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]


def journal_path(path: Path | None, config: Path | None) -> Path:
    """Return where the journal is: as named, else as the settings say."""
    return path if path is not None else read_settings(config, code=NOT_DONE).journal.path


@contextmanager
def told() -> Iterator[None]:
    """Tell in a line what could not be done, and end."""
    try:
        yield
    except JournalError as error:
        fail(str(error), code=NOT_DONE)


def printable(text: str) -> str:
    """Return text of a file or a device with what a terminal would obey made visible."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def say(text: str, *, style: str | None = None) -> None:
    console.print(printable(text), style=style, markup=False, highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    print(json.dumps(document, indent=2))  # noqa: T201 - a document, not a message


@app.command()
def verify(
    path: PathOption = None,
    *,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Look at every byte that counts: seals, order, counts, ends. Exit 1 says what is wrong, and where.

    The bridge may run meanwhile: nothing is written, and nothing waits.
    """
    from bridge.adapters.journal_verify import verify as verify_journal  # noqa: PLC0415 - only what the command needs

    with told(), _bar() as progress:
        verdict = verify_journal(journal_path(path, config), progress=progress)
    if as_json:
        meta = None if verdict.facts is None else verdict.facts.meta
        parts = [
            {"part": part.name, "looked_at": part.looked_at, "faults": part.faults, "more": part.more}
            for part in verdict.parts
        ]
        position = None if meta is None else {"stream": meta.stream, "epoch": meta.epoch, "offset": meta.last_offset}
        print_json({"path": str(verdict.path), "whole": verdict.whole, "position": position, "parts": parts})
    else:
        for part in verdict.parts:
            mark = "FAIL" if part.faults else "ok"
            say(f"{mark:<5}{part.name:<14} {part.looked_at}", style="red" if part.faults else None)
            for fault in part.faults:
                say(f"     {fault}")
            if part.more:
                say(f"     and {part.more:,} more")
        if verdict.whole:
            say(f"{verdict.path} is whole")
    if not verdict.whole:
        fail(
            f"{verdict.path} is damaged. Keep it with its -wal, -shm and .lock. Put back the newest backup by "
            "`floor journal restore`; `floor journal export` saves what can still be read (docs/journal.md)",
            code=NOT_WHOLE,
        )


@contextmanager
def _bar() -> Iterator[Any]:
    """Show how far it is, where somebody watches."""
    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:.0f} %"),
        console=errors,
        transient=True,
    )
    tasks: dict[str, TaskID] = {}

    def progress(part: str, done: int, of: int) -> None:
        if part not in tasks:
            tasks[part] = shown.add_task(part)
        shown.update(tasks[part], completed=done, total=of or None)

    if not errors.is_terminal:
        yield lambda _part, _done, _of: None
        return
    with shown:
        yield progress
