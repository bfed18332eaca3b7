"""One OEE window: time by class, pieces, and the ratios of ISO 22400-2 that follow from them.

A = APT / PBT, E = PRI * PQ / APT, Q = GQ / PQ, OEE = A * E * Q = PRI * GQ / PBT. Several products: PRI * PQ is their
sum. APT is busy time, PBT busy and down time; off and unknown time is in neither.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from msgspec import Struct, field

from bridge.domain.event_data import NullReason, Oee, OeeFlag
from bridge.domain.utc_time import Millis, rfc3339, rfc3339_or_none

WindowKind = Literal["shift", "job", "hour"]


MAX_PAUSES: Final = 16  # kept of one job; bounds the checkpoint


class TimeClass(StrEnum):
    """Classes of time in OEE: each moment belongs to exactly one. APT: production time; PBT: planned busy time."""

    BUSY = "busy"  # in APT and PBT: running, and stops not (yet) a downtime
    DOWN = "down"  # in PBT only
    OFF = "off"  # outside the plan, or a confirmed planned stop
    UNKNOWN = "unknown"  # offline, or before the bridge was present


class OeeWindow(Struct, kw_only=True):
    """Accumulated values of [start, end); the four times add up to the time that passed while it was current."""

    kind: WindowKind
    start: Millis
    end: Millis | None
    shift_id: str | None = None
    job_id: str | None = None
    pauses: list[tuple[Millis, Millis]] = field(default_factory=list)  # of a job, the latest: others may have run then
    busy_ms: int = 0
    down_ms: int = 0
    off_ms: int = 0
    unknown_ms: int = 0
    total: int = 0
    good: int = 0
    ideal_seconds: float = 0.0  # the sum of PRI over the pieces
    unrated: bool = False  # holds pieces with an unknown ideal cycle
    unknown_total: int = 0  # pieces made in unknown time: in no ratio, as that time is in none
    unknown_good: int = 0
    estimated: bool = False
    quality_assumed: bool = False
    unplanned_run: bool = False

    def add_time(self, time_class: TimeClass, ms: int) -> None:
        match time_class:
            case TimeClass.BUSY:
                self.busy_ms += ms
            case TimeClass.DOWN:
                self.down_ms += ms
            case TimeClass.OFF:
                self.off_ms += ms
            case TimeClass.UNKNOWN:
                self.unknown_ms += ms

    def add_pieces(self, total: int, good: int, *, ideal_cycle: float | None, assumed: bool) -> None:
        self.total += total
        self.good += good
        self.ideal_seconds += 0.0 if ideal_cycle is None else ideal_cycle * total
        self.unrated = self.unrated or (ideal_cycle is None and total != 0)
        self.quality_assumed = self.quality_assumed or (assumed and total != 0)

    @property
    def bounds(self) -> list[Millis]:
        """The start and end of the window and of its pauses."""
        ends = [] if self.end is None else [self.end]
        return [self.start, *ends, *(at for pause in self.pauses for at in pause)]

    def contains(self, start: Millis, end: Millis) -> bool:
        """Return whether [start, end), which no bound cuts, lies in this window."""
        inside = self.start <= start and (self.end is None or end <= self.end)
        return inside and not any(since <= start < until for since, until in self.pauses)

    def resume(self, at: Millis) -> None:
        """Continue after a pause."""
        if self.end is not None:
            self.pauses = [*self.pauses, (self.end, at)][-MAX_PAUSES:]
            self.end = None

    def overlap_ms(self, start: Millis, end: Millis) -> int:
        until = end if self.end is None else min(end, self.end)
        return max(0, until - max(start, self.start))


@dataclass(frozen=True, slots=True)
class Ratios:
    """The four ratios of a window, each None if it has no value, and the first reason why."""

    oee: float | None
    availability: float | None
    performance: float | None
    quality: float | None
    null_reason: NullReason | None


def compute_ratios(window: OeeWindow, *, rated: bool) -> Ratios:
    """Compute the ratios; `rated`: the current ideal cycle is known, so that no pieces means no output.

    A window that is down throughout has OEE 0 (PRI * GQ / PBT), though E and Q have no value.
    """
    apt = window.busy_ms / 1000
    pbt = apt + window.down_ms / 1000
    total, good = max(window.total, 0), max(window.good, 0)
    has_ideal_cycle = not window.unrated and (rated or total > 0)
    quality = min(good / total, 1.0) if total else None  # more good than made: the counters contradict each other
    oee = None
    if has_ideal_cycle and pbt:
        oee = window.ideal_seconds * quality / pbt if quality is not None else 0.0
    return Ratios(
        oee=oee,
        availability=apt / pbt if pbt else None,
        performance=window.ideal_seconds / apt if has_ideal_cycle and apt else None,
        quality=quality,
        null_reason=_null_reason(window, has_ideal_cycle=has_ideal_cycle, total=total),
    )


def _null_reason(window: OeeWindow, *, has_ideal_cycle: bool, total: int) -> NullReason | None:
    if not window.busy_ms + window.down_ms:
        return "no_production_time" if window.unknown_ms else "not_scheduled"
    if not has_ideal_cycle:
        return "no_ideal_cycle"
    if not window.busy_ms:
        return "no_production_time"
    return None if total else "no_pieces"


def oee_flags(window: OeeWindow, ratios: Ratios) -> list[OeeFlag]:
    flags: tuple[tuple[OeeFlag, bool], ...] = (
        ("ideal_cycle_suspect", ratios.performance is not None and ratios.performance > 1),
        ("not_scheduled", ratios.null_reason == "not_scheduled"),
        ("estimated", window.estimated),
        ("quality_assumed", window.quality_assumed),
        ("unplanned_run", window.unplanned_run),
        ("counts_contradict", not 0 <= window.good <= window.total or _made_while_down(window)),
    )
    return [flag for flag, holds in flags if holds]


def _made_while_down(window: OeeWindow) -> bool:
    """Return whether pieces were counted though the whole window was down: the only other way to an OEE above 1."""
    return window.total > 0 and window.down_ms > 0 and not window.busy_ms


def ideal_cycle_of(window: OeeWindow, *, ideal_cycle: float | None) -> float | None:
    """Return PRI: the mean ideal cycle of the pieces made, or the current one if none were.

    So OEE = PRI * GQ / PBT and E = PRI * PQ / APT hold for the event's own numbers, whatever the mix of products.
    """
    if window.unrated:
        return None
    return window.ideal_seconds / window.total if window.total > 0 else ideal_cycle


def oee_data(window: OeeWindow, ratios: Ratios, *, ideal_cycle: float | None, closed: bool) -> Oee:
    return Oee(
        window=window.kind,
        window_start=rfc3339(window.start),
        window_end=rfc3339_or_none(window.end),
        closed=closed,
        oee=ratios.oee,
        availability=ratios.availability,
        performance=ratios.performance,
        quality=ratios.quality,
        planned_busy_seconds=(window.busy_ms + window.down_ms) / 1000,
        actual_production_seconds=window.busy_ms / 1000,
        ideal_cycle_seconds=ideal_cycle_of(window, ideal_cycle=ideal_cycle),
        total_count=max(window.total, 0),
        good_count=max(window.good, 0),
        unknown_seconds=window.unknown_ms / 1000,
        unknown_count=window.unknown_total,
        flags=oee_flags(window, ratios),
        null_reason=ratios.null_reason,
        job_id=window.job_id,
        shift_id=window.shift_id,
    )
