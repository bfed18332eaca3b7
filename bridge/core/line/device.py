"""One device's stream of reports: duplicates, gaps and late arrivals by (boot_id, seq), and its clock.

The broker delivers at least once and a device may resend: the sequence tells a resend from a new report. `seq` counts
only beside a `boot_id`; without one a restarted device could not be told from a late report. What was seen of earlier
boots is kept too: after a crash of ours the broker sends again what was not acknowledged, over a device's restart.
"""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from bridge.core import plant
from bridge.core.events import Millis
from bridge.core.line.dating import ClockRule, ClockUsed, date
from bridge.core.reports import (
    BirthReport,
    CountsReport,
    DeathReport,
    Disposition,
    InspectionReport,
    MeasurementReport,
    Report,
    StateReport,
    suppressed,
)

MISSING: Final = 64  # sequence numbers remembered as missing: bounds what a jump of the sequence can store
OLD_BOOTS: Final = 8  # earlier boots remembered, to know their late reports

BootId = int | str

SUPERSEDED_WHEN_LATE: Final = (StateReport, CountsReport, MeasurementReport, InspectionReport, DeathReport)
"""Kinds whose later report already says more; the others are deeds, which happened however late they come."""


class PastBoot(Struct):
    """An earlier boot of a device, as far as its sequence was seen."""

    boot_id: BootId
    seq: int | None
    missing: list[int]


class DeviceState(Struct):
    """Checkpointed; bounded by `MISSING` and `OLD_BOOTS`."""

    boot_id: BootId | None = None
    seq: int | None = None  # the newest seen of this boot
    old_boots: list[PastBoot | BootId] = field(default_factory=list)  # a bare id: noted by an earlier version
    missing: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    seen_at: Millis | None = None
    offline: Literal["silence", "death"] | None = None
    missed: int = 0  # reports that were missing when a later one came, ever
    filled: int = 0  # those of them that came late after all
    untold: int = 0  # those of which no event has told yet


class Gaps(NamedTuple):
    """Reports that were missing when a later one came, and those of them that came late after all."""

    missed: int
    filled: int


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the line knows it; `spec` None is whoever speaks for the line itself."""

    state: DeviceState
    spec: plant.Equipment | None
    zone: ZoneInfo

    def date(self, report: Report) -> tuple[Millis, ClockUsed]:
        """Date a report by this device's clock rule."""
        rule: ClockRule = "receive" if self.spec is None else self.spec.clock
        return date(
            report.body.ts, rule=rule, zone=self.zone, received_at=report.received_at, offsets=self.state.offsets
        )

    def owe(self, gap: int) -> int | None:
        """Return what the next event has to tell: the gap before this report, and those that none has told."""
        self.state.untold += gap
        return self.state.untold or None

    def tell(self, events: int) -> None:
        """Note how many events told it."""
        if events:
            self.state.untold = 0

    def place_in_sequence(self, report: Report) -> int | Disposition:
        """Return how many reports are missing just before this one, or why it has no effect."""
        body, state = report.body, self.state
        if body.boot_id is None:
            return 0
        past = self._past(body.boot_id)
        if past is not None:
            if not self._is_counted_anew(report, past):
                return self._place_late(report, past)
            state.old_boots = [each for each in state.old_boots if _id_of(each) != body.boot_id]
        if body.boot_id != state.boot_id:
            self._boot(body.boot_id)
        if body.seq is None or isinstance(body, DeathReport):  # a Will is written at connect: its seq is of then
            return 0
        return self._place(body.seq, state, report)

    def _past(self, boot_id: BootId) -> PastBoot | None:
        for each in self.state.old_boots:
            if _id_of(each) == boot_id:
                return each if isinstance(each, PastBoot) else PastBoot(each, None, [])
        return None

    def _is_counted_anew(self, report: Report, past: PastBoot) -> bool:
        """A live birth is the newest, where boots are counted anew; but the broker may send an old one again."""
        if not isinstance(report.body, BirthReport) or report.retained:
            return False
        return not report.redelivered or report.body.seq is None or past.seq is None

    def _place_late(self, report: Report, past: PastBoot) -> int | Disposition:
        body = report.body
        if report.retained or isinstance(body, DeathReport):
            return suppressed("out_of_order")
        placed = 0 if body.seq is None or past.seq is None else self._place(body.seq, past, report)
        if placed == suppressed("duplicate"):
            return placed
        return suppressed("out_of_order") if isinstance(body, SUPERSEDED_WHEN_LATE) else placed

    def _boot(self, boot_id: BootId) -> None:
        state = self.state
        if state.boot_id is not None:
            state.old_boots.append(PastBoot(state.boot_id, state.seq, state.missing))
            del state.old_boots[:-OLD_BOOTS]
        state.boot_id, state.seq, state.missing = boot_id, None, []

    def _place(self, seq: int, boot: DeviceState | PastBoot, report: Report) -> int | Disposition:
        modulus = 2**32 if self.spec is None else self.spec.seq_modulus
        seq %= modulus
        newest = boot.seq
        if newest is None:
            # a boot that follows one we know began at 0; of a device seen for the first time nothing is missing
            newest = modulus - 1 if self.state.old_boots else (seq - 1) % modulus
        ahead = (seq - newest) % modulus
        if 0 < ahead < (modulus + 1) // 2 or (modulus == 2 and ahead):  # nearer ahead than behind
            if report.retained:
                return 0  # it was sent before what the broker has queued for us, and comes ahead of it
            return self._advance(boot, seq, gap=ahead - 1, modulus=modulus)
        if boot.seq is None:
            return self._advance(boot, seq, gap=0, modulus=modulus)  # not counted from 0: begin where it is
        if seq not in boot.missing:
            return suppressed("duplicate")
        boot.missing.remove(seq)
        self.state.filled += 1
        return suppressed("out_of_order") if isinstance(report.body, SUPERSEDED_WHEN_LATE) else 0

    def _advance(self, boot: DeviceState | PastBoot, seq: int, *, gap: int, modulus: int) -> int:
        boot.missing += [(seq - back) % modulus for back in range(min(gap, MISSING), 0, -1)]
        del boot.missing[:-MISSING]
        boot.seq = seq
        self.state.missed += gap
        return gap


def _id_of(boot: PastBoot | BootId) -> BootId:
    return boot.boot_id if isinstance(boot, PastBoot) else boot
