"""Absences with trusted device clocks: the history equals that of a bridge that was never absent.

The reports of a rehearsal are read in the order in which devices made them, as if they came at once and nobody was ever
away; the bridge got them as they came. Downtimes and closed windows are compared, and pieces. What people did and calls
are of when they became known, so they are not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from bridge.adapters import plant_file
from bridge.domain.plant import Plant
from device_sim.profile import Profile
from device_sim.rehearsal import ReceivedPublish, rehearse
from device_sim.truth.truth import Truth
from tests.recount.comparison import Comparison, compare
from tests.recount.core_driver import DEMO, DrivenRun, ObservationGap, drive
from tests.recount.line_history import LineHistory
from tests.recount.listener import IdealReceiver
from tests.recount.oee_windows import WindowTimes, expected_windows, reported_windows
from tests.recount.piece_accounts import accounts
from tests.recount.recount import HOUR, PLANT, SIMULATED, START, shift_ends
from tests.recount.reported_facts import facts_of
from tests.support import run_record

BRIDGE_AWAY = (
    {"kind": "bridge-cut", "mean_minutes_between": 60, "seconds": (3, 600)},
    {"kind": "bridge-link-loss", "mean_minutes_between": 60, "seconds": (5, 300)},
)
DEVICES_AWAY = (
    {"kind": "link-loss", "mean_minutes_between": 30, "seconds": (1, 300)},
    {"kind": "link-loss", "together": "plant", "mean_minutes_between": 120, "seconds": (10, 600)},
    {"kind": "store-and-forward"},
    {"kind": "resend", "ratio": 0.03},
)
TROUBLE = ({"kind": "long-repairs", "ratio": 0.12}, {"kind": "busy-people"})
SHORT = [(1, 1.25)]
LONG = [(seed, 8.0) for seed in range(1, 6)]
FIRST_REPORT_MS = 100  # between the first report of a line and its arrival
SPLIT = 0.99  # of the downtimes: a changeover splits one when it is received of
SURE = 0.97  # of the downtimes; reports on a dead connection are lost, and their time is unknown
OTHERWISE = 0.01  # of all time may be busy in one and down in the other, for the same reason


@dataclass
class HistoryTotals:
    facts: Comparison = field(default_factory=Comparison)
    windows: int = 0
    time: int = 0  # ms of them
    unknown: int = 0  # ms that only the bridge does not know
    otherwise: int = 0  # ms that are busy in one and down in the other
    pieces_off: list[str] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)

    def add(self, expected: WindowTimes, reported: WindowTimes | None) -> None:
        assert reported is not None, expected
        self.windows += 1
        self.time += expected.until - expected.since
        unknown = max(reported.unknown - expected.unknown, 0)
        off = max(abs(reported.busy - expected.busy), abs(reported.down - expected.down))
        self.unknown += unknown
        self.otherwise += max(off - unknown, 0)
        if off > FIRST_REPORT_MS:
            self.deviations.append(f"{expected}, reported {reported}")

    def text(self) -> str:
        return (
            f"{self.facts.expected:,} ends of downtimes: precision {self.facts.precision:.4f}, "
            f"recall {self.facts.recall:.4f}; {self.windows:,} windows: {self.unknown / self.time:.3%} of the time "
            f"unknown, {self.otherwise / self.time:.3%} otherwise"
        )


@pytest.mark.parametrize("runs", [SHORT, pytest.param(LONG, marks=pytest.mark.proof)], ids=["short", "long"])
def test_an_absence_of_the_bridge_loses_no_report(runs: list[tuple[int, float]]) -> None:
    result = _compared(runs, (*TROUBLE, *BRIDGE_AWAY), name="the bridge away")
    assert not result.deviations, "busy and down time are what they were"
    assert min(result.facts.precision, result.facts.recall) >= SPLIT, result.facts
    assert not result.pieces_off


@pytest.mark.parametrize("runs", [SHORT, pytest.param(LONG, marks=pytest.mark.proof)], ids=["short", "long"])
def test_absences_of_devices_that_keep_their_reports_cost_what_was_lost(runs: list[tuple[int, float]]) -> None:
    result = _compared(runs, (*TROUBLE, *BRIDGE_AWAY, *DEVICES_AWAY), name="bridge and devices away")
    assert min(result.facts.precision, result.facts.recall) >= SURE, result.facts
    assert result.otherwise <= OTHERWISE * result.time, result.deviations
    assert not result.pieces_off


def _compared(runs: list[tuple[int, float]], disturbances: tuple[object, ...], *, name: str) -> HistoryTotals:
    profile = Profile.model_validate({"name": "outages", "disturbances": disturbances})
    result = HistoryTotals()
    for seed, hours in runs:
        until = START + round(hours * HOUR)
        run = rehearse(SIMULATED, profile, seed=seed, start=START, duration=until - START)
        driven = drive(run, start=START, until=until, plant=_trusted(plant_file.load(DEMO)))
        line_histories = _as_observed(run.truth, driven)
        expected = [fact for line_history in line_histories for fact in line_history.facts if fact.kind == "downtime"]
        result.facts.add(compare(expected, [fact for fact in facts_of(driven.events) if fact.kind == "downtime"]))
        reported = {window.key: window for window in reported_windows(driven.events)}
        for line_history in line_histories:
            for window in expected_windows(line_history, start=START, until=until, shift_ends=shift_ends(until)):
                if window.kind != "job":  # it begins and ends by report
                    result.add(window, reported.get(window.key))
            result.pieces_off += [
                str(account) for account in accounts(run.truth, line_history, driven.events) if account.difference
            ]
    run_record.note(f"history by trusted clocks, {name}, {len(runs)} runs of {runs[0][1]:g} h", result.text())
    return result


def _trusted(plant: Plant) -> Plant:
    """Return the plant with trusted device clocks."""
    lines = [
        line.model_copy(
            update={"equipment": tuple(machine.model_copy(update={"clock": "device"}) for machine in line.equipment)}
        )
        for line in plant.lines
    ]
    return plant.model_copy(update={"lines": tuple(lines)})


def _as_observed(truth: Truth, driven: DrivenRun) -> list[LineHistory]:
    """Return the lines as if each report arrived when it was made."""
    line_histories = {name: LineHistory(PLANT, line, truth) for name, line in PLANT.lines.items()}
    for received in IdealReceiver(PLANT, truth).receive(_in_order(truth, driven)):
        line_histories[received.line].receive(received)
    for line_history in line_histories.values():
        line_history.pass_time(truth.until)
        line_history.downtime_tracker.facts()
    return list(line_histories.values())


def _in_order(truth: Truth, driven: DrivenRun) -> Iterator[ReceivedPublish]:
    """Yield each received report once, at the time it was made; without Wills and absences."""
    received: dict[int, ReceivedPublish] = {}
    for arrival in driven.fed:
        if not isinstance(arrival, ObservationGap) and arrival.number is not None:
            received.setdefault(arrival.number, arrival)
    for number in sorted(received, key=lambda number: (truth.reports[number].at, number)):
        yield replace(received[number], at=truth.reports[number].at, retained=False)
