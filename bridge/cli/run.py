"""The `floor run` command: runs the bridge or a part of it."""

from typing import Annotated

import typer

from bridge.cli.settings_options import ConfigOption, fail, read_settings
from bridge.settings.settings import ProcessRole


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
