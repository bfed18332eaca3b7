"""A machine that makes pieces, the register that shows them, and the way of its reports: truth and samples.

Written from domain.md alone; shares no code with bridge. Time is in seconds, and a report is sent at the end of
each step. What the reader of the samples can know is reported beside them: pieces made before a reset, and not reported
until then, are `unseen`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

MAX_RATE = 600.0  # pieces a minute: 10 a second

ReportDelivery = Literal["live", "queued", "lost", "twice"]
CounterEvent = Literal["none", "reset", "power cut", "power cut, kept", "glitch", "dip"]


@dataclass(frozen=True)
class ProductionStep:
    """Some seconds of production at a share of the greatest rate; an event first; then a report on its way."""

    seconds: int
    share: float
    event: CounterEvent = "none"
    delivery: ReportDelivery = "live"


@dataclass(frozen=True)
class CounterSample:
    shown: int
    received_ms: int
    made_ms: int
    boot: int


@dataclass
class PieceLedger:
    """Samples sent to the reader, and the pieces really made."""

    samples: list[CounterSample] = field(default_factory=list)
    made: int = 0
    unseen: int = 0
    unseen_by_power_cut: int = 0
    resets: int = 0
    wraps: int = 0
    glitches: int = 0
    power_cuts: int = 0


class CountingMachine:
    """Counts in a register of `modulus`, shown signed or not."""

    def __init__(self, first: int, steps: Iterable[ProductionStep], *, modulus: int | None, signed: bool) -> None:
        self.ledger = PieceLedger()
        self._modulus = modulus
        self._signed = signed
        self._register = first if modulus is None else first % modulus
        self._boot = 1
        self._at = 1_000_000
        self._unreported = 0
        self._queue: list[CounterSample] = []
        steps = list(steps)
        self._reach = int(2 * MAX_RATE / 60 * (sum(step.seconds for step in steps) + 60))  # beyond any doubt
        self._report("live", self._register)
        for step in steps:
            self._step(step)
        for _ in range(2):  # the last two show a few pieces each, so that nothing stays in doubt
            self._step(ProductionStep(5, 0.1))

    def _step(self, step: ProductionStep) -> None:
        far = self._register > self._reach and (self._modulus is None or self._register < self._modulus - self._reach)
        match step.event:
            case "reset" | "power cut" if far:  # nearer, it looks like a wrap or like production
                self.ledger.resets += 1
                self.ledger.unseen += self._unreported
                if step.event == "power cut":
                    self._boot += 1
                    self.ledger.power_cuts += 1
                    self.ledger.unseen_by_power_cut += self._unreported
                self._unreported = 0
                self._register = 0
            case "power cut, kept":
                self._boot += 1
                self.ledger.power_cuts += 1
            case "glitch" | "dip" if far and not self._queue:
                wrong = 0 if step.event == "glitch" else self._register - 3
                self.ledger.samples.append(CounterSample(self._show(wrong), self._at + 500, self._at + 500, self._boot))
                self.ledger.glitches += 1
                if step.event == "dip":  # which shows all but three of what no report has shown yet
                    self._unreported = min(self._unreported, 3)
            case _:
                pass
        pieces = int(step.seconds * MAX_RATE / 60 * step.share)
        self._at += step.seconds * 1_000
        self._register += pieces
        self.ledger.made += pieces
        self._unreported += pieces
        if self._modulus is not None and self._register >= self._modulus:
            self._register -= self._modulus
            self.ledger.wraps += 1
        self._report(step.delivery, self._register)

    def _report(self, delivery: ReportDelivery, value: int) -> None:
        if delivery == "lost":
            return
        self._unreported = 0
        self._queue.append(CounterSample(self._show(value), self._at, self._at, self._boot))
        if delivery == "queued":
            return
        if delivery == "twice":
            self._queue.append(self._queue[-1])
        for index, waiting in enumerate(self._queue):  # what was kept comes at once
            self.ledger.samples.append(CounterSample(waiting.shown, self._at + index, waiting.made_ms, waiting.boot))
        self._at += len(self._queue)
        self._queue.clear()

    def _show(self, value: int) -> int:
        if self._modulus is None:
            return value
        word = value % self._modulus
        return word - self._modulus if self._signed and word >= self._modulus // 2 else word
