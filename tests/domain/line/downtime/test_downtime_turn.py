"""Splits of a downtime between breakdown and changeover, and the call that stays due."""

from datetime import datetime
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain import event_data
from bridge.domain.events import EventType
from bridge.domain.reports import ChangeoverReport, DeathReport, StateReport
from tests.support.packing_line import RARE_OEE, PackingLine, plant_file, seconds

RUNNING: Final = StateReport(state="running")
FAULT: Final = StateReport(state="fault", fault_codes=["FILM"])
STOPPED: Final = StateReport(state="stopped")
SETUP: Final = StateReport(state="setup")
START: Final = ChangeoverReport(action="start", to_product="nuts")
COMPLETE: Final = ChangeoverReport(action="complete")

TimedReport = tuple[float, StateReport | ChangeoverReport | DeathReport]
DowntimePart = tuple[str, float, float | None]
"""(category, from, to) in seconds since T0."""


def line_of(*steps: TimedReport, until: float) -> PackingLine:
    line = PackingLine(plant_file(oee_period_seconds=RARE_OEE))
    line.report("bagger", RUNNING, at=0)
    for at, body in steps:
        line.report(None if isinstance(body, ChangeoverReport) else "bagger", body, at=at)
    line.wait(until)
    return line


def at_of(text: str | None) -> float | None:

    return None if text is None else seconds(round(datetime.fromisoformat(text).timestamp() * 1000))


def parts(line: PackingLine) -> list[DowntimePart]:
    """The downtimes as they were last reported."""
    last = {data.downtime_id: data for data in line.downtimes()}
    collected: list[DowntimePart] = []
    for data in last.values():
        start = at_of(data.started_at)
        assert start is not None
        collected.append((data.category, start, at_of(data.ended_at)))
    return collected


def raised(line: PackingLine) -> list[tuple[float, str | None]]:
    return [
        (seconds(event.timestamp), event.data.downtime_id)
        for event in line.events
        if event.type is EventType.ANDON_EVENT and isinstance(event.data, event_data.Andon) and event.revision == 1
    ]


@pytest.mark.parametrize("lasting", [61, 280, 3_000])
@pytest.mark.parametrize("signal", [START, SETUP])
def test_a_changeover_that_starts_during_a_breakdown_splits_it(signal: StateReport, lasting: float) -> None:
    began = 100 + lasting
    line = line_of((100, FAULT), (began, signal), until=20_000)
    assert parts(line) == [("unplanned", 100, began), ("changeover", began, None)]
    first = next(data for data in line.downtimes() if data.status == "closed")
    assert (first.cause, first.loss, first.duration_seconds) == ("internal", "breakdown", lasting)


def test_the_call_of_the_breakdown_stays_due_while_its_fault_lasts() -> None:
    line = line_of((100, FAULT), (380, START), until=10_000)
    assert raised(line) == [(400, "L1.down.1")]
    line = line_of((100, FAULT), (380, START), (390, STOPPED), until=10_000)
    assert raised(line) == []
    line = line_of((100, FAULT), (380, START), (385, DeathReport()), until=10_000)
    assert raised(line) == [(400, "L1.down.1")]  # repaired with the power off: nothing else is known


def test_a_fault_that_still_blocks_a_machine_in_setup_mode_lasts() -> None:
    in_setup = StateReport(state="setup", fault_codes=["FILM"])
    assert raised(line_of((100, FAULT), (380, in_setup), until=10_000)) == [(400, "L1.down.1")]
    assert raised(line_of((100, FAULT), (380, SETUP), until=10_000)) == []


def test_a_call_that_was_raised_stays_open_through_the_changeover() -> None:
    line = line_of((100, FAULT), (500, START), (600, STOPPED), (3_000, RUNNING), (3_010, COMPLETE), until=4_000)
    calls = [event.data for event in line.events if isinstance(event.data, event_data.Andon)]
    assert raised(line) == [(400, "L1.down.1")]
    assert {call.status for call in calls} == {"open"}
    assert parts(line) == [("unplanned", 100, 500), ("changeover", 500, 3_000)]


