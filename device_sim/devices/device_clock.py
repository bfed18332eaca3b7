"""The clock of a device: off by some time, drifting, stopped, or unset after power-up."""

from device_sim.disturbances.traits import ClockTraits
from device_sim.seeded_random import SeededRandom
from device_sim.time_units import Millis
from device_sim.truth.truth import ClockTruth, Truth


class DeviceClock:
    """Shows a device's time with the errors of its traits, and notes them in the truth."""

    def __init__(self, device: str, traits: ClockTraits, rng: SeededRandom, start: Millis, truth: Truth) -> None:
        self._device = device
        self._traits = traits
        self._rng = rng
        self._start = start
        self._truth = truth
        self._powered_at = start
        self._set_at = start
        self.power_up(start)

    def power_up(self, at: Millis) -> None:
        self._powered_at = self._set_at = at
        if self._traits.unset_seconds is not None:
            self._set_at = at + self._rng.duration(*self._traits.unset_seconds)
            self._note(at, -at)
        self._note(self._set_at, self._traits.offset)

    def read(self, at: Millis) -> Millis:
        traits = self._traits
        if traits.stands_at is not None:
            return traits.stands_at
        shown = at - self._powered_at  # not set yet: it counts from 1970
        if at >= self._set_at:
            shown = at + traits.offset + round(traits.drift_ppm * (at - self._start) / 1e6)
        return shown // 1_000 * 1_000 if traits.whole_seconds else shown

    def _note(self, since: Millis, offset: Millis) -> None:
        traits = self._traits
        self._truth.clocks.append(
            ClockTruth(self._device, since, offset, traits.stands_at, traits.whole_seconds, traits.drift_ppm)
        )
