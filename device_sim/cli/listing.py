"""`device-sim list`: the lines, machines and stations of a plant."""

import argparse
import sys
from typing import TYPE_CHECKING

from device_sim.cli.options import add_plant, new_parser, read_plant

if TYPE_CHECKING:
    from device_sim.cli.options import Commands


def add_parser(commands: "Commands") -> None:
    parser = new_parser(commands, "list", about="list lines, machines and stations")
    parser.set_defaults(execute=execute)
    parser.add_argument("--tags", action="store_true", help="also list which controller tag feeds which report field")
    add_plant(parser)


def execute(options: argparse.Namespace) -> None:
    spec = read_plant(options)
    for line in spec.lines:
        _print(f"{spec.site}/{line.area}/{line.id}: products {', '.join(line.products)}")
        for machine in line.machines:
            _print(f"  {machine.id}: {machine.controller}, {60 / machine.cycle_seconds:.0f} pieces/min")
            for field, tag in machine.tags.items() if options.tags else ():
                _print(f"    {field} <- {tag}")
        for station in line.stations:
            _print(f"  {station.id}: {station.form} station, calls {', '.join(station.andon_types)}")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
