"""Incidents: single things that go wrong at a time, with a device, its connection, the broker or the bridge.

Disturbances plan them (`disturbance.py`); the rehearsal and the real links play them.
"""

from dataclasses import dataclass
from typing import Literal

from device_sim.chance import Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Begins at `at`, in milliseconds since 1970, true time; ends at `until`, the same for what has no length."""

    at: Millis
    until: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLost(Incident):
    """A device has no power; a machine stands meanwhile. What its memory held and had not sent is lost."""

    device: str
    counters_kept: bool = True
    orderly: bool = False  # it says goodbye first: a shutdown, not a cut


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLost(Incident):
    """A connection dies without a DISCONNECT; `uplink` is a device, or `_/LINE` for the gateway of a line."""

    uplink: str
    noticed_after: Millis = 0  # when the broker notices and publishes the Will


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSet(Incident):
    """Somebody sets the counter registers of a machine: to 0 or to another value."""

    device: str
    to: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedPayload(Incident):
    """A payload that is no report arrives on a topic of a device."""

    device: str
    kind: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignDeath(Incident):
    """A Will that is not of the device's connection arrives on its topic: an older one, or of another client."""

    device: str
    boot_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLost(Incident):
    """The broker has no power: every connection dies and no Will is published."""

    keeps_session: bool = True  # the bridge's session and its queue, and what is retained, survive


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLinkLost(Incident):
    """The network between the broker and the bridge is away."""

    how: Literal["silent", "reset"] = "silent"  # whether the ends of its connections hear of it


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeStopped(Incident):
    """The bridge itself is away."""

    how: Literal["crash", "stop"] = "crash"


BRIDGE_SIDE_INCIDENTS = (BrokerLost, BridgeLinkLost, BridgeStopped)
