"""Traits: what a device is like for the whole of a run, as disturbances have shaped it."""

from dataclasses import dataclass, field
from typing import Literal

from device_sim.chance import Millis


@dataclass(frozen=True, slots=True)
class Odds:
    """How often something happens to a report, and how long it takes, in seconds."""

    ratio: float
    seconds: tuple[float, float] = (0.0, 0.0)


NEVER = Odds(0.0)


@dataclass(frozen=True, slots=True)
class ClockTraits:
    offset: Millis = 0
    drift_ppm: float = 0.0
    stands_at: Millis | None = None
    whole_seconds: bool = False
    unset_seconds: tuple[float, float] | None = None  # after power-up: it shows 1970 this long, until it is set


@dataclass(frozen=True, slots=True)
class Traits:
    """The defaults are a device that does what docs/devices.md asks for."""

    clock: ClockTraits = field(default_factory=ClockTraits)
    ts: bool = True
    boot_ids: Literal["time", "counter", "none"] = "time"
    seq: bool = True
    seq_modulus: int | None = None  # where its seq wraps; None: never
    qos0: tuple[str, ...] = ()  # kinds that are published with QoS 0
    retain: bool = False
    keeps: Literal["actions", "all"] = "actions"  # while it has no connection
    latency_ms: tuple[float, float] = (2.0, 25.0)
    resend: Odds = NEVER
    reorder: Odds = NEVER
    glitch_ratio: float = 0.0
    glitch_to: int | None = 0  # None: any value
    dip_ratio: float = 0.0
    dip_pieces: int = 0
    near_wrap: int | None = None  # pieces before its registers wrap, at the start
    late_will: Odds = NEVER
    leftovers: tuple[str, ...] = ()  # kinds that the broker has retained from an earlier life
    leftover_boot_id: bool = False
    gateway: str | None = None  # the uplink it shares; None: a connection of its own

    @property
    def has_identity(self) -> bool:
        """Whether a repeated report can be distinguished from a second one: docs/devices.md."""
        numbered = self.boot_ids != "none" and self.seq
        return numbered or (self.ts and self.clock.stands_at is None and not self.clock.whole_seconds)
