"""The `floor` command. Each command only reads its options and calls the package that does the work."""

import typer

from bridge.cli import access, journal, quarantine, run, watch

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""Turn shop-floor reports from MQTT into 13 types of events, and serve them to dashboards.

    Start with `floor demo`. For your own plant: write `floor.toml` and `plant.toml` (docs/settings.md, docs/plant.md),
    run `floor check`, then `floor run`.""",
)

for _command in (run.demo, run.run, run.check, access.token, watch.watch, watch.schema):
    app.command()(_command)
app.command(name="explain-access")(access.explain_access)
app.add_typer(journal.app, name="journal")
app.add_typer(quarantine.app, name="quarantine")


def main() -> None:
    """Run the command line: entry point of the `floor` script and of `python -m bridge`."""
    app()
