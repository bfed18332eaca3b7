"""The table of a recount: a row per profile, and the differences with the seed and the minute they are found at."""

from dataclasses import dataclass, field
from typing import Final

from device_sim.truth.truth import TrueReport
from tests.recount.comparison import Comparison
from tests.recount.fact import Fact
from tests.recount.oee_windows import WindowTimes
from tests.recount.piece_accounts import PieceAccount
from tests.recount.plant_facts import TOP
from tests.recount.recount import START, Recount
from tests.recount.true_downtimes import Disagreement

HEAD: Final = (
    "profile    facts     precision  recall   windows       pieces made/counted  difference declared  actions  lost"
)
SHOWN: Final = 40  # differences in a failure


@dataclass(slots=True)
class ResultRow:
    name: str
    facts: Comparison = field(default_factory=Comparison)
    windows: int = 0
    windows_same: int = 0
    made: int = 0
    forgotten: int = 0  # by registers, before they were read
    counted: int = 0
    declared: int = 0
    estimated: int = 0  # of them, what neither held, released nor refused pieces explain
    actions: int = 0
    tops: int = 0  # calls whose ladder has reached its top
    lost: list[str] = field(default_factory=list)
    undeclared: list[str] = field(default_factory=list)
    hindsight: list[Disagreement] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)

    def add(self, run: Recount, *, seed: int) -> None:
        self.facts.add(run.facts)
        self.windows += run.windows.expected
        self.windows_same += run.windows.same
        self.deviations += [f"seed {seed} expected  {_fact(fact)}" for fact in run.facts.missing]
        self.deviations += [f"seed {seed} reported  {_fact(fact)}" for fact in run.facts.invented]
        self.deviations += [f"seed {seed} window    {_window(*window)}" for window in run.windows.different]
        for account in run.accounts:
            self._add_account(account, seed)
        self._add_actions(run, seed)
        facts = [
            fact for line_history in run.line_histories.values() for fact in line_history.facts if fact.kind == "ladder"
        ]
        self.tops += sum(fact.value[:2] == ("level", TOP) for fact in facts)

    def _add_account(self, account: PieceAccount, seed: int) -> None:
        self.made += account.made
        self.forgotten += account.lost
        self.counted += account.counted
        if account.difference == 0:
            return
        text = f"seed {seed} pieces    {account}"
        self.deviations.append(text)
        if account.is_declared:
            self.declared += abs(account.difference)
            self.estimated += 0 if account.is_explained else abs(account.difference)
        else:
            self.undeclared.append(text)

    def _add_actions(self, run: Recount, seed: int) -> None:
        applied = {
            run.driven.fed[index].number  # type: ignore[union-attr] # outcomes are of arrivals alone
            for index, effect, _ in run.driven.outcomes
            if effect == "applied"
        }
        for line_history in run.line_histories.values():
            for number, effect in line_history.actions.items():
                report = run.truth.said[number]
                if report.standing:
                    continue
                self.actions += 1
                if effect and number not in applied:
                    self.lost.append(f"seed {seed} {_lost_text(report)}")

    def text(self) -> str:
        facts = self.facts
        return (
            f"{facts.expected:,} facts expected, {facts.reported:,} reported: precision {facts.precision:.5f}, "
            f"recall {facts.recall:.5f}; {self.windows_same:,} of {self.windows:,} OEE windows the same; pieces made "
            f"{self.made:,}, forgotten by registers {self.forgotten:,}, counted {self.counted:,}, "
            f"difference declared {self.declared:,}, of it by an estimate alone {self.estimated:,}; "
            f"{self.actions:,} actions of people, lost {len(self.lost)}"
        )

    def line(self) -> str:
        facts, pieces = self.facts, f"{self.made:,}/{self.counted:,}"
        return (
            f"{self.name:10} {facts.expected:9,} {facts.precision:9.5f} {facts.recall:9.5f} "
            f"{self.windows_same:6,}/{self.windows:<6,} {pieces:>20} {self.declared:17,} {self.actions:8,} "
            f"{len(self.lost):5}"
        )

    def differences(self) -> str:
        lines = [*self.lost, *self.undeclared, *map(str, self.hindsight), *sorted(self.deviations)]
        more = [] if len(lines) <= SHOWN else [f"and {len(lines) - SHOWN} more"]
        return "\n".join([*lines[:SHOWN], *more])


def _fact(fact: Fact) -> str:
    return f"{_clock(fact.at)} {fact.kind} {fact.line} {fact.subject} {fact.value}"


def _window(expected: WindowTimes, reported: WindowTimes | None) -> str:
    return f"{_clock(expected.since)} expected {expected}, reported {reported}"


def _lost_text(report: TrueReport) -> str:
    return f"lost at {_clock(report.at)}: {report.device} {report.kind} {report.body}"


def _clock(at: int) -> str:
    seconds = (at - START) / 1000
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02}:{seconds % 60:06.3f}"
