"""Stops, downtimes and minor stops; who is to blame; classifying and confirming; the call for help."""

import pytest

from bridge.domain.events import EventType, Priority, Standing
from bridge.domain.line.downtime.stop_tracker import NEXT, Signal, StopPhase
from bridge.domain.reports import ChangeoverReport, DeathReport, StateReport, rejected
from tests.domain.line.downtime.stopped_bagger import FAULT, RUNNING, STOPPED, judge, reported, stopped_line
from tests.support.packing_line import PackingLine, line_spec, plant_file


def test_the_table_of_stops_is_complete() -> None:
    assert set(NEXT) == {(phase, signal) for phase in StopPhase for signal in Signal}


def test_a_downtime_opens_at_the_threshold_dated_at_the_stop_and_ends_at_the_restart() -> None:
    line = stopped_line()
    line.wait(159.9)
    assert line.downtimes() == []
    line.wait(160)
    line.report("bagger", RUNNING, at=400)
    line.wait(409.9)
    assert len(line.downtimes()) == 1
    line.wait(500)
    assert reported(line) == [(160, "open", Standing.CURRENT), (410, "closed", Standing.CLOSED)]
    opened, closed = line.downtimes()
    assert opened.started_at == closed.started_at == "2026-01-05T09:01:40.000Z"
    assert closed.ended_at == "2026-01-05T09:06:40.000Z"
    assert closed.duration_seconds == 300
    assert (opened.downtime_id, opened.micro_stop, opened.ended_at) == ("L1.down.1", False, None)
    assert line.of(EventType.DOWNTIME_EVENT)[0].caused_by == ()


def test_a_restart_that_does_not_hold_revises_nothing_and_splits_nothing() -> None:
    line = stopped_line()
    line.report("bagger", RUNNING, at=300)
    line.report("bagger", FAULT, at=309.9)
    line.report("bagger", RUNNING, at=400)
    line.wait(500)
    last = line.downtimes()[-1]
    assert (last.downtime_id, last.duration_seconds) == ("L1.down.1", 300)
    assert [status for _, status, _ in reported(line)].count("closed") == 1


@pytest.mark.parametrize("threshold", [30, 60, 600])
def test_the_threshold_is_the_plants(threshold: int) -> None:
    line = stopped_line(micro_stop_seconds=threshold)
    line.wait(100 + threshold)
    assert reported(line)[0][0] == 100 + threshold


def test_a_minor_stop_is_reported_only_where_the_line_asks() -> None:
    for minor_stops in (False, True):
        line = stopped_line(report_minor_stops=minor_stops)
        line.report("bagger", RUNNING, at=159.9)
        line.wait(1_000)
        assert reported(line) == ([(159.9, "closed", Standing.CLOSED)] if minor_stops else [])
        for data in line.downtimes():
            assert (data.micro_stop, data.loss, data.duration_seconds) == (True, "minor_stop", 59.9)
            assert data.faults[0].code == "E-STOP"


def test_offline_opens_nothing_and_ends_nothing() -> None:
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", DeathReport(), at=10)
    line.wait(1_000)
    assert line.downtimes() == []
    line.report("bagger", FAULT, at=1_000)
    line.wait(1_100)
    line.report("bagger", DeathReport(), at=1_200)
    line.wait(1_300)
    assert [data.status for data in line.downtimes()] == ["open"]
    line.report("bagger", RUNNING, at=1_400)
    line.wait(1_500)
    assert line.downtimes()[-1].duration_seconds == 400


def test_the_fault_that_stopped_it_and_what_came_after_are_noted() -> None:
    line = stopped_line(StateReport(state="fault", fault_bits=[5, 7]))
    line.report("bagger", StateReport(state="fault", fault_bits=[0, 5, 7]), at=130)
    line.report("bagger", STOPPED, at=140)
    line.wait(160)
    data = line.downtimes()[0]
    assert [(note.code, note.first_out) for note in data.faults] == [
        ("INFEED", True),
        ("WARN", False),
        ("E-STOP", False),
    ]
    assert (data.cause, data.equipment_code, data.cause_equipment) == ("upstream", "bagger", "bagger")


