"""A simulated machine: it runs, jams, breaks down, waits for its neighbours, and makes good pieces and rejects.

Pure: time and randomness are passed in. A machine advances in ticks of one simulated second.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from device_sim.plant_file import FaultSpec, MachineSpec
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import MINUTE, SECOND, Millis

TICK: Final[Millis] = SECOND
ENDLESS: Final = 1_000_000  # supply of the first machine, free places after the last
PATIENCE_CYCLES: Final = 5  # a machine runs empty this long before it is starved or blocked
RESTART_PIECES: Final = 3  # pieces, or free places, that it needs to start again


class Condition(StrEnum):
    """Conditions of a machine: running, or stopped for one cause."""

    IDLE = "idle"
    SETUP = "setup"
    BREAK = "break"
    RUNNING = "running"
    JAMMED = "jammed"
    FAULT = "fault"
    STARVED = "starved"
    BLOCKED = "blocked"
    OFF = "off"  # without power


class Demand(StrEnum):
    """The line's demand on its machines."""

    NOTHING = "nothing"
    SETUP = "setup"
    BREAK = "break"
    RUN = "run"


RESTING: Final = {
    Demand.NOTHING: Condition.IDLE,
    Demand.SETUP: Condition.SETUP,
    Demand.BREAK: Condition.BREAK,
}


@dataclass(frozen=True, slots=True)
class MachineStep:
    """Pieces taken from upstream and good pieces passed downstream; the difference was rejected."""

    taken: int = 0
    passed: int = 0


NOTHING: Final = MachineStep()


