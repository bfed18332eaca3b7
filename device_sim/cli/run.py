"""`device-sim run`: the plant against a real broker."""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device_sim import profile
from device_sim.cli.options import (
    add_broker,
    add_plant,
    add_seed,
    broker_access,
    new_parser,
    positive,
    read_plant,
    read_profile,
)
from device_sim.run import DisplayMode, RunOptions, run

if TYPE_CHECKING:
    from device_sim.cli.options import Commands

EXAMPLES: Final = """\
  device-sim run                                      the shipped plant in real time
  device-sim run --scale 60 --seed 7                  a simulated minute per second, another course of events
  device-sim run --duration 30 --quiet                stop after half a minute
  device-sim run --disturb wifi --truth truth.jsonl   failing connections, and a record of what really happened
  device-sim run --disturb my-profile.toml            a profile of your own (docs/simulator.md)
  device-sim run --broker plc-net:8883 --ca-file ca.crt --credentials secrets/
"""


def add_parser(commands: "Commands") -> None:
    parser = new_parser(commands, "run", about="run the plant until Ctrl-C", examples=EXAMPLES)
    parser.set_defaults(execute=execute)
    parser.add_argument(
        "--scale", type=positive, default=1.0, metavar="N", help="simulated seconds per real second (default: 1)"
    )
    add_seed(parser, "seed of the simulation; the same seed gives the same course of events")
    parser.add_argument("--duration", type=positive, metavar="SECONDS", help="stop after this real time")
    parser.add_argument("--timestamps", action="store_true", help="add ts, the simulated time, to every report")
    parser.add_argument("--quiet", action="store_true", help="print nothing")
    add_plant(parser)
    group = parser.add_argument_group("disturbances")
    group.add_argument(
        "--disturb", metavar="NAME|FILE",
        help=f"profile of what goes wrong: {', '.join(profile.NAMES)}, or a TOML file; implies --timestamps",
    )  # fmt: skip
    group.add_argument(
        "--truth", type=Path, metavar="FILE", help="write what really happened to this file, one JSON object per line"
    )
    group.add_argument(
        "--cuts", type=Path, metavar="FILE",
        help="announce cuts of the bridge, the broker and their network in this file, for a program that plays them",
    )  # fmt: skip
    add_broker(parser)


def execute(options: argparse.Namespace) -> None:
    spec = read_plant(options)
    show: DisplayMode = "table" if sys.stdout.isatty() else "lines"
    asyncio.run(
        run(
            RunOptions(
                spec=spec,
                broker=broker_access(options),
                profile=read_profile(options.disturb, spec),
                seed=options.seed,
                scale=options.scale,
                duration=options.duration,
                timestamps=options.timestamps or options.disturb is not None,
                truth_file=options.truth,
                cuts_file=options.cuts,
                show="nothing" if options.quiet else show,
            )
        )
    )
