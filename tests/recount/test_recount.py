"""Events of a disturbed plant against an independent recount of the truth.

Discrete facts have precision and recall of 1 where nothing goes wrong, and of 0.999 elsewhere; pieces are exact, or the
difference is declared; no press, order or changeover is lost. `make test` has a short form, `make proof` all of it.
"""

import pytest

from device_sim import profile
from tests.recount.recount import PLANT, recount
from tests.recount.report_table import HEAD, ResultRow
from tests.recount.true_downtimes import disagreements
from tests.support import run_record

SEEDS = 20
HOURS = 8.0
GOAL = 0.999
SAME_WINDOWS = 0.99  # one downtime that differs is in a window of each kind
WRONG_REGISTERS = ("old-plc", "chaos")  # where a reset may look like a climb: known as an estimate only
SHORT = {"old-plc": [(1, 2.0)]}


@pytest.mark.parametrize("name", profile.NAMES)
def test_the_bridge_agrees_with_an_independent_recount(name: str) -> None:
    _check(name, SHORT.get(name, [(1, 0.75)]))


@pytest.mark.proof
@pytest.mark.parametrize("name", profile.NAMES)
def test_the_bridge_agrees_with_an_independent_recount_over_many_shifts(name: str) -> None:
    _check(name, [(seed, HOURS) for seed in range(1, SEEDS + 1)])


def _check(name: str, runs: list[tuple[int, float]]) -> None:
    row = ResultRow(name)
    for seed, hours in runs:
        recounted = recount(name, seed=seed, hours=hours)
        row.add(recounted, seed=seed)
        if name == "clean":
            row.hindsight += disagreements(recounted.truth, PLANT, recounted.driven.events)
    run_record.note(f"recount, {name}, {len(runs)} runs of {runs[0][1]:g} h", row.text())
    goal = 1.0 if name == "clean" else GOAL
    report = f"{HEAD}\n{row.line()}\n{row.differences()}"
    assert row.facts.precision >= goal, report
    assert row.facts.recall >= goal, report
    assert not row.lost, report
    assert not row.undeclared, report
    assert name in WRONG_REGISTERS or not row.estimated, report
    assert not row.hindsight, report
    assert row.tops, "repairs last long enough for ladders to reach their top"
    assert row.windows_same >= (1.0 if name == "clean" else SAME_WINDOWS) * row.windows, report
    if name == "clean":
        assert row.made == row.counted, report