def test_a_stop_that_becomes_a_changeover_within_the_threshold_is_one_whole_and_its_fault_calls() -> None:
    line = line_of((100, FAULT), (130, START), until=1_000)
    assert parts(line) == [("changeover", 100, None)]
    assert raised(line) == [(400, "L1.down.1")]


def test_a_fault_during_a_changeover_splits_it_where_it_lasts_the_threshold() -> None:
    line = line_of((100, STOPPED), (110, START), (900, FAULT), (959, STOPPED), until=2_000)
    assert parts(line) == [("changeover", 100, None)]
    assert [note.code for note in line.downtimes()[-1].faults] == ["FILM"]
    line = line_of((100, STOPPED), (110, START), (900, FAULT), until=2_000)
    assert parts(line) == [("changeover", 100, 900), ("unplanned", 900, None)]
    assert raised(line) == [(1_200, "L1.down.2")]


def test_the_changeover_that_continues_after_such_a_fault_is_one_again() -> None:
    line = line_of(
        *((100, STOPPED), (110, START), (900, FAULT), (1_500, STOPPED), (3_000, RUNNING), (3_001, COMPLETE)),
        until=4_000,
    )
    assert parts(line) == [("changeover", 100, 900), ("unplanned", 900, 1_500), ("changeover", 1_500, 3_000)]


def test_a_fault_that_outlasts_the_changeover_it_was_carried_into_is_a_breakdown_again() -> None:
    line = line_of((100, FAULT), (200, START), (2_000, COMPLETE), until=3_000)
    assert parts(line) == [("unplanned", 100, 200), ("changeover", 200, 2_000), ("unplanned", 2_000, None)]


def test_a_fault_that_stops_a_line_in_a_changeover_is_a_breakdown_from_its_beginning() -> None:
    line = line_of((50, START), (100, FAULT), until=1_000)
    assert parts(line) == [("unplanned", 100, None)]
    assert raised(line) == [(400, "L1.down.1")]


STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from((1, 20, 59, 60, 61, 300, 2_000)),
        st.sampled_from((RUNNING, RUNNING, FAULT, FAULT, STOPPED, SETUP, START, COMPLETE, DeathReport())),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_the_parts_of_a_stop_meet_and_never_overlap(steps: list[TimedReport]) -> None:
    """One downtime is open at most, none is empty, and a breakdown never reads changeover nor the other way round."""
    at = 0.0
    timed: list[TimedReport] = []
    for wait, body in steps:
        at += wait
        timed.append((at, body))
    line = line_of(*timed, until=at + 400)
    stop_parts = parts(line)
    for _, start, end in stop_parts[:-1]:
        assert end is not None
        assert start < end
    for (_, _, end), (_, start, _) in pairwise(stop_parts):
        assert end is not None
        assert end <= start
    open_ids: set[str] = set()
    for data in line.downtimes():
        (open_ids.add if data.status == "open" else open_ids.discard)(data.downtime_id)
        assert len(open_ids) <= 1
        if data.cause == "internal":
            assert data.cause_equipment == data.equipment_code


@pytest.mark.parametrize(
    ("waiting", "culprit"),
    [
        (StateReport(state="idle", upstream_stop=True), "feeder"),
        (StateReport(state="idle", downstream_stop=True), "packer"),
    ],
)
def test_a_changeover_splits_a_breakdown_whose_culprit_is_another_machine(waiting: StateReport, culprit: str) -> None:
    """The line stands because that machine failed, whichever machine decides its status."""
    line = PackingLine(plant_file(oee_period_seconds=RARE_OEE))
    for machine in ("feeder", "bagger", "packer"):
        line.report(machine, RUNNING, at=0)
    line.report(culprit, FAULT, at=100)
    line.report("bagger", waiting, at=101)
    line.report(None, START, at=300)
    line.wait(310)
    assert parts(line) == [("unplanned", 101, 300), ("changeover", 300, None)]
    assert {data.cause_equipment for data in line.downtimes() if data.category == "unplanned"} == {culprit}
