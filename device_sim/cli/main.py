"""The `device-sim` command: `run`, `press`, `leave`, `disturbances` and `list`."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Final

from device_sim.cli import disturbances, leave, listing, press, run
from device_sim.errors import SimulatorError

ABOUT: Final = "A simulated plant of PLCs and Andon stations that publishes reports over MQTT (docs/devices.md)."
START: Final = "Start with `device-sim run`. All about disturbances, rehearsals and plant files: docs/simulator.md"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 130 after Ctrl-C, or 1 with an error and its remedy on stderr."""
    options = build_parser().parse_args(arguments)
    try:
        options.execute(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader closed the pipe: `device-sim list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except SimulatorError as error:
        sys.stderr.write(f"device-sim: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; the parsed options hold the command's function in `execute`."""
    parser = argparse.ArgumentParser(prog="device-sim", description=ABOUT, epilog=START)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (run, press, leave, disturbances, listing):
        command.add_parser(commands)
    return parser
