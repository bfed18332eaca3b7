"""File of outages that another program must carry out: those of the bridge, the broker and the network between them."""

import json
from pathlib import Path

from device_sim.disturbances.incidents import BridgeLinkLost, BridgeStopped, BrokerLost, Incident
from device_sim.time_units import SECOND
from device_sim.truth.truth import BridgeOutage


class CutsFile:
    """A file with one JSON object per cut, written when it begins; emptied at the start of the run."""

    def __init__(self, path: Path, *, scale: float) -> None:
        self._path = path
        self._scale = scale
        path.write_text("")

    def announce(self, incident: Incident) -> float:
        """Announce a cut to the program that carries it out, and return its real seconds."""
        seconds = (incident.until - incident.at) / SECOND / self._scale
        part, how = _part_and_how(incident)
        forgets = isinstance(incident, BrokerLost) and not incident.keeps_session
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"part": part, "how": how, "seconds": seconds, "forgets": forgets}) + "\n")
        return seconds


def announced_outage(incident: Incident) -> BridgeOutage | None:
    """Return the outage of the bridge that an announced cut causes, as the truth records it.

    None for a cut of the network: some of the programs that carry out the other cuts do not carry out this one.
    """
    since, until = incident.at, incident.until
    match incident:
        case BrokerLost(keeps_session=kept):
            return BridgeOutage(since, until, "link", queued=kept, broker=True)
        case BridgeStopped(how=how):
            return BridgeOutage(since, until, how, queued=True, broker=False)
        case _:
            return None


def _part_and_how(incident: Incident) -> tuple[str, str]:
    match incident:
        case BrokerLost():
            return "broker", "link"
        case BridgeStopped(how=how):
            return "bridge", how
        case BridgeLinkLost(how=how):
            return "network", how
        case _:
            raise AssertionError(incident)
