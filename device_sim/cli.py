"""The `device-sim` command: `run`, `press`, `leave`, `disturbances` and `list`."""

import argparse
import asyncio
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from device_sim import plant_file, profile
from device_sim.demo_broker import DEFAULT_ADDRESS, DEMO_SETTINGS_FILE, default_broker
from device_sim.leftovers import publish_leftovers
from device_sim.messages import encode, report_topic
from device_sim.plant_file import ANDON_TYPES, LineSpec, PlantSpec, SimulationFileError, StationSpec
from device_sim.profile import Profile, ProfileError
from device_sim.profile_table import print_profiles
from device_sim.run import DisplayMode, RunOptions, run
from device_sim.suggestion import suggest
from device_sim.truth_file import TruthFileError
from device_sim.wire import (
    BrokerAccess,
    BrokerError,
    NegotiatedVersion,
    publish_once,
    read_credentials,
    read_password,
    tls_context,
)

ANDON_ACTIONS: Final = ("raise", "acknowledge", "arrive", "resolve", "cancel")

ABOUT: Final = "A simulated plant of PLCs and Andon stations that publishes over MQTT; docs/devices.md says what."
RUN_EXAMPLES: Final = """examples:
  device-sim run                                   the shipped plant, real time; the demo's broker, else localhost:1883
  device-sim run --scale 60 --seed 7               a minute a second, other luck
  device-sim run --duration 30 --quiet             half a minute, then goodbye
  device-sim run --disturb wifi --truth truth.jsonl    connections that die, and what really happened
  device-sim run --disturb my-trouble.toml         disturbances of your own: docs/simulator.md
  device-sim run --broker plc-net:8883 --ca-file ca.crt --credentials secrets/
"""
SHOW_EXAMPLES: Final = """examples:
  device-sim disturbances                          the named profiles
  device-sim disturbances chaos --hours 2          what happens in the first two hours of one
"""
PRESS_EXAMPLES: Final = """examples:
  device-sim press Andon-L1 equipment                                    raise a call
  device-sim press Andon-L1 equipment --action acknowledge --operator ann
  device-sim press Andon-L1 equipment --action resolve
  device-sim press Andon-L4 quality --description "scratches on the lid"
"""


