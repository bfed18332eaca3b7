"""`device-sim leave`: retained leftovers of an earlier run, before the next."""

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from device_sim.cli.options import add_broker, add_plant, add_seed, broker_access, new_parser, read_plant, read_profile
from device_sim.mqtt.leftovers import publish_leftovers

if TYPE_CHECKING:
    from device_sim.cli.options import Commands


def add_parser(commands: "Commands") -> None:
    about = "publish the leftovers of a profile: retained reports of an earlier run"
    parser = new_parser(commands, "leave", about=about)
    parser.set_defaults(execute=execute)
    parser.add_argument("--disturb", required=True, metavar="NAME|FILE", help="profile with the leftovers")
    add_seed(parser, "seed of the run that follows")
    add_plant(parser)
    add_broker(parser)


def execute(options: argparse.Namespace) -> None:
    spec = read_plant(options)
    profile = read_profile(options.disturb, spec)
    count = asyncio.run(publish_leftovers(spec, profile, broker_access(options), seed=options.seed))
    sys.stdout.write(f"{count} retained leftovers published\n")
