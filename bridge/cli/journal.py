"""The `floor journal` commands. All but `restore` can run while the bridge runs."""

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.journal_export import export
from bridge.cli.journal_output import (
    NOT_WHOLE,
    JsonOption,
    PathOption,
    exit_on_journal_error,
    journal_and_stream,
    journal_path,
    print_json,
    print_text,
    progress_bar,
)
from bridge.cli.journal_stats import stats
from bridge.cli.settings_options import ConfigOption, fail

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Inspect, verify, back up, restore and export the journal (docs/journal.md).

    Exit codes: 0 success, 1 the journal is damaged or incomplete, 2 failure.""",
)


@app.command()
def verify(
    path: PathOption = None,
    *,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify every part of the journal: checksums, order, counts, first and last entries.

    Prints each fault and its location; the exit code is then 1. The bridge may keep running: this command writes
    nothing and blocks nothing.
    """
    from bridge.journal.tools.verify import verify_journal  # noqa: PLC0415 - only what the command needs

    with exit_on_journal_error(), progress_bar() as progress:
        verdict = verify_journal(journal_path(path, config), progress=progress)
    if as_json:
        meta = None if verdict.summary is None else verdict.summary.meta
        parts = [
            {"part": part.name, "looked_at": part.scope, "faults": part.faults, "more": part.omitted_faults}
            for part in verdict.parts
        ]
        position = None if meta is None else {"stream": meta.stream, "epoch": meta.epoch, "offset": meta.last_offset}
        print_json({"path": str(verdict.path), "whole": verdict.is_intact, "position": position, "parts": parts})
    else:
        width = max(len(part.name) for part in verdict.parts)
        for part in verdict.parts:
            mark = "FAIL" if part.faults else "ok"
            print_text(f"{mark:<5}{part.name:<{width}}  {part.scope}", style="red" if part.faults else None)
            for fault in part.faults:
                print_text(f"     {fault}")
            if part.omitted_faults:
                print_text(f"     and {part.omitted_faults:,} more")
        if verdict.is_intact:
            print_text(f"{verdict.path} is intact")
    if not verdict.is_intact:
        fail(
            f"{verdict.path} is damaged. Keep it with its -wal, -shm and .lock. Restore the newest backup with "
            "`floor journal restore`; `floor journal export` saves what is still readable (docs/journal.md)",
            code=NOT_WHOLE,
        )


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File for the copy, best on another disk.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    path: PathOption = None,
    config: ConfigOption = None,
) -> None:
    """Copy the journal and verify the copy. The bridge may keep running.

    `floor journal backup /backup/journal-monday.db --force`

    The file appears under its name only once it is complete and verified.
    """
    from bridge.journal.tools import backup as journal_backup  # noqa: PLC0415

    with exit_on_journal_error(), progress_bar() as progress:
        try:
            verdict = journal_backup.back_up(journal_path(path, config), file, replace=force, progress=progress)
        except journal_backup.VerificationFailed as error:
            fail(f"{error}; no backup was made", code=NOT_WHOLE)
    assert verdict.summary is not None
    meta = verdict.summary.meta
    print_text(f"{file}: stream {meta.stream}, epoch {meta.epoch}, up to offset {meta.last_offset}, verified")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="Backup to restore; it is not changed.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Rename an existing journal, with the date in its new name.")
    ] = False,
    path: PathOption = None,
    config: ConfigOption = None,
) -> None:
    """Verify a backup and restore it as the journal, in a new epoch. The bridge must be stopped.

    Dashboards that reconnect receive `recovered: false` and the current state.
    """
    from bridge.journal.tools import backup as journal_backup  # noqa: PLC0415
    from bridge.journal.tools import restore as journal_restore  # noqa: PLC0415

    place, stream = journal_and_stream(path, config)
    with exit_on_journal_error(), progress_bar() as progress:
        try:
            restored = journal_restore.restore_journal(file, place, stream=stream, replace=replace, progress=progress)
        except journal_backup.VerificationFailed as error:
            fail(f"{error}; nothing was restored", code=NOT_WHOLE)
    for replaced in restored.replaced_files:
        print_text(f"kept: {replaced}")
    meta = restored.summary.meta
    print_text(f"{place}: stream {meta.stream}, up to offset {meta.last_offset}, in the new epoch {meta.epoch}")


app.command()(stats)
app.command()(export)