class UnknownName(Exception):
    """Raised for a station or call type that is not in the plant file; the message lists those that are."""

    def __init__(self, what: str, name: str, known: Sequence[str]) -> None:
        super().__init__(f"no {what} is called {name}{suggest(name, known)}\n  known: {', '.join(known)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, 130 after Ctrl-C, or 1 with an error and its remedy on stderr."""
    options = parser().parse_args(arguments)
    try:
        _run_command(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader closed the pipe: `device-sim list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (SimulationFileError, ProfileError, TruthFileError, BrokerError, UnknownName) as error:
        sys.stderr.write(f"device-sim: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run_command(options: argparse.Namespace) -> None:
    spec = plant_file.load(options.plant)
    match options.command:
        case "run":
            asyncio.run(run(_run_options(options, spec)))
        case "press":
            _press(options, spec)
        case "leave":
            count = asyncio.run(
                publish_leftovers(spec, profile.load(options.disturb, spec=spec), _broker(options), seed=options.seed)
            )
            _print(f"{count} retained leftovers published")
        case "disturbances":
            chosen = profile.load(options.profile, spec=spec) if options.profile else None
            if chosen is not None and options.kinds:
                for kind in dict.fromkeys(each.kind for each in chosen.disturbances):
                    _print(kind)
            else:
                print_profiles(chosen, spec, options)
        case _:
            _list(spec, tags=options.tags)


def _run_options(options: argparse.Namespace, spec: PlantSpec) -> RunOptions:
    show: DisplayMode = "table" if sys.stdout.isatty() else "lines"
    return RunOptions(
        spec=spec,
        broker=_broker(options),
        profile=profile.load(options.disturb, spec=spec) if options.disturb else Profile(name="undisturbed"),
        seed=options.seed,
        scale=options.scale,
        duration=options.duration,
        timestamps=options.timestamps or options.disturb is not None,
        truth_file=options.truth,
        cuts_file=options.cuts,
        show="nothing" if options.quiet else show,
    )


def _press(options: argparse.Namespace, spec: PlantSpec) -> None:
    line, station = _find_station(spec, options.station)
    if options.andon_type not in station.andon_types:
        raise UnknownName(f"call at {station.id}", options.andon_type, station.andon_types)
    body: dict[str, object] = {"action": options.action, "andon_type": options.andon_type}
    if options.description is not None:
        body["description"] = options.description
    if options.operator is not None:
        body["operator"] = options.operator
    broker = _broker(options)
    topic = report_topic(spec.site, line.area, line.id, station.id, "andon")
    # the running simulator is connected as the station: the same client id would disconnect it
    client_id = f"{broker.client_prefix}{station.id}-hand-{os.getpid()}"  # no dots: NATS rejects them
    asyncio.run(
        publish_once(broker, spec.identity(line, station.id), client_id=client_id, topic=topic, payload=encode(body))
    )
    _print(f"{station.id} ({line.id}): {options.action} {options.andon_type} -> {broker.root}/{topic}")


def _find_station(spec: PlantSpec, name: str) -> tuple[LineSpec, StationSpec]:
    for line, station in spec.stations():
        if station.id == name:
            return line, station
    raise UnknownName("station", name, [station.id for _, station in spec.stations()])


def _list(spec: PlantSpec, *, tags: bool) -> None:
    for line in spec.lines:
        _print(f"{spec.site}/{line.area}/{line.id}: {', '.join(line.products)}")
        for machine in line.machines:
            _print(f"  {machine.id}: {machine.controller}, {60 / machine.cycle_seconds:.0f} pieces/min")
            for field, tag in machine.tags.items() if tags else ():
                _print(f"    {field} <- {tag}")
        for station in line.stations:
            _print(f"  {station.id}: {station.form}; {', '.join(station.andon_types)}")


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _broker(options: argparse.Namespace) -> BrokerAccess:
    host, port = options.broker or default_broker(Path.cwd())
    return BrokerAccess(
        host=host,
        port=port,
        found_in="" if options.broker or (host, port) == DEFAULT_ADDRESS else f" (of {DEMO_SETTINGS_FILE})",
        root=options.root,
        username=options.username,
        password=read_password(options.password_file) if options.password_file else None,
        credentials=read_credentials(options.credentials) if options.credentials else {},
        client_prefix=options.client_prefix,
        tls=tls_context(options.ca_file),
        version=NegotiatedVersion(options.mqtt),
    )


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="device-sim", description=ABOUT)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    plain = argparse.RawDescriptionHelpFormatter

    running = commands.add_parser("run", help="run the plant", epilog=RUN_EXAMPLES, formatter_class=plain)
    running.add_argument(
        "--scale", type=_positive, default=1.0, metavar="N", help="simulated seconds in a real one (1)"
    )
    running.add_argument("--seed", type=int, default=1, metavar="N", help="same seed, same plant (1)")
    running.add_argument(
        "--duration", type=_positive, metavar="SECONDS", help="stop after so many real seconds of simulation"
    )
    running.add_argument("--timestamps", action="store_true", help="add ts, the simulated time, to every report")
    running.add_argument("--quiet", action="store_true", help="print nothing of what happens")
    _add_disturbed(running)
    _add_broker(running)

    pressing = commands.add_parser(
        "press", help="press at an Andon station", epilog=PRESS_EXAMPLES, formatter_class=plain
    )
    pressing.add_argument("station", metavar="STATION", help="id of a station; `device-sim list` names them")
    pressing.add_argument("andon_type", metavar="ANDON_TYPE", help=", ".join(ANDON_TYPES))
    pressing.add_argument("--action", choices=ANDON_ACTIONS, default="raise", help="what is done there (raise)")
    pressing.add_argument("--description", metavar="TEXT", help="what it is about")
    pressing.add_argument("--operator", metavar="NAME", help="who says to have done it")
    _add_broker(pressing)

    leaving = commands.add_parser("leave", help="retain on the broker what a profile says is left there")
    leaving.add_argument("--disturb", required=True, metavar="NAME|FILE", help="the profile")
    leaving.add_argument("--seed", type=int, default=1, metavar="N", help="of the run that follows (1)")
    _add_broker(leaving)

    showing = commands.add_parser(
        "disturbances", help="list profiles, or show what one does", epilog=SHOW_EXAMPLES, formatter_class=plain
    )
    showing.add_argument("profile", nargs="?", metavar="NAME|FILE", help="a profile, or a file of your own")
    showing.add_argument("--kinds", action="store_true", help="only the kinds of its disturbances, one a line")
    showing.add_argument("--hours", type=_positive, default=1.0, metavar="N", help="how much of it to show (1)")
    showing.add_argument("--seed", type=int, default=1, metavar="N", help="same seed, same trouble (1)")
    _add_plant(showing)

    listing = commands.add_parser("list", help="list lines, machines and stations")
    listing.add_argument("--tags", action="store_true", help="also which tag of a controller feeds which field")
    _add_plant(listing)
    return parser


def _add_disturbed(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("disturbances")
    group.add_argument(
        "--disturb", metavar="NAME|FILE", help=f"what goes wrong: {', '.join(profile.NAMES)}, or a TOML file; adds ts"
    )
    group.add_argument("--truth", type=Path, metavar="FILE", help="write what really happened, a JSON object a line")
    group.add_argument("--cuts", type=Path, metavar="FILE", help="announce cuts of bridge, broker and network there")


def _add_plant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plant", type=Path, default=plant_file.SHIPPED, metavar="FILE", help="plant file (shipped)")


def _add_broker(parser: argparse.ArgumentParser) -> None:
    _add_plant(parser)
    group = parser.add_argument_group("broker")
    group.add_argument(
        "--broker", type=_address, metavar="HOST:PORT", help="(the demo's, where this folder has one; 127.0.0.1:1883)"
    )
    group.add_argument("--root", type=_root, default="floor/v1", help="first levels of every topic (floor/v1)")
    group.add_argument("--mqtt", choices=("auto", "5", "3.1.1"), default="auto", help="5 where the broker speaks it")
    group.add_argument("--username", metavar="NAME", help="one account for every device")
    group.add_argument("--password-file", type=Path, metavar="FILE", help="its password")
    group.add_argument(
        "--credentials",
        type=Path,
        metavar="PATH",
        help="folder of mosquitto/make-passwords.sh, or lines of site/area/line/device:password",
    )
    group.add_argument("--client-prefix", default="", metavar="TEXT", help="before the device in each client id")
    group.add_argument("--ca-file", type=Path, metavar="FILE", help="speak TLS and trust this CA")


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:1883")
    return host.strip("[]"), int(port)


def _root(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no beginning of a topic, such as floor/v1")
    return text


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value
