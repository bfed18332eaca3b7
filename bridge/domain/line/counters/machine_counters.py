"""Counters of one machine: the samples of each report, judged by the counter table, and the pieces in doubt."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain import plant
from bridge.domain.emitter import NO_DOUBTFUL_PIECES, DoubtfulPieces
from bridge.domain.line.counters.counter_delta import CounterDelta, judge_sample
from bridge.domain.line.counters.counter_table import RegisterLimits
from bridge.domain.line.counters.registers import Register, RegisterSample, mark_interrupted, set_register_forward
from bridge.domain.reports import CountsReport, Moment
from bridge.domain.utc_time import Millis

CounterName = Literal["total", "good", "reject"]
Registers = dict[CounterName, Register]


class CounterFit(NamedTuple):
    """Agreement of a machine's counters with its plant file; rates are pieces a minute."""

    held: int
    released: int
    refused: int
    proven_rate: float  # the fastest rate proven above `max_rate`; 0: none
    max_rate: float

    @property
    def max_rate_is_too_low(self) -> bool:
        return self.proven_rate > self.max_rate


class CountedPieces(Struct, frozen=True, kw_only=True):
    """Pieces that one report added, by counter. `known_counters` counted before it, `new_counters` count from it on.

    The pieces were made in [since, until]. `doubtful`: the pieces that a counter holds now, and those released and
    refused by this report; only of counters that have any.
    """

    deltas: Mapping[CounterName, int]
    known_counters: frozenset[CounterName]
    new_counters: frozenset[CounterName]
    estimated: bool
    since: Millis
    until: Millis
    doubtful: Mapping[CounterName, DoubtfulPieces]
    hidden: Mapping[CounterName, int]  # of `deltas`, certainly made by the time of the suspect report before
    hidden_until: Millis | None = None  # when that report was received

    def doubtful_pieces(self, names: Iterable[CounterName], *, times: int = 1) -> DoubtfulPieces:
        """Return the pieces in doubt; `total` shows the same ones as `good` and `reject`: the larger number counts."""
        if not self.doubtful:
            return NO_DOUBTFUL_PIECES
        doubtful = {name: self.doubtful.get(name, NO_DOUBTFUL_PIECES) for name in names}
        total, good, reject = (doubtful.get(name, NO_DOUBTFUL_PIECES) for name in ("total", "good", "reject"))
        return DoubtfulPieces(
            *(
                max(in_total, in_good + in_reject) * times
                for in_total, in_good, in_reject in zip(total, good, reject, strict=True)
            )
        )


def limits_of(spec: plant.EquipmentConfig, rules: plant.Rules, *, modulus: int | None) -> RegisterLimits:
    """Return the limits of this machine's registers; a report's own modulus overrides the plant file's."""
    return RegisterLimits(
        modulus=modulus or spec.counters.modulus,
        max_rate_per_minute=spec.counters.max_rate_per_minute,
        slack=rules.counter_slack,
        max_dip=rules.max_dip,
    )


def apply_counts(registers: Registers, body: CountsReport, *, limits: RegisterLimits, moment: Moment) -> CountedPieces:
    """Judge every counter of a report, and update `registers` in place."""
    samples: tuple[tuple[CounterName, int | None], ...] = (
        ("total", body.total),
        ("good", body.good),
        ("reject", body.reject),
    )
    received = moment.received
    known_counters = frozenset(registers)
    readings: dict[CounterName, CounterDelta] = {}
    for name, value in samples:
        if value is not None:
            sample = RegisterSample(value, received, moment.dated, body.boot_id)
            readings[name] = judge_sample(registers.get(name), sample, limits=limits)
            registers[name] = readings[name].register
    deltas = {name: reading.delta for name, reading in readings.items() if name in known_counters}
    uncertain = body.source_quality == "uncertain" and any(deltas.values())
    with_pieces = [reading for reading in readings.values() if reading.delta] or list(readings.values())
    return CountedPieces(
        deltas=deltas,
        known_counters=known_counters,
        new_counters=frozenset(readings) - known_counters,  # what these would have added is unknown
        estimated=uncertain or any(reading.estimated for reading in readings.values()),
        since=min([reading.since for reading in with_pieces], default=received),
        until=max([reading.until for reading in with_pieces], default=received),
        doubtful={
            name: doubtful
            for name, register in registers.items()
            if any(doubtful := _doubtful(register, readings.get(name)))
        },
        hidden={name: readings[name].hidden for name in deltas},
        hidden_until=max(
            (reading.hidden_until for reading in readings.values() if reading.hidden_until is not None), default=None
        ),
    )


def mark_registers_interrupted(registers: Registers) -> None:
    """Record that the device was offline: its registers may have been reset, unless its boot id is unchanged."""
    for name, register in registers.items():
        registers[name] = mark_interrupted(register)


def mark_registers_restarted(registers: Registers) -> None:
    """Record that the device restarted: its registers may have been reset, even if it repeats its boot id."""
    for name, register in registers.items():
        suspect = None if register.suspect is None else replace(register.suspect, boot_id=None)
        registers[name] = replace(mark_interrupted(register), boot_id=None, suspect=suspect)


def set_forward(registers: Registers, by: Millis) -> None:
    """Shift the registers by a forward jump of the host's clock."""
    for name, register in registers.items():
        registers[name] = set_register_forward(register, by)


def measure_fit(registers: Registers, *, max_rate: float, released: int, refused: int) -> CounterFit:
    """Return how the registers agree with the plant file, and the pieces in doubt."""
    held = {name: register.held_pieces for name, register in registers.items()}
    return CounterFit(
        held=max(held.get("total", 0), held.get("good", 0) + held.get("reject", 0)),
        released=released,
        refused=refused,
        proven_rate=max((register.refuted_limit for register in registers.values()), default=0.0),
        max_rate=max_rate,
    )


def _doubtful(register: Register, reading: CounterDelta | None) -> DoubtfulPieces:
    if reading is None:
        return DoubtfulPieces(register.held_pieces)
    return DoubtfulPieces(register.held_pieces, reading.released, reading.refused)
