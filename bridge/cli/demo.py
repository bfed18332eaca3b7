"""The `floor demo` command: a broker, the bridge and a simulated plant on this machine."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.settings_options import console, fail, read_settings
from bridge.cli.user_options import issue_token


def demo(
    folder: Annotated[Path, typer.Option(help="Folder for the demo's journal, secret and logs.")] = Path(".floor/demo"),
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the web server for dashboards.")] = 8080,
    broker_port: Annotated[
        int, typer.Option("--broker-port", "--mqtt-port", min=1, max=65_535, help="Port of the MQTT broker.")
    ] = 11883,
    scale: Annotated[float, typer.Option(min=0.01, max=3_600, help="Speed of time; 1 is real time.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Seed of the simulated plant; the same seed gives the same day.")] = 1,
    *,
    disturb: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Failures to simulate: clean, wifi, old-plc, night-off, gateway, chaos or a file (docs/simulator.md).",
        ),
    ] = None,
) -> None:
    """Run a complete demo on this machine: a broker, the bridge, its front and a simulated plant.

    Nothing else needs to be installed. Ctrl-C stops everything; the next start continues from the same journal.
    """
    from bridge.adapters import logs  # noqa: PLC0415 - loaded only by the command that needs it
    from bridge.demo import supervisor  # noqa: PLC0415
    from bridge.demo.errors import DemoError  # noqa: PLC0415
    from bridge.demo.folder import DemoOptions  # noqa: PLC0415

    logs.configure(level="warning", log_format="console")
    options = DemoOptions(folder=folder, port=port, broker_port=broker_port, scale=scale, seed=seed, disturb=disturb)
    try:
        asyncio.run(
            supervisor.run(
                options,
                console=console,
                issue_token=lambda config: issue_token(read_settings(config), user="demo", roles=["admin"], hours=12),
            )
        )
    except* DemoError as group:
        fail("\n".join(str(error) for error in group.exceptions))
