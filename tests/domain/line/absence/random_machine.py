"""A seeded history of one machine whose reports are held back for stretches, for comparison with the OEE oracle."""

import random
from abc import ABC, abstractmethod
from typing import Protocol

from bridge.domain import event_data
from tests.domain.line.oracles import oee as oracle
from tests.domain.line.output.test_oee_oracle import SCHEDULED
from tests.support.packing_line import T0, PackingLine


class ReportingMachine(Protocol):
    """A machine that sends its reports, or keeps them for later."""

    def state(self, state: str, at: float) -> None: ...

    def counts(self, made: int, at: float) -> None: ...


class RandomMachine(ABC):
    """Changes its state and counts at random instants; subclasses define the absences."""

    def __init__(self, seed: int, line: PackingLine, machine: ReportingMachine) -> None:
        rnd = self.random = random.Random(seed)
        self.line = line
        self.machine = machine
        self.at = rnd.choice((0.0, 3_500.0, 11.9 * 3_600, 11.99 * 3_600, 19.9 * 3_600)) + rnd.randrange(400)
        self._states: list[tuple[int, str]] = []

    def run(self, *, restart: bool = False) -> oracle.LineTimeline:
        """Play the history, with a restart after each absence if `restart`; return the true one."""
        rnd = self.random
        self._report("run")
        self.machine.counts(0, self.at)
        for _ in range(rnd.randrange(10, 50)):
            self.at = round(self.at + rnd.choice((0.7, 5, 9.999, 10, 30, 59.999, 60, 61, 200, 2_000)), 3)
            if not self.is_absent and rnd.random() < 0.25:
                self.begin_absence()
            elif self.is_absent and rnd.random() < 0.4 and self.may_return:
                self._end_absence(restart=restart)
            rnd.choice((self._change, self._change, self._count))()
        if self.is_absent:
            self.at += 20
            self._end_absence(restart=restart)
        self.at = round(self.at + 30)
        self._report("run")
        self.at += 2 * 3_600
        self.line.wait(self.at)
        return oracle.LineTimeline(self._states, T0 + round(self.at * 1000), SCHEDULED, [])

    @property
    @abstractmethod
    def is_absent(self) -> bool:
        """Return whether reports are held back now."""

    @property
    def may_return(self) -> bool:
        """Return whether the absence may end now."""
        return True

    @abstractmethod
    def begin_absence(self) -> None:
        """Hold reports back from now on."""

    @abstractmethod
    def end_absence(self) -> None:
        """Deliver the reports held back."""

    def _end_absence(self, *, restart: bool) -> None:
        self.end_absence()
        if restart:
            self.line.restart()

    def _report(self, state: str) -> None:
        at = T0 + round(self.at * 1000)
        self.machine.state("running" if state == "run" else "stopped", self.at)
        if self._states and self._states[-1][0] == at:
            self._states.pop()
        self._states.append((at, state))

    def _change(self) -> None:
        self._report(self.random.choice(("run", "stop")))

    def _count(self) -> None:
        self.machine.counts(self.random.randrange(50), self.at)


def agrees_in_time(reported: event_data.Oee, truth: oracle.OeeResult) -> None:
    assert reported.actual_production_seconds == truth.busy_ms / 1000
    assert reported.planned_busy_seconds == (truth.busy_ms + truth.down_ms) / 1000
    assert reported.unknown_seconds == truth.unknown_ms / 1000
