"""Calls for help and classification of downtimes by people."""

import pytest

from bridge.domain import event_data, plant
from bridge.domain.events import Standing
from bridge.domain.reports import DowntimeReport, StateReport, rejected, suppressed
from tests.domain.line.downtime.stopped_bagger import RUNNING, calls, judge, raised, reported, stopped_line
from tests.support.packing_line import LEADER, PackingLine, plant_file


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
def test_a_stop_that_needs_no_help_makes_no_call(body: StateReport) -> None:
    line = stopped_line(body)
    line.wait(5_000)
    assert raised(line) == []


def test_a_downtime_that_has_ended_makes_no_call() -> None:
    line = stopped_line()
    line.report("bagger", RUNNING, at=389)
    line.wait(5_000)
    assert raised(line) == []


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
