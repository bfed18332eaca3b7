"""Measured values that drift out of their limits, and inspection samples with periods of many defects."""

from device_sim.plant.machine import TICK
from device_sim.plant_file import InspectionSpec, ParameterSpec
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import MINUTE, SECOND, Millis


class MeasuredParameter:
    """A value around its centre: it drifts while the machine runs, leaves its limits, and is corrected."""

    def __init__(self, spec: ParameterSpec, rng: SeededRandom) -> None:
        self.spec = spec
        self._rng = rng
        self._offset = 0.0
        self._drift = 0.0  # per tick
        self._correct_at: Millis | None = None
        self._correct()

    @property
    def is_out_of_limits(self) -> bool:
        return abs(self._offset) > self.spec.tolerance

    def tick(self, now: Millis, *, running: bool) -> None:
        if self._correct_at is not None and now >= self._correct_at:
            self._correct()
            return
        if running:
            self._offset += self._drift
        if self.is_out_of_limits and self._correct_at is None:
            self._correct_at = now + self._rng.duration(*self.spec.correct_seconds)

    def measure(self) -> float:
        return round(self.spec.center + self._offset + self._rng.gauss(self.spec.sigma), 3)

    def _correct(self) -> None:
        self._correct_at = None
        self._offset = self._rng.uniform(-0.2, 0.2) * self.spec.tolerance
        ticks = self.spec.minutes_to_limit * self._rng.uniform(0.5, 1.5) * MINUTE / TICK
        self._drift = self._rng.choice((-1, 1)) * self.spec.tolerance / ticks


class InspectionSampler:
    """Samples of pieces with few defects, and with many during bad periods."""

    def __init__(self, spec: InspectionSpec, rng: SeededRandom, now: Millis) -> None:
        self.spec = spec
        self._rng = rng
        self._bad_from = now + rng.exponential(round(spec.mean_minutes_between_bad * MINUTE))
        self._bad_until = self._bad_from
        self._extend()

    def count_defects(self, now: Millis) -> int:
        """Return how many pieces of the sample taken now are defective."""
        if now >= self._bad_until:
            self._bad_from = now + self._rng.exponential(round(self.spec.mean_minutes_between_bad * MINUTE))
            self._extend()
        ratio = self.spec.bad_defect_ratio if now >= self._bad_from else self.spec.defect_ratio
        return sum(self._rng.happens(ratio) for _ in range(self.spec.sample))

    def _extend(self) -> None:
        low, high = self.spec.bad_minutes
        self._bad_until = self._bad_from + round(self._rng.uniform(low, high) * 60 * SECOND)