def test_a_starved_line_blames_the_faulted_machine_before_it() -> None:
    line = PackingLine()
    line.report("feeder", RUNNING, at=0)
    line.report("bagger", RUNNING, at=0)
    line.report("feeder", StateReport(state="fault", fault_codes=["JAM"]), at=99)
    line.report("bagger", StateReport(state="idle", upstream_stop=True), at=100)
    line.wait(160)
    data = line.downtimes()[0]
    assert (data.equipment_code, data.cause, data.cause_equipment) == ("bagger", "upstream", "feeder")
    assert data.faults[0].code == "JAM"


def test_new_facts_within_a_downtime_revise_it() -> None:
    line = stopped_line(STOPPED)
    line.wait(160)
    line.report("bagger", STOPPED, at=170)
    assert len(line.downtimes()) == 1
    line.report("bagger", FAULT, at=180)
    assert [data.cause for data in line.downtimes()] == ["unknown", "internal"]
    assert line.of(EventType.DOWNTIME_EVENT)[1].revision == 2


@pytest.mark.parametrize(
    ("body", "category", "loss", "priority"),
    [
        (FAULT, "unplanned", "breakdown", Priority.HIGH),
        (STOPPED, "unplanned", "breakdown", Priority.HIGH),
        (StateReport(state="idle", upstream_stop=True), "unplanned", "minor_stop", Priority.HIGH),
        (StateReport(state="maintenance"), "maintenance", "breakdown", Priority.MEDIUM),
        (StateReport(state="setup"), "changeover", "setup", Priority.MEDIUM),
        (StateReport(state="running", planned_stop=True), "planned", "setup", Priority.MEDIUM),
        (StateReport(state="stopped", reason_code="CLEAN"), "planned", "setup", Priority.MEDIUM),
    ],
)
def test_category(body: StateReport, category: str, loss: str, priority: Priority) -> None:
    line = stopped_line(body)
    line.wait(160)
    data = line.downtimes()[0]
    assert (data.category, data.loss) == (category, loss)
    assert line.of(EventType.DOWNTIME_EVENT)[0].priority is priority


def test_a_changeover_turns_a_downtime_without_a_breakdown_into_its_own_by_revision() -> None:
    line = stopped_line(STOPPED)
    line.wait(200)
    line.report(None, ChangeoverReport(action="start", to_product="nuts"), at=210)
    assert [data.category for data in line.downtimes()] == ["unplanned", "changeover"]
    assert {data.downtime_id for data in line.downtimes()} == {"L1.down.1"}
    assert line.of(EventType.DOWNTIME_EVENT)[-1].priority is Priority.HIGH  # fixed for a subject's life


def test_stops_outside_scheduled_time_are_none() -> None:
    """The late shift ends at 22:00, twelve hours after T0; the early one begins at 06:00, twenty hours after."""
    line = PackingLine()
    line.report("bagger", RUNNING, at=43_000)
    line.report("bagger", FAULT, at=43_100)
    line.wait(71_000)
    closed = line.downtimes()[-1]
    assert (closed.status, closed.duration_seconds) == ("closed", 100)
    line.wait(72_100)
    assert [(at, status) for at, status, _ in reported(line)][2:] == [(72_060, "open")]
    assert line.downtimes()[-1].started_at == "2026-01-06T05:00:00.000Z"


def test_a_restart_that_runs_over_the_end_of_the_shift_has_held() -> None:
    line = PackingLine()
    line.report("bagger", RUNNING, at=43_000)
    line.report("bagger", FAULT, at=43_050)
    line.report("bagger", RUNNING, at=43_195)
    line.report("bagger", FAULT, at=43_203)
    line.wait(43_400)
    assert [(at, status) for at, status, _ in reported(line)] == [(43_110, "open"), (43_200, "closed")]
    assert line.downtimes()[-1].duration_seconds == 145
    shift = next(data for data in line.oee("shift") if data.closed)
    assert shift.planned_busy_seconds - shift.actual_production_seconds == 145


def test_closed_downtimes_are_kept_long_enough_and_not_for_ever() -> None:
    line = PackingLine(plant_file(line_spec(), report_minor_stops=True))
    for index in range(130):
        line.report("bagger", RUNNING, at=index * 20)
        line.report("bagger", STOPPED, at=index * 20 + 10)
    assert judge(line, 2_600, action="classify", downtime_id="L1.down.20", reason_code="MECH") == rejected(
        "unknown_downtime"
    )
    assert judge(line, 2_601, action="classify", downtime_id="L1.down.100", reason_code="MECH").reason is None
