"""Traits: the properties of a device in a run, as disturbances have set them."""

from dataclasses import dataclass, field
from typing import Literal

from device_sim.time_units import Millis


@dataclass(frozen=True, slots=True)
class Odds:
    """The probability of an effect on a message, and the range of its duration in seconds."""

    ratio: float
    seconds: tuple[float, float] = (0.0, 0.0)


NEVER = Odds(0.0)


@dataclass(frozen=True, slots=True)
class ClockTraits:
    """Errors of a device's clock; by default none. `stands_at`: it always shows this time."""

    offset: Millis = 0
    drift_ppm: float = 0.0
    stands_at: Millis | None = None
    whole_seconds: bool = False
    unset_seconds: tuple[float, float] | None = None  # after power-up: it shows 1970 for this long, until it is set


@dataclass(frozen=True, slots=True)
class Traits:
    """The properties of a device; the defaults follow docs/devices.md."""

    clock: ClockTraits = field(default_factory=ClockTraits)
    ts: bool = True
    boot_ids: Literal["time", "counter", "none"] = "time"
    seq: bool = True
    seq_modulus: int | None = None  # where its seq wraps; None: never
    qos0: tuple[str, ...] = ()  # kinds that are published with QoS 0
    retain: bool = False
    keeps: Literal["actions", "all"] = "actions"  # stored while offline
    latency_ms: tuple[float, float] = (2.0, 25.0)
    resend: Odds = NEVER
    reorder: Odds = NEVER
    glitch_ratio: float = 0.0
    glitch_to: int | None = 0  # None: any value
    dip_ratio: float = 0.0
    dip_pieces: int = 0
    near_wrap: int | None = None  # pieces before its registers wrap, at the start
    late_will: Odds = NEVER
    leftovers: tuple[str, ...] = ()  # kinds that the broker holds retained from an earlier run
    leftover_boot_id: bool = False
    gateway: str | None = None  # the uplink it shares; None: a connection of its own

    @property
    def has_identity(self) -> bool:
        """Whether a resent report can be distinguished from a second one. Source: docs/devices.md."""
        numbered = self.boot_ids != "none" and self.seq
        return numbered or (self.ts and self.clock.stands_at is None and not self.clock.whole_seconds)
