"""Rehearsals of lines of the shipped plant under disturbances that a test describes."""

import json
from itertools import islice
from typing import Any

from device_sim.disturbances.incidents import Incident
from device_sim.profile import Profile
from device_sim.rehearsal import ReceivedPublish, Rehearsal, rehearse
from tests.device_sim.sample_plants import MINUTE, SHIPPED, START

L1 = ("Basket-Loader-1", "Bagger-1", "Case-Packer-1", "Andon-L1")
Disturbed = dict[str, Any]


def profile(*disturbances: Disturbed, **more: Any) -> Profile:
    return Profile.model_validate({"disturbances": disturbances, **more})


def run(
    *disturbances: Disturbed, lines: str = "L1", minutes: float = 40, mqtt: Any = "5", **more: Any
) -> tuple[Rehearsal, list[ReceivedPublish]]:
    """Rehearse these lines with these disturbances; return the rehearsal, with its truth, and what arrived."""
    plant = SHIPPED.model_copy(update={"lines": tuple(line for line in SHIPPED.lines if line.id in lines.split())})
    rehearsal = rehearse(
        plant, profile(*disturbances, **more), seed=3, start=START, duration=round(minutes * MINUTE), mqtt=mqtt
    )
    return rehearsal, [arrival for arrival in rehearsal if isinstance(arrival, ReceivedPublish)]


def of(arrivals: list[ReceivedPublish], device: str, *kinds: str) -> list[Any]:
    """Return the decoded payloads of a device, of these kinds or of all."""
    bodies = []
    for arrival in arrivals:
        sender, kind = arrival.topic.split("/")[-2:]
        if sender == device and (not kinds or kind in kinds):
            bodies.append(json.loads(arrival.payload))
    return bodies


def incidents(disturbance: Disturbed, count: int) -> list[Incident]:
    return list(islice(profile(disturbance).incidents(SHIPPED, seed=1, start=START), count))
