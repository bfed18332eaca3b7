"""Incidents: single failures of a device, its connection, the broker or the bridge.

Disturbances plan them (`disturbance.py`); the rehearsal and the real run play them.
"""

from dataclasses import dataclass
from typing import Literal

from device_sim.time_units import Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A failure from `at` until `until`, true time in milliseconds since 1970; both are equal if it has no duration."""

    at: Millis
    until: Millis


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerLost(Incident):
    """A device has no power, and its machine is stopped. Unsent reports in its memory are lost."""

    device: str
    counters_kept: bool = True
    orderly: bool = False  # it publishes its death first: a shutdown, not a cut


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkLost(Incident):
    """A connection dies without a DISCONNECT; `uplink` is a device, or `_/LINE` for the gateway of a line."""

    uplink: str
    noticed_after: Millis = 0  # time until the broker notices and publishes the Will


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterSet(Incident):
    """Somebody sets the counter registers of a machine: to 0 or to another value."""

    device: str
    to: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedPayload(Incident):
    """An invalid payload arrives on a topic of a device."""

    device: str
    kind: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignDeath(Incident):
    """A Will of an older connection, or of another client, arrives on the device's topic."""

    device: str
    boot_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLost(Incident):
    """The broker has no power: every connection dies and no Will is published."""

    keeps_session: bool = True  # the bridge's session, its queue and the retained messages survive


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeLinkLost(Incident):
    """The network between the broker and the bridge is down."""

    how: Literal["silent", "reset"] = "silent"  # whether its connections stall or end


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeStopped(Incident):
    """The bridge itself is down."""

    how: Literal["crash", "stop"] = "crash"


BRIDGE_SIDE_INCIDENTS = (BrokerLost, BridgeLinkLost, BridgeStopped)
