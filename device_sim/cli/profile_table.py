"""Profiles on the terminal: their list, and the incidents of one."""

import argparse
from itertools import takewhile
from typing import Final

from rich.console import Console
from rich.table import Column, Table

from device_sim import profile
from device_sim.disturbances.incidents import (  # fmt: skip
    BridgeLinkLost,
    BridgeStopped,
    BrokerLost,
    ForeignDeath,
    Incident,
    LinkLost,
    MalformedPayload,
    PowerLost,
    RegisterSet,
)
from device_sim.plant_file import PlantSpec
from device_sim.profile import Profile
from device_sim.time_units import MINUTE, Millis

NOT_FIELDS: Final = {"kind", "devices", "share"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise the error that `main` handles for all output; rich would exit with 1."""
        raise BrokenPipeError


def print_profiles(chosen: Profile | None, spec: PlantSpec, options: argparse.Namespace) -> None:
    """Print the shipped profiles, or the disturbances of one and their incidents in its first hours."""
    console = _Console(highlight=False)
    if chosen is None:
        table = Table("profile", "what goes wrong", box=None, pad_edge=False)
        for name in profile.NAMES:
            table.add_row(f"[bold]{name}[/]", profile.load(name).about)
        console.print(table)
        return
    console.print(f"[bold]{chosen.name}[/]: {chosen.about}")
    table = Table("disturbance", "devices", "", box=None, pad_edge=False)
    for disturbance in chosen.disturbances:
        fields = disturbance.model_dump(exclude_unset=True, exclude=NOT_FIELDS)
        share = "" if disturbance.share == 1 else f"{disturbance.share:.0%} of "
        table.add_row(
            disturbance.kind,
            share + ", ".join(disturbance.devices).replace("*", "all" if disturbance.devices == ("*",) else "*"),
            ", ".join(f"{name} {_plain(value)}" for name, value in fields.items()),
        )
    console.print(table)
    end = round(options.hours * 60 * MINUTE)
    title = f"first {options.hours:g} h, seed {options.seed}"
    incident_table = Table(
        "after", "what", Column("for", justify="right"), title=title, title_justify="left", box=None, pad_edge=False
    )
    incidents = chosen.incidents(spec, seed=options.seed, start=0)
    for incident in takewhile(lambda incident: incident.at < end, incidents):
        seconds = (incident.until - incident.at) / 1_000
        incident_table.add_row(_after(incident.at), describe_incident(incident), f"{seconds:.0f} s" if seconds else "")
    if incident_table.row_count:
        console.print()
        console.print(incident_table)


def describe_incident(incident: Incident) -> str:
    """Return a short description of an incident."""
    match incident:
        case PowerLost(device=device, counters_kept=kept, orderly=orderly):
            return f"{device}: {'switched off' if orderly else 'power cut'}{'' if kept else ', counters lost'}"
        case LinkLost(uplink=uplink):
            return f"{'gateway of ' + uplink[2:] if uplink.startswith('_/') else uplink}: connection lost"
        case RegisterSet(device=device, to=to):
            return f"{device}: registers set to {to}"
        case MalformedPayload(device=device, kind=kind):
            return f"{device}: malformed {kind}"
        case ForeignDeath(device=device):
            return f"{device}: a Will that is not its own"
        case BrokerLost(keeps_session=kept):
            return f"broker: power cut{'' if kept else ', its memory lost'}"
        case BridgeLinkLost():
            return "bridge: network to the broker lost"
        case BridgeStopped(how=how):
            return f"bridge: {'power cut' if how == 'crash' else 'stopped'}"
        case _:
            raise AssertionError(incident)


def _after(at: Millis) -> str:
    seconds = at // 1_000
    return f"{seconds // 3_600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _plain(value: object) -> str:
    if not isinstance(value, tuple):
        return str(value)
    return " to ".join(_plain(item) for item in value)
