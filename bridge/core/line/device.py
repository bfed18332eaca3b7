"""One device's stream of reports: which boot and which place in its sequence each belongs to, and its clock.

The broker delivers at least once and a device may resend: (boot_id, seq) and the content prove a resend. What is not
proven to have been taken before is news; what cannot be placed is applied and flagged. `seq` counts only beside a
`boot_id`; without one a restarted device could not be told from a late report. Earlier boots are kept too: after a
crash of ours the broker sends again what was not acknowledged, over a device's restart.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from bridge.core import plant
from bridge.core.events import Millis
from bridge.core.line import boots, sequence
from bridge.core.line.dating import ClockRule, ClockUsed, Span, date, read_ts
from bridge.core.line.device_state import (
    OLD_BOOTS,
    BootId,
    DeviceState,
    PastBoot,
    is_newer,
    run_of_earlier_version,
)
from bridge.core.line.sequence import Placed, Run, checksum_of
from bridge.core.reports import (
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

RESENT_BIRTH: Final = 20  # latest reports among which an equal birth is a resend, not the next start of the device

SUPERSEDED_WHEN_LATE: Final = (StateReport, CountsReport, MeasurementReport, BirthReport, DeathReport)
"""Kinds whose later report already says more; the others are what somebody did, however late that is heard."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the line knows it; `spec` None: the source that speaks for the line itself."""

    state: DeviceState
    spec: plant.Equipment | None
    zone: ZoneInfo

    def __post_init__(self) -> None:
        state = self.state
        if state.seq is not None:
            state.run = run_of_earlier_version(state.seq, state.missing)
            state.seq, state.missing = None, []

    def date(self, report: Report, placed: Placed, *, absences: Iterable[Span] = ()) -> tuple[Millis, ClockUsed]:
        """Date a report by this device's clock rule; `absences`: when reports may have waited for us."""
        if report.retained or report.actor is not None or report.body.historical:  # it happened at some time before
            return report.received_at, "receive"
        rule: ClockRule = "receive" if self.spec is None else self.spec.clock
        return date(
            report.body.ts,
            rule=rule,
            zone=self.zone,
            received_at=report.received_at,
            state=self.state.clock,
            late=placed.kind == "late",
            absences=absences,
        )

    def learn(self, report: Report, placed: Placed) -> None:
        """Learn from a report that is admitted how the device's clock ticks; not from one that others overtook."""
        is_late = placed.kind == "late" and placed.sure
        if is_late or report.body.boot_id not in (None, self.state.boot_id):
            return
        if (at := self.read_ts(report)) is not None:
            self.state.stamp.note(at, checksum_of(report.body), received_at=report.received_at)

    def identifies(self, report: Report) -> bool:
        """Say whether something tells a second copy of this report from a second, equal one."""
        if report.body.boot_id is not None and report.body.seq is not None:
            return True
        return self.read_ts(report) is not None and self.state.stamp.identifies

    def proves_repeat(self, report: Report) -> bool:
        """Say whether a report of known content must be the one that was taken before.

        Of two equal presses within one second the later one may be overtaken: at a clock of whole seconds, a press is
        taken once more rather than lost.
        """
        at, stamp = self.read_ts(report), self.state.stamp
        if at is None or (isinstance(report.body, AndonReport) and not stamp.identifies):
            return False
        if isinstance(report.body, BirthReport) and self.state.offline is None:
            return stamp.proves_same_start(at, received_at=report.received_at)
        return stamp.proves_repeat(at, received_at=report.received_at)

    def read_ts(self, report: Report) -> Millis | None:
        """Return the time that a live report has by the device's own clock, trusted or not."""
        body = report.body
        live = not (report.retained or body.historical or report.actor is not None or isinstance(body, DeathReport))
        if body.ts is None or not live:
            return None
        return read_ts(body.ts, zone=self.zone, received_at=report.received_at)

    @property
    def is_ineffective(self) -> bool:
        return self.state.futile is not None and self.state.futile.shown

    def futile_at(self) -> Millis | None:
        """Return when it will be called ineffective, unless a report has an effect before."""
        return None if self.state.futile is None else self.state.futile.due

    def fire_futility(self, at: Millis) -> bool:
        """Call it ineffective where that is due now."""
        futile = self.state.futile
        if futile is None or futile.due is None or futile.due > at:
            return False
        futile.due, futile.shown = None, True
        return True

    def owe(self, gap: int) -> int | None:
        """Return what the next event has to tell: the gap before this report, and those that none has told."""
        self.state.owe(gap)
        return self.state.untold or None

    def tell(self, events: int) -> None:
        """Note how many events told it."""
        if events:
            self.state.untold = 0

    def place(self, report: Report) -> Placed | Disposition:
        """Place a live report in the device's sequence, or say why it has no effect."""
        body, state = report.body, self.state
        if isinstance(body, DeathReport):  # its seq is that of the connect, when the Will was written
            return Placed("new") if boots.is_death_of_now(body, state) else suppressed("out_of_order")
        if body.boot_id is None:
            return Placed("new")
        if report.redelivered and boots.is_of_earlier_run(report, state, modulus=self._modulus):
            return suppressed("duplicate")
        resumed = False
        if body.boot_id != state.boot_id:
            past = state.past(body.boot_id)
            if past is None and boots.is_overtaken(report, state):
                return self._note_overtaken(report, body.boot_id)
            again, modulus = self._is_repeated_start(report), self._modulus
            if past is None or boots.is_counted_anew(report, past, is_repeat=again, modulus=modulus):
                self._boot(body.boot_id)
            elif boots.is_live_again(report, past, state, modulus=self._modulus):
                self._boot(body.boot_id)
                state.run, resumed = past.run, True
                state.old_boots = [each for each in state.old_boots if each not in (past, past.boot_id)]
            else:
                return self._place_late(report, past)
        placed = self._place_current(report)
        if isinstance(placed, Disposition):
            return placed
        state.spoke_at = report.received_at
        if placed.kind in ("stray", "anew") or resumed or not placed.sure:
            state.unplaced += 1
            return placed._replace(sure=False)
        return placed

    def is_newer_than_known(self, report: Report) -> bool:
        """Say whether boot and sequence prove a retained report to be newer than all that was heard live."""
        body, state = report.body, self.state
        if body.boot_id is None or state.boot_id is None or body.boot_id == state.boot_id:
            run = state.run
            if body.boot_id is None or body.seq is None or run is None or run.first < 0:
                return False
            # a wrapped number may be of any time
            return run.newest < body.seq < self._modulus and (run.begun or self._modulus >= 2**31)
        return self.state.past(body.boot_id) is None and is_newer(body.boot_id, state.boot_id)

    @property
    def _modulus(self) -> int:
        return 2**32 if self.spec is None else self.spec.seq_modulus

    def _place_late(self, report: Report, past: PastBoot) -> Placed | Disposition:
        body = report.body
        placed = Placed("late")
        if body.seq is not None and past.run is not None:
            placed = self._place_in(past.run, report)
        if placed.kind == "duplicate":
            return suppressed("duplicate")
        if isinstance(body, SUPERSEDED_WHEN_LATE):
            return suppressed("out_of_order")
        if placed.kind in ("stray", "anew"):
            self.state.unplaced += 1
            return Placed("stray", sure=False)
        return placed._replace(sure=True)

    def _note_overtaken(self, report: Report, boot_id: BootId) -> Placed | Disposition:
        """Note a boot that was over before anything of it came."""
        past = PastBoot(boot_id)
        if (seq := report.body.seq) is not None:
            seq %= self._modulus
            begun = seq == 0 or isinstance(report.body, BirthReport)
            past.run = sequence.start(seq, seq, checksum_of(report.body), at=report.received_at, begun=begun)
        self._keep_past(past)
        return suppressed("out_of_order") if isinstance(report.body, SUPERSEDED_WHEN_LATE) else Placed("late")

    def _keep_past(self, past: PastBoot) -> None:
        self.state.old_boots.append(past)
        del self.state.old_boots[:-OLD_BOOTS]

    def _boot(self, boot_id: BootId) -> None:
        """Begin a boot, or the next run of the same."""
        state = self.state
        if state.boot_id is not None:
            if state.run is not None:
                state.run.shorten()
            self._keep_past(PastBoot(state.boot_id, state.run))
        if boot_id != state.boot_id:
            state.clock.begin()
        state.boot_id, state.run, state.spoke_at = boot_id, None, None

    # Sequence

    def _place_current(self, report: Report) -> Placed | Disposition:
        body, state = report.body, self.state
        if body.seq is None or body.boot_id is None:
            return Placed("new")
        if isinstance(body, BirthReport) and not report.redelivered and state.run is not None:
            reports, modulus = self._may_follow_birth(report), self._modulus
            if sequence.is_among_latest(state.run, body.seq, checksum_of(body), modulus=modulus, reports=reports):
                return suppressed("duplicate")
            if sequence.is_next_start(state.run, body.seq, modulus=modulus, ahead=reports):
                self._boot(body.boot_id)  # the id of a boot was used again
        if state.run is None:
            return self._begin(report, body.seq)
        placed = self._place_in(state.run, report)
        if placed.kind == "duplicate":
            return suppressed("duplicate")
        if placed.kind == "anew":
            self._boot(body.boot_id)
            seq = body.seq % self._modulus
            first = seq - placed.gap - 1  # the stray one
            state.run = sequence.start(first, first, 0, at=report.received_at, begun=False)
            state.run.advance(placed.gap + 1, checksum_of(body), at=report.received_at)
            state.miss(placed.gap)
        return self._judge_late(placed, report) if placed.kind == "late" else placed

    def _judge_late(self, placed: Placed, report: Report) -> Placed | Disposition:
        body, run = report.body, self.state.run
        if not isinstance(body, SUPERSEDED_WHEN_LATE):
            return placed._replace(sure=True)
        ts = self.read_ts(report)
        if placed.sure or (ts is not None and self.state.stamp.is_older(ts)):
            return suppressed("out_of_order")
        assert run is not None, "it was placed there"
        assert body.seq is not None, "it was placed by it"
        run.stray = (body.seq + 1) % self._modulus  # its successor shows that it was a jump
        return placed

    def _begin(self, report: Report, seq: int) -> Placed:
        """Begin a run: from 0 where a boot follows one we know; of a device heard first nothing is missing.

        A number too far from 0 for the time that has passed shows neither what is missing nor that nothing is.
        """
        state, at = self.state, report.received_at
        seq %= self._modulus
        before = max((each.run.at for each in state.past_boots() if each.run is not None), default=None)
        is_birth = isinstance(report.body, BirthReport)
        likely = sequence.LIKELY_JUMP + sequence.LIKELY_RATE * max(0, at - (at if before is None else before))
        follows = before is not None and not is_birth
        missed = seq if follows and seq <= likely else 0
        begun = is_birth or missed > 0 or seq == 0
        state.run = sequence.start(seq - missed, seq, checksum_of(report.body), at=at, begun=begun)
        state.miss(missed)
        return Placed("new", gap=missed, sure=not follows or seq <= likely)

    def _place_in(self, run: Run, report: Report) -> Placed:
        body, state = report.body, self.state
        assert body.seq is not None, "asked before"
        placed = sequence.place(
            run,
            body.seq,
            checksum_of(body),
            modulus=self._modulus,
            at=report.received_at,
            redelivered=report.redelivered,
        )
        if placed.kind != "anew":
            state.miss(placed.gap)
        state.filled += placed.filled
        return placed

    def _may_follow_birth(self, report: Report) -> int:
        """Return how many reports of a boot may have come before its birth, or before that came again."""
        if self.state.offline is not None:
            return 0
        return sequence.RING if self._is_repeated_start(report) or self.state.boots_grow else RESENT_BIRTH

    def _is_repeated_start(self, report: Report) -> bool:
        at = self.read_ts(report)
        return at is not None and self.state.stamp.proves_same_start(at, received_at=report.received_at)
