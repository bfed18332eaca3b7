"""`device-sim disturbances`: the named profiles, and what a profile does."""

import argparse
import sys
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Column, Table

from device_sim import profile
from device_sim.cli.options import add_plant, add_seed, new_parser, positive, read_plant
from device_sim.display.incident_text import describe_incident
from device_sim.plant_file import PlantSpec
from device_sim.profile import Profile
from device_sim.time_units import MINUTE, SECOND, Millis

if TYPE_CHECKING:
    from device_sim.cli.options import Commands

EXAMPLES: Final = """\
  device-sim disturbances                   the named profiles
  device-sim disturbances chaos --hours 2   the disturbances of one, and its incidents in the first two hours
"""
NOT_SETTINGS: Final = {"kind", "devices", "share"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise the error that `main` handles for all output; rich would exit with 1."""
        raise BrokenPipeError


def add_parser(commands: "Commands") -> None:
    parser = new_parser(
        commands, "disturbances", about="list the disturbance profiles, or show what one does", examples=EXAMPLES
    )
    parser.set_defaults(execute=execute)
    parser.add_argument("profile", nargs="?", metavar="NAME|FILE", help="a named profile, or a TOML file of your own")
    parser.add_argument("--kinds", action="store_true", help="list only the kinds of its disturbances, one per line")
    parser.add_argument(
        "--hours", type=positive, default=1.0, metavar="N", help="hours of incidents to show (default: 1)"
    )
    add_seed(parser, "seed of the simulation; the same seed gives the same incidents")
    add_plant(parser)


def execute(options: argparse.Namespace) -> None:
    spec = read_plant(options)
    console = _Console(highlight=False)
    if options.profile is None:
        console.print(_profile_table())
        return
    chosen = profile.load(options.profile, spec=spec)
    if options.kinds:
        sys.stdout.writelines(f"{kind}\n" for kind in dict.fromkeys(one.kind for one in chosen.disturbances))
        return
    console.print(f"[bold]{chosen.name}[/]: {chosen.about}\n")
    console.print(_disturbance_table(chosen))
    incidents = _incident_table(chosen, spec, hours=options.hours, seed=options.seed)
    if incidents.row_count:
        console.print()
        console.print(incidents)


def _profile_table() -> Table:
    table = Table("profile", "failures", box=None, pad_edge=False)
    for name in profile.NAMES:
        table.add_row(f"[bold]{name}[/]", profile.load(name).about)
    return table


def _disturbance_table(chosen: Profile) -> Table:
    table = Table("disturbance", "devices", "settings", box=None, pad_edge=False)
    for disturbance in chosen.disturbances:
        devices = "all" if disturbance.devices == ("*",) else ", ".join(disturbance.devices)
        share = "" if disturbance.share == 1 else f"{disturbance.share:.0%} of "
        settings = disturbance.model_dump(exclude_unset=True, exclude=NOT_SETTINGS)
        table.add_row(
            disturbance.kind,
            share + devices,
            ", ".join(f"{name} {_setting_text(value)}" for name, value in settings.items()),
        )
    return table


def _incident_table(chosen: Profile, spec: PlantSpec, *, hours: float, seed: int) -> Table:
    title = f"incidents of the first {'hour' if hours == 1 else f'{hours:g} hours'} with seed {seed}"
    table = Table("time", "incident", Column("duration", justify="right"), title=title, box=None, pad_edge=False)
    table.title_justify = "left"
    end = round(hours * 60 * MINUTE)
    for incident in takewhile(lambda incident: incident.at < end, chosen.incidents(spec, seed=seed, start=0)):
        seconds = (incident.until - incident.at) / SECOND
        table.add_row(_elapsed(incident.at), describe_incident(incident), f"{seconds:.0f} s" if seconds else "")
    return table


def _elapsed(at: Millis) -> str:
    """Return a time since the start as `1:23:45`."""
    seconds = at // SECOND
    return f"{seconds // 3_600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _setting_text(value: object) -> str:
    """Return a setting as text: a range of numbers as `5 to 60`, several names as `L1, L3`."""
    if isinstance(value, tuple):
        separator = ", " if isinstance(value[0], str) else " to "
        return separator.join(map(_setting_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
