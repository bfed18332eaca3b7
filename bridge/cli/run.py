"""Commands that start the bridge or check its settings: `demo`, `run`, `check`."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.settings_options import ConfigOption, console, fail, find_config, read_settings
from bridge.cli.user_options import issue_token
from bridge.settings import ProcessRole


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


def run(
    config: ConfigOption = None,
    *,
    role: Annotated[
        ProcessRole, typer.Option(help="Parts that this process runs (docs/deployment.md).")
    ] = ProcessRole.BOTH,
) -> None:
    """Run the bridge: pipeline, publisher and front in one process, until SIGTERM or Ctrl-C.

    `--role pipeline` serves no dashboards. `--role front` only serves dashboards, from the journal of a pipeline on
    this machine.
    """
    from bridge.wiring import bridge as composition  # noqa: PLC0415
    from bridge.wiring.errors import BridgeCrashed, StartError  # noqa: PLC0415

    settings = read_settings(config)
    try:
        composition.run(settings, role=role)
    except (StartError, BridgeCrashed) as error:
        fail(str(error))


def check(
    config: ConfigOption = None,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Skip the checks that connect to the broker.")] = False,
) -> None:
    """Check settings, plant, policy, token key, certificate, journal and broker. Exit code 1 if a check fails."""
    from bridge.adapters import logs  # noqa: PLC0415
    from bridge.wiring import checks  # noqa: PLC0415

    logs.configure(level="error", log_format="console")  # the results contain the broker's answers
    results = asyncio.run(checks.run_checks(find_config(config), offline=offline))
    for result in results:
        mark = "[green]ok[/]  " if result.ok else "[red]FAIL[/]"
        console.print(f"{mark} [bold]{result.name:<9}[/]", end=" ")
        console.print(result.text, markup=False, highlight=False, soft_wrap=True)
    bad = sum(not result.ok for result in results)
    console.print(f"{bad} of {len(results)} checks failed" if bad else "all checks passed")
    raise typer.Exit(1 if bad else 0)
