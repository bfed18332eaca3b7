"""Shared parts of the commands: finding and reading the settings file, console output, exit on failure."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from bridge.settings.load import SettingsError, load_settings
from bridge.settings.settings import Settings

CONFIG_CANDIDATES = (Path("floor.toml"), Path(".floor/demo/floor.toml"))
"""Settings files to try when none is named: this folder's own, then the demo's."""

console = Console()
error_console = Console(stderr=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="FLOOR_CONFIG",
        help="Settings file. Default: ./floor.toml, else the demo's in ./.floor/demo.",
    ),
]


def warn(text: str) -> None:
    error_console.print(text, style="yellow", markup=False, highlight=False, soft_wrap=True)


def fail(text: str, *, code: int = 1) -> NoReturn:
    error_console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def find_config(config: Path | None, *, code: int = 1) -> Path:
    for place in (config,) if config is not None else CONFIG_CANDIDATES:
        if place.is_file():
            return place
    if config is not None:
        fail(f"{config}: no such settings file", code=code)
    fail("no settings file: name one with --config, or start `floor demo`, which writes one", code=code)


def read_settings(config: Path | None, *, code: int = 1) -> Settings:
    try:
        return load_settings(find_config(config, code=code))
    except SettingsError as error:
        fail(str(error), code=code)
