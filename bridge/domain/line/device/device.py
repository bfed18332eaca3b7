"""Reports of one device: their boot, their place in its sequence, and the device's clock.

The broker delivers at least once and a device may resend: (boot_id, seq) and the content prove a resend. A report not
proven to be a repeat is new; one that cannot be placed is applied and flagged. `seq` counts only together with a
`boot_id`: without one, a restarted device and a late report look the same. Past boots are kept too: after a crash of
the bridge the broker redelivers unacknowledged messages, even from before a device's restart.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from bridge.domain import plant
from bridge.domain.line.device import boots, sequence
from bridge.domain.line.device.sequence import Placement, SequenceRun, checksum_of
from bridge.domain.line.device.state import MAX_PAST_BOOTS, BootId, DeviceState, PastBoot, is_newer_boot, migrate_run
from bridge.domain.line.device.timestamps import ClockRule, ClockUsed, TimeSpan, date_report, parse_ts
from bridge.domain.reports import (
    AndonReport,
    BirthReport,
    CountsReport,
    DeathReport,
    Disposition,
    MeasurementReport,
    Report,
    StateReport,
    suppressed,
)
from bridge.domain.utc_time import Millis

MAX_BIRTH_RESEND_REPORTS: Final = 20  # an equal birth within this many reports is a resend, not the next start

SUPERSEDED_WHEN_LATE: Final = (StateReport, CountsReport, MeasurementReport, BirthReport, DeathReport)
"""Kinds superseded by a later report; the others are actions, which count however late they arrive."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device of a line; `spec` is None for the source that reports for the line itself."""

    state: DeviceState
    spec: plant.EquipmentConfig | None
    zone: ZoneInfo

    def __post_init__(self) -> None:
        state = self.state
        if state.seq is not None:
            state.run = migrate_run(state.seq, state.missing)
            state.seq, state.missing = None, []

    def date_report(
        self, report: Report, placement: Placement, *, backlog_spans: Iterable[TimeSpan] = ()
    ) -> tuple[Millis, ClockUsed]:
        """Date a report by this device's clock rule; `backlog_spans`: when reports may have waited for the bridge."""
        if report.retained or report.actor is not None or report.body.historical:  # it happened at some earlier time
            return report.received_at, "receive"
        rule: ClockRule = "receive" if self.spec is None else self.spec.clock
        return date_report(
            report.body.ts,
            rule=rule,
            zone=self.zone,
            received_at=report.received_at,
            state=self.state.clock,
            late=placement.kind == "late",
            backlog_spans=backlog_spans,
        )

    def learn_clock(self, report: Report, placement: Placement) -> None:
        """Learn how the device's clock ticks from an admitted report, unless later reports overtook it."""
        is_late = placement.kind == "late" and placement.is_certain
        if is_late or report.body.boot_id not in (None, self.state.boot_id):
            return
        if (at := self.read_clock(report)) is not None:
            self.state.timestamp_trail.record(at, checksum_of(report.body), received_at=report.received_at)

    def has_identity(self, report: Report) -> bool:
        """Return whether (boot_id, seq) or a unique `ts` distinguishes a resend of this report from an equal one."""
        if report.body.is_sequenced:
            return True
        return self.read_clock(report) is not None and self.state.timestamp_trail.has_unique_timestamps

    def is_proven_repeat(self, report: Report) -> bool:
        """Return whether a report of known content must be the one that was accepted before.

        Equal presses within one second may arrive out of order: with a clock of whole seconds, a press is accepted
        twice rather than lost.
        """
        at, trail = self.read_clock(report), self.state.timestamp_trail
        if at is None or (isinstance(report.body, AndonReport) and not trail.has_unique_timestamps):
            return False
        if isinstance(report.body, BirthReport) and self.state.offline is None:
            return trail.is_proven_same_start(at, received_at=report.received_at)
        return trail.is_proven_repeat(at, received_at=report.received_at)

    def read_clock(self, report: Report) -> Millis | None:
        """Return a live report's time by the device's own clock, trusted or not; None if it has none."""
        body = report.body
        live = not (report.retained or body.historical or report.actor is not None or isinstance(body, DeathReport))
        if body.ts is None or not live:
            return None
        return parse_ts(body.ts, zone=self.zone, received_at=report.received_at)

    @property
    def is_ineffective(self) -> bool:
        return self.state.ineffective_run is not None and self.state.ineffective_run.emitted

    def ineffective_at(self) -> Millis | None:
        """Return when the device becomes ineffective, unless a report has an effect before."""
        return None if self.state.ineffective_run is None else self.state.ineffective_run.due

    def mark_ineffective(self, at: Millis) -> bool:
        """Mark the device ineffective if that is due; return whether it was."""
        run = self.state.ineffective_run
        if run is None or run.due is None or run.due > at:
            return False
        run.due, run.emitted = None, True
        return True

    def add_unreported(self, gap: int) -> int | None:
        """Add the gap before this report; return all missing reports that no event has reported yet, or None."""
        self.state.add_unreported(gap)
        return self.state.unreported_missing or None

    def clear_unreported(self, events: int) -> None:
        """Clear the unreported gap if any event was emitted."""
        if events:
            self.state.unreported_missing = 0

    def place_in_sequence(self, report: Report) -> Placement | Disposition:
        """Place a live report in the device's sequence, or return why it has no effect."""
        body, state = report.body, self.state
        if isinstance(body, DeathReport):  # its seq is that of the connect, when the Will was written
            return Placement("new") if boots.is_death_of_current_boot(body, state) else suppressed("out_of_order")
        if body.boot_id is None:
            return Placement("new")
        if report.redelivered and boots.is_of_earlier_run(report, state, modulus=self._modulus):
            return suppressed("duplicate")
        resumed = False
        if body.boot_id != state.boot_id:
            past = state.find_past_boot(body.boot_id)
            if past is None and boots.is_of_overtaken_boot(report, state):
                return self._record_overtaken_boot(report, body.boot_id)
            is_repeat, modulus = self._is_repeated_start(report), self._modulus
            if past is None or boots.is_boot_id_reused(report, past, is_repeat=is_repeat, modulus=modulus):
                self._begin_boot(body.boot_id)
            elif boots.is_boot_resumed(report, past, state, modulus=self._modulus):
                self._begin_boot(body.boot_id)
                state.run, resumed = past.run, True
                state.old_boots = [boot for boot in state.old_boots if boot not in (past, past.boot_id)]
            else:
                return self._place_in_past_boot(report, past)
        placement = self._place_in_current_boot(report)
        if isinstance(placement, Disposition):
            return placement
        state.last_live_at = report.received_at
        if placement.kind in ("stray", "restarted") or resumed or not placement.is_certain:
            state.unplaced += 1
            return placement._replace(is_certain=False)
        return placement

    def is_newer_than_known(self, report: Report) -> bool:
        """Return whether boot and sequence prove a retained report newer than every live one."""
        body, state = report.body, self.state
        if body.boot_id is None or state.boot_id is None or body.boot_id == state.boot_id:
            run = state.run
            if body.boot_id is None or body.seq is None or run is None or run.first < 0:
                return False
            # a wrapped number may be from any time
            return run.newest < body.seq < self._modulus and (run.begun or self._modulus >= 2**31)
        return self.state.find_past_boot(body.boot_id) is None and is_newer_boot(body.boot_id, state.boot_id)

    @property
    def _modulus(self) -> int:
        return 2**32 if self.spec is None else self.spec.seq_modulus

    def _place_in_past_boot(self, report: Report, past: PastBoot) -> Placement | Disposition:
        body = report.body
        placement = Placement("late")
        if body.seq is not None and past.run is not None:
            placement = self._place_in_run(past.run, report)
        if placement.kind == "duplicate":
            return suppressed("duplicate")
        if isinstance(body, SUPERSEDED_WHEN_LATE):
            return suppressed("out_of_order")
        if placement.kind in ("stray", "restarted"):
            self.state.unplaced += 1
            return Placement("stray", is_certain=False)
        return placement._replace(is_certain=True)

    def _record_overtaken_boot(self, report: Report, boot_id: BootId) -> Placement | Disposition:
        """Record a boot that was over before any report of it arrived."""
        past = PastBoot(boot_id)
        if (seq := report.body.seq) is not None:
            seq %= self._modulus
            begun = seq == 0 or isinstance(report.body, BirthReport)
            past.run = sequence.start_run(seq, seq, checksum_of(report.body), at=report.received_at, begun=begun)
        self._add_past_boot(past)
        return suppressed("out_of_order") if isinstance(report.body, SUPERSEDED_WHEN_LATE) else Placement("late")

    def _add_past_boot(self, past: PastBoot) -> None:
        self.state.old_boots.append(past)
        del self.state.old_boots[:-MAX_PAST_BOOTS]

    def _begin_boot(self, boot_id: BootId) -> None:
        """Begin a boot, or the next run of the same."""
        state = self.state
        if state.boot_id is not None:
            if state.run is not None:
                state.run.trim()
            self._add_past_boot(PastBoot(state.boot_id, state.run))
        if boot_id != state.boot_id:
            state.clock.reset_offsets()
        state.boot_id, state.run, state.last_live_at = boot_id, None, None

    # Sequence

    def _place_in_current_boot(self, report: Report) -> Placement | Disposition:
        body, state = report.body, self.state
        if body.seq is None or body.boot_id is None:
            return Placement("new")
        if isinstance(body, BirthReport) and not report.redelivered and state.run is not None:
            reports, modulus = self._max_reports_before_birth(report), self._modulus
            if sequence.is_among_latest(state.run, body.seq, checksum_of(body), modulus=modulus, reports=reports):
                return suppressed("duplicate")
            if sequence.is_next_start(state.run, body.seq, modulus=modulus, ahead=reports):
                self._begin_boot(body.boot_id)  # the boot id is reused
        if state.run is None:
            return self._begin_run(report, body.seq)
        placement = self._place_in_run(state.run, report)
        if placement.kind == "duplicate":
            return suppressed("duplicate")
        if placement.kind == "restarted":
            self._begin_boot(body.boot_id)
            seq = body.seq % self._modulus
            first = seq - placement.gap - 1  # the stray report
            state.run = sequence.start_run(first, first, 0, at=report.received_at, begun=False)
            state.run.advance(placement.gap + 1, checksum_of(body), at=report.received_at)
            state.add_missed(placement.gap)
        return self._judge_late_placement(placement, report) if placement.kind == "late" else placement

    def _judge_late_placement(self, placement: Placement, report: Report) -> Placement | Disposition:
        body, run = report.body, self.state.run
        if not isinstance(body, SUPERSEDED_WHEN_LATE):
            return placement._replace(is_certain=True)
        ts = self.read_clock(report)
        if placement.is_certain or (ts is not None and self.state.timestamp_trail.is_older(ts)):
            return suppressed("out_of_order")
        assert run is not None, "the report was placed in it"
        assert body.seq is not None, "the report was placed by its number"
        run.stray = (body.seq + 1) % self._modulus  # if its successor follows, it was a jump
        return placement

    def _begin_run(self, report: Report, seq: int) -> Placement:
        """Begin a run: from 0 if it follows a known boot; a device received for the first time misses nothing.

        A number too far from 0 for the elapsed time proves neither that reports are missing nor that none are.
        """
        state, at = self.state, report.received_at
        seq %= self._modulus
        previous_at = max((past.run.at for past in state.past_boots() if past.run is not None), default=None)
        is_birth = isinstance(report.body, BirthReport)
        max_likely = sequence.LIKELY_JUMP + sequence.LIKELY_RATE * max(
            0, at - (at if previous_at is None else previous_at)
        )
        follows = previous_at is not None and not is_birth
        missed = seq if follows and seq <= max_likely else 0
        begun = is_birth or missed > 0 or seq == 0
        state.run = sequence.start_run(seq - missed, seq, checksum_of(report.body), at=at, begun=begun)
        state.add_missed(missed)
        return Placement("new", gap=missed, is_certain=not follows or seq <= max_likely)

    def _place_in_run(self, run: SequenceRun, report: Report) -> Placement:
        body, state = report.body, self.state
        assert body.seq is not None, "only numbered reports are placed"
        placement = sequence.place_report(
            run,
            body.seq,
            checksum_of(body),
            modulus=self._modulus,
            at=report.received_at,
            redelivered=report.redelivered,
        )
        if placement.kind != "restarted":
            state.add_missed(placement.gap)
        state.filled += placement.fills_hole
        return placement

    def _max_reports_before_birth(self, report: Report) -> int:
        """Return how many reports of a boot may have arrived before its birth, or before a resend of that."""
        if self.state.offline is not None:
            return 0
        if self._is_repeated_start(report) or self.state.has_growing_boot_ids:
            return sequence.MAX_CHECKSUMS
        return MAX_BIRTH_RESEND_REPORTS

    def _is_repeated_start(self, report: Report) -> bool:
        at = self.read_clock(report)
        return at is not None and self.state.timestamp_trail.is_proven_same_start(at, received_at=report.received_at)
