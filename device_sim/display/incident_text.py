"""Incidents as text."""

from device_sim.disturbances.incidents import (
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


def describe_incident(incident: Incident) -> str:
    """Return a short description of an incident: `Bagger-1: power cut`."""
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
            return f"{device}: Will of another connection"
        case BrokerLost(keeps_session=kept):
            return f"broker: power cut{'' if kept else ', sessions and retained messages lost'}"
        case BridgeLinkLost(how=how):
            return f"bridge: connection to the broker {how}"
        case BridgeStopped(how=how):
            return f"bridge: {'power cut' if how == 'crash' else 'stopped'}"
        case _:
            raise AssertionError(incident)
