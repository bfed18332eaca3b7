"""What a plant had to bear of an attack, what that is compared with, and whether it is within the bounds."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.attack.attackers import Counts
from tests.attack.probe import Visits
from tests.attack.shape import Shape
from tests.bench.judgement import BUSY_MACHINE, judge

GROWN_BYTES: Final = 128 * 2**20
EVENTS_PER_SECOND: Final = 450  # of the 500: fewer, and the plant was not what it is said to be
MIB: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an attack may do.

    `percent`: the percentile of the alarms that is compared; `times`: how many times as late it may be as without the
    attack. `ready_seconds`: for an answer about readiness. `on_any_machine`: a machine that is too slow for the plant,
    or busy, is no failure.
    """

    percent: int
    times: float
    ready_seconds: float
    on_any_machine: bool


Histogram = Counter[int]
"""How many alarms came so late, in ns; each value is at most 1 % too high."""


def percentile_ms(latencies: Histogram, percent: int) -> float:
    """Return the nearest rank in ms; infinity if there is none."""
    rank, seen = max(1, -(-latencies.total() * percent // 100)), 0
    for value in sorted(latencies):
        seen += latencies[value]
        if seen >= rank:
            return value / 1e6
    return math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Some seconds with attackers, against the bridge or beside it.

    `expected`: alarms that had to come to all dashboards together. `cores` and `waited` as in `Usage`.
    """

    latencies: Histogram
    expected: int
    visits: Visits
    attackers: Sequence[Counts]
    cores: Mapping[str, float]
    waited: float

    @property
    def missing(self) -> int:
        return self.expected - self.latencies.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """A shape of attack against a bridge, and before it the same against another server, beside the same plant.

    `grown_bytes`, `descriptors`: the most that the bridge had more, and open, during the attack. `counters`: by how
    much those of its web server went up, of those that it has.
    """

    shape: Shape
    baseline: Phase
    attack: Phase
    events_per_second: float
    links_lost: int
    dashboards_lost: int
    has_ended: bool
    grown_bytes: int
    descriptors: int
    counters: Mapping[str, float] = field(default_factory=dict)

    @property
    def has_left_the_plant_whole(self) -> bool:
        """Return whether another attack may be measured beside the same plant."""
        return not (self.has_ended or self.dashboards_lost or self.attack.missing or self.baseline.missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackRow:
    """A measurement, with the alarms of all baselines of its run."""

    measurement: Measurement
    baselines: Histogram
    bounds: Bounds
    again: bool = False

    @property
    def times(self) -> float:
        """Return how many times as late the alarms came as without an attack."""
        percent = self.bounds.percent
        return percentile_ms(self.measurement.attack.latencies, percent) / percentile_ms(self.baselines, percent)

    @property
    def is_late(self) -> bool:
        return not self.times <= self.bounds.times

    @property
    def is_only_late(self) -> bool:
        """Return whether this may be noise of the machine."""
        return self.is_late and len(list(self.faults())) == 1 and not list(self.reasons_against())

    def faults(self) -> Iterator[str]:
        """Yield what is out of its bounds."""
        measurement, attack = self.measurement, self.measurement.attack
        unserved = sum(map(math.isinf, attack.visits.newcomers))
        slowest = max(attack.visits.readiness)
        if measurement.has_ended:
            yield "the bridge has ended"
        if self.is_late:
            yield f"alarms {self.times:.1f} times as late"
        if attack.missing:
            yield f"{attack.missing:,} alarms missing" if attack.missing > 0 else f"{-attack.missing:,} alarms doubled"
        if measurement.dashboards_lost:
            yield f"{measurement.dashboards_lost} dashboards lost"
        if measurement.links_lost:
            yield f"{measurement.links_lost} broker links lost"
        if slowest >= self.bounds.ready_seconds:
            yield f"readiness {_seconds(slowest)}"
        if unserved:
            yield f"{unserved} of {len(attack.visits.newcomers)} newcomers not served"
        if measurement.grown_bytes > GROWN_BYTES:
            yield f"{measurement.grown_bytes / MIB:.0f} MiB more"

    def reasons_against(self) -> Iterator[str]:
        """Yield why the row says nothing about the bridge."""
        yield from self._machines_reasons()
        yield from self._attackers_reasons()
        if not self.measurement.counters.get(budget := self.measurement.shape.budget):
            yield f"{budget} did not go up: the attack missed it"

    def _machines_reasons(self) -> Iterator[str]:
        measurement = self.measurement
        if measurement.events_per_second < EVENTS_PER_SECOND:
            yield f"{measurement.events_per_second:.0f} events a second"
        if measurement.baseline.missing:
            yield "alarms missing before the attack"
        judgement = judge(measurement.attack.cores, ["bridge"], waited=measurement.attack.waited)
        if judgement.invalid:
            yield judgement.invalid

    def _attackers_reasons(self) -> Iterator[str]:
        measurement = self.measurement
        for attack, counts in zip(measurement.shape.attacks, measurement.attack.attackers, strict=True):
            if not (counts.sent if attack.sends else counts.opened):
                yield "an attacker did nothing"

    @property
    def has_passed(self) -> bool:
        return not any((*self.reasons_against(), *self.faults()))

    @property
    def has_failed(self) -> bool:
        """Return whether this fails the run. On a busy machine attackers come last, and may not use up a budget."""
        if self.bounds.on_any_machine and any(self._machines_reasons()):
            return any(self._attackers_reasons())
        return not self.has_passed

    @property
    def result(self) -> str:
        """Return `passed` or what is against it, and what is to be known besides.

        `waited`: the part of the time in which the bridge could have run and had no processor, without any attack.
        """
        against, faults = ", ".join(self.reasons_against()), ", ".join(self.faults())
        text = f"invalid: {against}" if against else f"failed: {faults}" if faults else "passed"
        marks = ["again"] if self.again else []
        if self.measurement.baseline.waited > BUSY_MACHINE:
            marks.append(f"waited {self.measurement.baseline.waited:.0%}")
        return f"{text} ({', '.join(marks)})" if marks else text

    def cells(self) -> list[str]:
        """Return the row of the table under `HEAD`."""
        measurement, attack = self.measurement, self.measurement.attack
        counts = attack.attackers
        served = sum(map(math.isfinite, attack.visits.newcomers))
        sent, cycles, opened = (sum(getattr(each, name) for each in counts) for name in ("sent", "cycles", "opened"))
        return [
            f"{measurement.shape.number}. {measurement.shape.name}",
            f"{percentile_ms(attack.latencies, self.bounds.percent):.0f}",
            f"{self.times:.1f}",
            f"{attack.latencies.total():,} of {attack.expected:,}",
            str(measurement.links_lost),
            _seconds(max(attack.visits.readiness)),
            f"{served} of {len(attack.visits.newcomers)}",
            f"{measurement.grown_bytes / MIB:.0f}",
            f"{measurement.descriptors:,}",
            f"{sent / 1e6:.1f} MB, {cycles:,} cycles, {opened:,} connections",
            f"{attack.cores.get('bridge', 0):.2f}",
            ", ".join(f"{name} {value:.0f}" for name, value in sorted(measurement.counters.items())) or "-",
            self.result,
        ]


HEAD: Final = [
    "shape", "alarms, ms", "times", "came", "links lost", "readiness", "newcomers", "MiB more", "descriptors",
    "attackers", "cores", "budgets", "result",
]  # fmt: skip
"""Columns of `AttackRow.cells`."""

LEGEND: Final = """\
S: by strangers, U: by the user of one line, A: by an admin. Before each shape the same attackers had another server
beside the same plant: its baseline.

| column | what it says |
| --- | --- |
| alarms, times | 99th percentile (short form: 95th) from a press to its event at the dashboards; by that of baselines |
| came | alarms that came to the dashboards by 10 s after the attack, and those that had to |
| links lost | to the broker, of the bridge's |
| readiness | the slowest answer of `/health/ready`, asked ten times a second; none: not within 5 s |
| newcomers | new dashboards that were authenticated and had their snapshot within 5 s, one a second |
| MiB more, descriptors | the most of the bridge during the attack |
| cores | of the bridge |
| budgets | counters of the bridge's web server that went up |
| waited | part of the time in which the bridge had no processor, without an attack |
"""


def _seconds(value: float) -> str:
    return "none" if math.isinf(value) else f"{value:.2f} s"
