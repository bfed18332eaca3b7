"""The `floor check` command: checks settings, files, journal and broker."""

import asyncio
from typing import Annotated

import typer

from bridge.cli.settings_options import ConfigOption, console, find_config

TEXT_COLUMN = 15  # of a result, after its mark and name


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
        text = result.text.replace("\n", "\n" + " " * TEXT_COLUMN)
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    bad = sum(not result.ok for result in results)
    console.print(f"{bad} of {len(results)} checks failed" if bad else "all checks passed")
    raise typer.Exit(1 if bad else 0)
