"""One recount: a rehearsal, the bridge's events of it, and the expected ones."""

from dataclasses import dataclass

from device_sim import plant_file, profile
from device_sim.rehearsal import rehearse
from device_sim.truth.truth import Truth
from tests.recount import plant_facts
from tests.recount.comparison import Comparison, compare
from tests.recount.core_driver import DrivenRun, drive
from tests.recount.line_history import LineHistory
from tests.recount.listener import IdealReceiver
from tests.recount.oee_windows import (
    WindowComparison,
    WindowTimes,
    compare_windows,
    expected_windows,
    reported_windows,
)
from tests.recount.piece_accounts import PieceAccount, accounts
from tests.recount.reported_facts import facts_of

HOUR = 3_600_000
START = 1_767_600_000_000  # 2026-01-05 08:00 UTC
FIRST_SHIFT_END = START + 5 * HOUR
PLANT = plant_facts.load()
SIMULATED = plant_file.load(plant_file.SHIPPED)


@dataclass(slots=True)
class Recount:
    truth: Truth
    driven: DrivenRun
    line_histories: dict[str, LineHistory]
    facts: Comparison
    windows: WindowComparison
    accounts: list[PieceAccount]


def recount(name: str, *, seed: int, hours: float) -> Recount:
    run = rehearse(SIMULATED, profile.load(name), seed=seed, start=START, duration=round(hours * HOUR))
    driven = drive(run, start=START, until=START + round(hours * HOUR))
    line_histories = build_line_histories(run.truth, driven)
    expected = [fact for line_history in line_histories.values() for fact in line_history.facts]
    windows: list[WindowTimes] = []
    pieces: list[PieceAccount] = []
    for line_history in line_histories.values():
        windows += expected_windows(
            line_history, start=START, until=run.truth.until, shift_ends=shift_ends(run.truth.until)
        )
        pieces += accounts(run.truth, line_history, driven.events)
    return Recount(
        truth=run.truth,
        driven=driven,
        line_histories=line_histories,
        facts=compare(expected, facts_of(driven.events)),
        windows=compare_windows(windows, list(reported_windows(driven.events))),
        accounts=pieces,
    )


def shift_ends(until: int) -> tuple[int, ...]:
    """Return when shifts end: at 14:00 in Berlin, and it is winter."""
    return tuple(end for end in (FIRST_SHIFT_END, FIRST_SHIFT_END + 8 * HOUR) if end <= until)


def build_line_histories(truth: Truth, driven: DrivenRun) -> dict[str, LineHistory]:
    line_histories = {name: LineHistory(PLANT, line, truth) for name, line in PLANT.lines.items()}
    for received in IdealReceiver(PLANT, truth).receive(driven.fed):
        line_histories[received.line].receive(received)
    for line_history in line_histories.values():
        line_history.pass_time(truth.until)
        line_history.downtime_tracker.facts()
        line_history.orders.facts()
    return line_histories
