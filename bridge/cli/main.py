"""The `floor` command. Each command only reads its options and calls the package that does the work."""

import errno
import os
import sys
from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from bridge.cli import access, check, demo, journal, quarantine, revoke, run, schema, watch
from bridge.cli.journal_output import NOT_DONE
from bridge.cli.settings_options import console, error_console

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""Turn shop-floor reports from MQTT into 13 types of events, and serve them to dashboards.

    Start with `floor demo`. For your own plant: write `floor.toml` and `plant.toml` (docs/settings.md, docs/plant.md),
    run `floor check`, then `floor run`.""",
)


def _print_version(*, requested: bool) -> None:
    if requested:
        console.print(f"floor-bridge {installed_version('floor-bridge')}", highlight=False)
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Add the options that need no command."""


for _command in (demo.demo, run.run, check.check, access.token, watch.watch, schema.schema):
    app.command()(_command)
app.command(name="explain-access")(access.explain_access)
app.add_typer(journal.app, name="journal")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(revoke.app, name="revoke")


def main() -> None:
    """Run the command line: entry point of the `floor` script and of `python -m bridge`."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except OSError as error:
        _fail_if_stdout_fails(error)
        raise


def _fail_if_stdout_fails(error: OSError) -> None:
    """End the process with one sentence if stdout cannot be written, such as a file on a full disk."""
    try:
        sys.stdout.write("\n")
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
        if error.errno != errno.EPIPE:  # its reader has ended, which is no failure to report
            error_console.print(f"stdout: {error.strerror}", style="red", markup=False, highlight=False)
        sys.exit(NOT_DONE)