class SimulatedMachine:
    """One machine: its condition, counts and active faults."""

    def __init__(self, spec: MachineSpec, rng: SeededRandom, now: Millis) -> None:
        self.spec = spec
        self.condition = Condition.IDLE
        self.since = now
        self.total = 0
        self.good = 0
        self.product: str | None = None
        self.faults: tuple[FaultSpec, ...] = ()
        self.reason: str | None = None
        self._rng = rng
        self._stopped_until = now
        self._reason_at: Millis | None = None
        self._waiting_since: Millis | None = None
        self._to_fault = rng.exponential(round(spec.mean_minutes_between_faults * MINUTE))
        self._to_jam = rng.exponential(round(spec.mean_minutes_between_jams * MINUTE))
        self._progress = 0.0
        self._slowness = 1.0
        self._startup_left = 0
        self._locked_out_at: Millis | None = None

    @property
    def made(self) -> dict[str, int]:
        return {"total": self.total, "good": self.good, "reject": self.reject}

    @property
    def reject(self) -> int:
        return self.total - self.good

    @property
    def rated_speed(self) -> float:
        """Pieces a minute at the ideal cycle."""
        return round(60 / self.spec.cycle_seconds, 1)

    @property
    def speed(self) -> float:
        return round(self.rated_speed / self._slowness, 1) if self.condition is Condition.RUNNING else 0.0

    def change_product(self, product: str, *, startup_rejects: bool) -> None:
        self.product = product
        self._startup_left = 2 * self.spec.startup_rejects if startup_rejects else 0

    def is_locked_out(self, now: Millis) -> bool:
        """Return whether its power is switched off for a repair."""
        return self._locked_out_at is not None and self._locked_out_at <= now < self._stopped_until

    def power_off(self, now: Millis) -> None:
        """Stop it without power; a fault remains and is repaired meanwhile."""
        self._set_condition(Condition.OFF, now)

    def power_on(self, now: Millis) -> None:
        """Restore power: in `FAULT` while a repair lasts, else in `IDLE`."""
        self._waiting_since = None
        self._set_condition(Condition.FAULT if self.faults and now < self._stopped_until else Condition.IDLE, now)
        if self.condition is Condition.IDLE:
            self.faults, self.reason, self._reason_at, self._locked_out_at = (), None, None, None

    def tick(self, now: Millis, *, demand: Demand, supply: int, room: int) -> MachineStep:
        """Advance by the second that ends at `now`."""
        if self.condition is Condition.OFF:
            return NOTHING
        if self._is_stopped(now):
            return NOTHING
        if demand is not Demand.RUN:
            self._waiting_since = None
            self._set_condition(RESTING[demand], now)
            return NOTHING
        if not self._can_work(now, supply, room):
            return NOTHING
        self._set_condition(Condition.RUNNING, now)
        if self._stops(now):
            return NOTHING
        return self._make(supply, room)

    def _is_stopped(self, now: Millis) -> bool:
        if self.condition not in (Condition.FAULT, Condition.JAMMED):
            return False
        if self._reason_at is not None and now >= self._reason_at and self.faults:
            self.reason = self.faults[0].reason
        if now < self._stopped_until:
            return True
        self.faults, self.reason, self._reason_at, self._locked_out_at = (), None, None, None
        self._set_condition(Condition.IDLE, now)  # repaired; the line's demand decides whether it runs
        return False

    def _can_work(self, now: Millis, supply: int, room: int) -> bool:
        if self.condition is Condition.STARVED and supply < RESTART_PIECES:
            return False
        if self.condition is Condition.BLOCKED and room < min(RESTART_PIECES, self.spec.buffer):
            return False
        if supply > 0 and room > 0:
            self._waiting_since = None
            return True
        if self._waiting_since is None:
            self._waiting_since = now
        patience = max(5 * SECOND, round(PATIENCE_CYCLES * self.spec.cycle_seconds * SECOND))
        if now - self._waiting_since >= patience:
            self._set_condition(Condition.STARVED if supply == 0 else Condition.BLOCKED, now)
        return False

    def _set_condition(self, condition: Condition, now: Millis) -> None:
        if condition is self.condition:
            return
        if condition is Condition.RUNNING:
            self._slowness = self._rng.uniform(1.0, 1.12)
        self.condition, self.since = condition, now

    def _stops(self, now: Millis) -> bool:
        self._to_fault -= TICK
        self._to_jam -= TICK
        if self._to_fault <= 0:
            self._break_down(now)
            return True
        if self._to_jam <= 0:
            self._to_jam = self._rng.exponential(round(self.spec.mean_minutes_between_jams * MINUTE))
            self._stopped_until = now + self._rng.duration(*self.spec.jam_seconds)
            self._set_condition(Condition.JAMMED, now)
            return True
        return False

    def _break_down(self, now: Millis) -> None:
        self._to_fault = self._rng.exponential(round(self.spec.mean_minutes_between_faults * MINUTE))
        first = self._rng.choice(self.spec.faults)
        also = self._rng.choice(self.spec.faults)  # one fault often trips another
        self.faults = (first, also) if also != first and self._rng.happens(0.3) else (first,)
        low, high = self._repair_minutes()
        self._stopped_until = now + self._rng.duration(low * 60, high * 60)
        if self.spec.lock_out_ratio and self._rng.happens(self.spec.lock_out_ratio):
            self._locked_out_at = now + self._rng.duration(60, 180)
        self._reason_at = now + self._rng.duration(45, 150) if self._rng.happens(0.6) else None
        self._set_condition(Condition.FAULT, now)

    def _repair_minutes(self) -> tuple[float, float]:
        long = self.spec.long_repair_ratio > 0 and self._rng.happens(self.spec.long_repair_ratio)
        return self.spec.long_repair_minutes if long else self.spec.repair_minutes

    def _make(self, supply: int, room: int) -> MachineStep:
        self._progress += TICK / (self.spec.cycle_seconds * SECOND * self._slowness)
        pieces = min(int(self._progress), supply, room)
        self._progress = min(self._progress - pieces, 1.0)
        passed = sum(self._is_good() for _ in range(pieces))
        self.total += pieces
        self.good += passed
        return MachineStep(pieces, passed)

    def _is_good(self) -> bool:
        if self._startup_left > 0:
            self._startup_left -= 1
            return not self._rng.happens(0.5)
        return not self._rng.happens(self.spec.reject_ratio)
