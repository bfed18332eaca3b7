"""Stops, downtimes and minor stops; who is to blame; classifying and confirming; the call for help."""

from typing import Any

import pytest

from bridge.domain import event_data, plant
from bridge.domain.events import Event, EventType, Priority, Standing
from bridge.domain.line.downtime.stop_tracker import NEXT, Signal, StopPhase
from bridge.domain.reports import ChangeoverReport, DeathReport, DowntimeReport, StateReport, rejected, suppressed
from tests.support.packing_line import LEADER, PackingLine, line_spec, plant_file, seconds

RUNNING = StateReport(state="running")
STOPPED = StateReport(state="stopped")
FAULT = StateReport(state="fault", fault_bits=[0])


def reported(line: PackingLine) -> list[tuple[float, str, Standing]]:
    """When each downtime event happened, its status, and what it does to the current state."""
    return [
        (seconds(event.timestamp), data.status, event.standing)
        for event, data in zip(line.of(EventType.DOWNTIME_EVENT), line.downtimes(), strict=True)
    ]


def stopped_line(body: StateReport = FAULT, **rules: Any) -> PackingLine:
    """Ran from 0, stopped at 100."""
    line = PackingLine(plant_file(**rules))
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", body, at=100)
    return line


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


def test_a_minor_stop_is_told_only_where_the_line_asks() -> None:
    for asked in (False, True):
        line = stopped_line(report_minor_stops=asked)
        line.report("bagger", RUNNING, at=159.9)
        line.wait(1_000)
        assert reported(line) == ([(159.9, "closed", Standing.CLOSED)] if asked else [])
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


def test_what_becomes_known_within_a_downtime_revises_it() -> None:
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


def calls(line: PackingLine) -> list[event_data.Andon]:
    return [event.data for event in line.events if isinstance(event.data, event_data.Andon)]


def raised(line: PackingLine) -> list[tuple[float, Event]]:
    found = [event for event in line.events if event.type is EventType.ANDON_EVENT and event.revision == 1]
    return [(seconds(event.timestamp), event) for event in found]


def test_an_unclassified_downtime_calls_for_help_after_five_minutes_once() -> None:
    line = stopped_line()
    line.wait(399.9)
    assert raised(line) == []
    line.wait(5_000)
    assert [at for at, _ in raised(line)] == [400]
    call = calls(line)[0]
    assert (call.auto_generated, call.downtime_id, call.andon_type) == (True, "L1.down.1", "equipment")
    assert raised(line)[0][1].place.equipment == "bagger"


def test_a_classified_downtime_calls_after_its_reasons_minutes() -> None:
    line = stopped_line()
    line.wait(200)
    line.report(None, DowntimeReport(action="classify", downtime_id="L1.down.1", reason_code="MAT_JAM"), at=250)
    line.wait(5_000)
    assert [at for at, _ in raised(line)] == [100 + 20 * 60]
    assert calls(line)[0].andon_type == "material"


def test_a_reason_whose_minutes_have_passed_calls_at_once() -> None:
    reason = plant.DowntimeReason(code="SLOW", text="Slow", call_after_minutes=60)
    line = PackingLine(plant_file().model_copy(update={"reasons": (reason, *plant.DEFAULT_REASONS)}))
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", StateReport(state="fault", reason_code="SLOW"), at=100)
    line.wait(1_500)
    assert raised(line) == []
    line.report(None, DowntimeReport(action="classify", downtime_id="L1.down.1", reason_code="PLC"), at=1_500)
    line.wait(1_501)
    assert [at for at, _ in raised(line)] == [1_500]


@pytest.mark.parametrize(
    "body",
    [
        StateReport(state="idle", upstream_stop=True),
        StateReport(state="idle", downstream_stop=True),
        StateReport(state="maintenance"),
        StateReport(state="running", planned_stop=True),
        StateReport(state="stopped", reason_code="CLEAN"),
    ],
)
def test_what_nobody_can_help_calls_nobody(body: StateReport) -> None:
    line = stopped_line(body)
    line.wait(5_000)
    assert raised(line) == []


def test_a_downtime_that_has_ended_calls_nobody() -> None:
    line = stopped_line()
    line.report("bagger", RUNNING, at=389)
    line.wait(5_000)
    assert raised(line) == []


def judge(line: PackingLine, at: float, **fields: Any) -> Any:
    body = DowntimeReport(**{"downtime_id": "L1.down.1", **fields})
    return line.report(None, body, at=at, actor=LEADER).disposition


def test_classify_then_confirm() -> None:
    line = stopped_line()
    line.wait(200)
    assert judge(line, 210, action="confirm") == rejected("downtime_open")
    assert judge(line, 211, action="classify") == rejected("incomplete")
    assert judge(line, 212, action="classify", reason_code="NOPE") == rejected("unknown_reason")
    assert judge(line, 213, action="classify", reason_code="MECH", notes="belt").reason is None
    assert judge(line, 214, action="classify", reason_code="MECH") == suppressed("already_classified")
    line.report("bagger", RUNNING, at=220)
    line.wait(300)
    assert judge(line, 310, action="classify", reason_code="ELEC").reason is None
    assert judge(line, 311, action="confirm").reason is None
    assert judge(line, 312, action="confirm") == suppressed("already_confirmed")
    assert judge(line, 313, action="classify", reason_code="MECH") == rejected("already_confirmed")
    assert judge(line, 314, action="confirm", downtime_id="L1.down.9") == rejected("unknown_downtime")
    assert [standing for _, _, standing in reported(line)] == [
        Standing.CURRENT,
        Standing.CURRENT,
        Standing.CLOSED,
        Standing.HISTORY,
        Standing.HISTORY,
    ]
    last = line.downtimes()[-1]
    assert (last.status, last.reason_code, last.notes) == ("confirmed", "ELEC", "belt")
    assert last.confirmed_by == event_data.Person("lea", "Lea")


def test_a_planned_stop_leaves_the_planned_busy_time_only_when_a_named_user_confirms_it() -> None:
    line = stopped_line(StateReport(state="running", planned_stop=True))
    line.report("bagger", RUNNING, at=400)
    line.wait(500)
    before = line.oee("shift")[-1]
    assert before.availability == pytest.approx(200 / 500)
    line.report(None, DowntimeReport(action="classify", downtime_id="L1.down.1", reason_code="MECH"), at=501)
    line.report(None, DowntimeReport(action="classify", downtime_id="L1.down.1", reason_code="CLEAN"), at=501)
    line.report(None, DowntimeReport(action="confirm", downtime_id="L1.down.1"), at=502, actor=LEADER)
    after = line.oee("shift")[-1]
    assert after.planned_busy_seconds == before.planned_busy_seconds - 300 + 2
    assert after.availability == pytest.approx(1.0)


def test_a_claimed_operator_confirms_but_excludes_nothing() -> None:
    line = stopped_line(StateReport(state="running", planned_stop=True))
    line.report("bagger", RUNNING, at=400)
    line.wait(500)
    before = line.oee("shift")[-1]
    line.report(None, DowntimeReport(action="confirm", downtime_id="L1.down.1", operator="x"), at=500)
    assert line.downtimes()[-1].status == "confirmed"
    assert line.oee("shift")[-1] == before


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
