"""`device-sim press`: one action at an Andon station."""

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING, Final

from device_sim.cli.options import add_broker, add_plant, broker_access, new_parser, read_plant
from device_sim.errors import UnknownName
from device_sim.mqtt.broker_access import publish_once
from device_sim.plant_file import ANDON_TYPES, LineSpec, PlantSpec, StationSpec
from device_sim.reports import encode, report_topic

if TYPE_CHECKING:
    from device_sim.cli.options import Commands

ACTIONS: Final = ("raise", "acknowledge", "arrive", "resolve", "cancel")
EXAMPLES: Final = """\
  device-sim press Andon-L1 equipment
  device-sim press Andon-L1 equipment --action acknowledge --operator ann
  device-sim press Andon-L1 equipment --action resolve
  device-sim press Andon-L4 quality --description "scratches on the lid"
"""


def add_parser(commands: "Commands") -> None:
    parser = new_parser(
        commands, "press", about="publish one action of an Andon station; works while a run goes on", examples=EXAMPLES
    )
    parser.set_defaults(execute=execute)
    parser.add_argument("station", metavar="STATION", help="id of a station; `device-sim list` shows them")
    parser.add_argument("andon_type", metavar="ANDON_TYPE", help=f"type of the call: {', '.join(ANDON_TYPES)}")
    parser.add_argument(
        "--action", choices=ACTIONS, default="raise", metavar="ACTION",
        help=f"{', '.join(ACTIONS[:-1])} or {ACTIONS[-1]} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--description", metavar="TEXT", help="description of the problem")
    parser.add_argument("--operator", metavar="NAME", help="who does it")
    add_plant(parser)
    add_broker(parser)


def execute(options: argparse.Namespace) -> None:
    spec = read_plant(options)
    line, station = _find_station(spec, options.station)
    if options.andon_type not in station.andon_types:
        raise UnknownName(f"Andon type at {station.id}", options.andon_type, station.andon_types)
    body: dict[str, object] = {"action": options.action, "andon_type": options.andon_type}
    if options.description is not None:
        body["description"] = options.description
    if options.operator is not None:
        body["operator"] = options.operator
    broker = broker_access(options)
    topic = report_topic(spec.site, line.area, line.id, station.id, "andon")
    # the running simulator is connected as the station: the same client id would disconnect it
    client_id = f"{broker.client_prefix}{station.id}-hand-{os.getpid()}"  # no dots: NATS rejects them
    asyncio.run(
        publish_once(broker, spec.identity(line, station.id), client_id=client_id, topic=topic, payload=encode(body))
    )
    sys.stdout.write(f"{station.id} ({line.id}): {options.action} {options.andon_type} -> {broker.root}/{topic}\n")


def _find_station(spec: PlantSpec, name: str) -> tuple[LineSpec, StationSpec]:
    for line, station in spec.stations():
        if station.id == name:
            return line, station
    raise UnknownName("station", name, [station.id for _, station in spec.stations()])
