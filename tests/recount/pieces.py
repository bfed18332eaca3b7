"""Pieces that were really made, from one counts report to the next."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from device_sim.truth.truth import RegisterTruth, TrueReport, Truth
from tests.recount.plant_facts import MachineFacts

SETS: Final = ("reset", "preset", "power")
REPORTED_MS: Final = 15_000  # counts that change are reported within this time
COUNTED_MS: Final = 10_000
NAMES: Final = ("total", "good", "reject")
SLACK: Final = 10
MAX_DIP: Final = 5
MOST: Final = 10**9


class CountsStep(NamedTuple):
    """From one counts report to the next: their times, and the pieces made until each."""

    since: int
    until: int
    before: dict[str, int]
    after: dict[str, int]


@dataclass(slots=True)
class MachineCounters:
    """One machine's counters: pieces made between its first report and each later one."""

    last_made: dict[str, int] | None = None
    last_at: int | None = None
    steps: list[CountsStep] = field(default_factory=list)

    def read(self, made: dict[str, int], at: int) -> CountsStep | None:
        """Return the step from the report before; `at`: the time of this one. None for the first report."""
        before, since, self.last_made, self.last_at = self.last_made, self.last_at, made, at
        if before is None or since is None:
            return None
        self.steps.append(CountsStep(since, at, before, made))
        return self.steps[-1]


class ReportedPieces(NamedTuple):
    """Pieces that a report shows, and those of them that an earlier report hid, because it was in doubt."""

    total: int
    good: int
    hidden_total: int = 0
    hidden_good: int = 0
    doubtful_at: int | None = None  # arrival of that report

    def as_of(self, *, stopped_since: int | None, at: int) -> "ReportedPieces":
        """Return when the pieces were made: none after a doubtful report if the line stopped before the next was due.

        Source: domain.md, «Changeover».
        """
        if self.doubtful_at is None or stopped_since is None:
            return self
        due = self.doubtful_at + COUNTED_MS
        if stopped_since <= due and at > due + COUNTED_MS // 2:
            return self._replace(hidden_total=self.total, hidden_good=self.good)
        return self


@dataclass(slots=True)
class CounterDoubts:
    """Pieces that one machine's reports show. A report in doubt is decided by the next one (domain.md)."""

    machine: MachineFacts
    low: dict[int, int | None]  # reports with a reading so many pieces low; None: nonsense
    sets: list[RegisterTruth]
    seen: dict[str, int] | None = None  # how many of the pieces made reports have shown
    sure: tuple[int, int] = (0, 0)  # (total, good) of a register that was set before it was read
    doubtful_at: int | None = None  # arrival of the report in doubt
    shown: dict[str, int] | None = None  # what the registers showed in the latest report that is not in doubt
    shown_at: int = 0
    shown_boot: int | None = None
    is_at_zero: bool = False  # it was set to 0: the first piece shows it

    @classmethod
    def of(cls, truth: Truth, machine: MachineFacts) -> "CounterDoubts":
        registers = [register for register in truth.registers if register.device == machine.id]
        wrong = {fault.at: fault for fault in registers if fault.what in ("glitch", "dip")}
        low: dict[int, int | None] = {}
        for report in truth.said:
            record = wrong.get(report.at)
            if record is not None and report.device == machine.id and report.kind == "counts":
                low[report.number] = _missing(record) if record.what == "dip" else None
        unknown = ("wrap",) if machine.modulus is None else ()  # the modulus is not known: it continues elsewhere
        return cls(machine, low, [fault for fault in registers if fault.what in SETS + unknown])

    def read(self, step: CountsStep, report: TrueReport, at: int) -> ReportedPieces:
        """Return the pieces that count with this report."""
        between = [setting for setting in self.sets if step.since < setting.at <= step.until]
        if between or self.seen is None:
            self.seen = dict(between[-1].made if between else step.before)
        missing = self.low.get(report.number, 0)
        is_zero = not any(self._read(value) for name, value in report.body.items() if name in NAMES)
        if missing is None or (self.is_at_zero and is_zero and not between):
            self._hide(at)
            return ReportedPieces(0, 0)
        follows = self.is_at_zero and not is_zero and not any(any(fault.shown.values()) for fault in between)
        self.is_at_zero = is_zero and bool(between)
        is_lower = any(step.after[name] - missing < self.seen[name] for name in report.body if name in self.seen)
        reading = {name: max(step.after[name] - missing, self.seen[name]) for name in self.seen}
        total, good = (reading[name] - self.seen[name] for name in ("total", "good"))
        self.seen = reading
        cut = any(fault.what == "power" for fault in between) or report.boot_id != self.shown_boot
        if (between and not follows) or (is_lower and cut):  # what follows a held 0 is counted at once
            if self.shown is not None:
                total, good = (
                    self._released_after(report.body.get(name), name, at, cut=cut) for name in ("total", "good")
                )
            if not is_zero:
                self._show(report, at)
            self._hide(at)
            self.sure = (self.sure[0] + max(total, good), self.sure[1] + good)
            return ReportedPieces(0, 0)
        made = ReportedPieces(self.sure[0] + total, self.sure[1] + good, *self.sure, self.doubtful_at)
        self.sure, self.doubtful_at = (0, 0), None
        if is_lower:
            self._hide(at)
        else:
            self._show(report, at)
        return made

    def _show(self, report: TrueReport, at: int) -> None:
        self.shown = {name: self._read(value) for name, value in report.body.items() if name in NAMES}
        self.shown_at, self.shown_boot = at, report.boot_id

    def _read(self, value: int) -> int:
        return value if self.machine.modulus is None else value % self.machine.modulus

    def _released_after(self, value: int | None, name: str, at: int, *, cut: bool) -> int:
        """Return the pieces that count once a report follows this one, of a register that was set between."""
        assert self.shown is not None
        if value is None or name not in self.shown:
            return 0
        before, after = self.shown[name], self._read(value)
        ceiling = self.machine.max_rate * (at - self.shown_at) / 60_000 + SLACK
        if after > before:
            most = MOST if self.machine.modulus is None else min(MOST, self.machine.modulus // 2)
            return after - before if after - before <= most else 0
        dips = before - after <= MAX_DIP and not (cut and after <= ceiling)
        return 0 if dips or not 0 <= after <= ceiling else after

    def _hide(self, at: int) -> None:
        self.doubtful_at = at if self.doubtful_at is None or at - self.doubtful_at <= REPORTED_MS else self.doubtful_at


def _missing(dip: RegisterTruth) -> int:
    """Return how many pieces low a reading was, also across a wrap."""
    (name, *_) = dip.real
    return min((dip.real[name] - dip.shown[name]) % 2**bits for bits in (16, 32))
