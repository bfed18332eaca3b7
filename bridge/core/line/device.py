"""One device's stream of reports: duplicates, gaps and late arrivals by (boot_id, seq), and its clock.

The broker delivers at least once and a device may resend: the sequence tells a resend from a new report. `seq` counts
only beside a `boot_id`; without one a restarted device could not be told from a late report.
"""

from dataclasses import dataclass
from typing import Final, Literal
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


class DeviceState(Struct):
    boot_id: BootId | None = None
    seq: int | None = None
    old_boots: list[BootId] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    seen_at: Millis | None = None
    offline: Literal["silence", "death"] | None = None


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

    def place_in_sequence(self, report: Report) -> int | Disposition:
        """Return how many reports are missing just before this one, or why it has no effect."""
        body, state = report.body, self.state
        if body.boot_id is None:
            return 0
        if body.boot_id in state.old_boots:
            if isinstance(body, BirthReport) and not report.retained:
                state.old_boots.remove(body.boot_id)  # a live birth is the newest, where boots are counted anew
            else:
                late = report.retained or isinstance(body, SUPERSEDED_WHEN_LATE)
                return suppressed("out_of_order") if late else 0
        if body.boot_id != state.boot_id:
            self._boot(body.boot_id)
        if body.seq is None or isinstance(body, DeathReport):  # a Will is written at connect: its seq is of then
            return 0
        return self._place(body.seq, late_is_superseded=isinstance(body, SUPERSEDED_WHEN_LATE))

    def _boot(self, boot_id: BootId) -> None:
        state = self.state
        if state.boot_id is not None:
            state.old_boots.append(state.boot_id)
            del state.old_boots[:-OLD_BOOTS]
        state.boot_id, state.seq = boot_id, None
        state.missing.clear()

    def _place(self, seq: int, *, late_is_superseded: bool) -> int | Disposition:
        state, modulus = self.state, 2**32 if self.spec is None else self.spec.seq_modulus
        seq %= modulus
        if state.seq is None:
            state.seq = seq
            return 0
        ahead = (seq - state.seq) % modulus
        if 0 < ahead < (modulus + 1) // 2 or (modulus == 2 and ahead):  # nearer ahead than behind
            gap = ahead - 1
            state.missing += [(seq - back) % modulus for back in range(min(gap, MISSING), 0, -1)]
            del state.missing[:-MISSING]
            state.seq = seq
            return gap
        if seq not in state.missing:
            return suppressed("duplicate")
        state.missing.remove(seq)
        return suppressed("out_of_order") if late_is_superseded else 0
