"""Interaction of the parts of a line: jobs, changeovers, OEE, product, and restarts of the bridge."""

import msgspec
import pytest

from bridge.domain.event_data import Changeover
from bridge.domain.events import EventType, Standing
from bridge.domain.line.line import Line
from bridge.domain.reports import (
    AndonReport,
    ChangeoverReport,
    CountsReport,
    DeathReport,
    JobReport,
    MeasurementReport,
    StateReport,
)
from tests.support.packing_line import T0, PackingLine, equipment, line_spec, plant_file, seconds

RUNNING = StateReport(state="running")


def state_report(state: str, product: str | None = None) -> StateReport:
    return StateReport(state=state, product=product)


def running(line: PackingLine, product: str = "crisps") -> PackingLine:
    line.report("bagger", state_report("running", product), at=0)
    line.report("bagger", CountsReport(total=0, good=0), at=0)
    return line


def changeovers(line: PackingLine) -> list[tuple[str, str | None, str, str | None]]:
    return [
        (event.type.value, event.data.from_product, event.data.to_product, event.data.outcome)
        for event in line.events
        if isinstance(event.data, Changeover)
    ]


def test_nothing_happens_before_the_first_report() -> None:
    line = PackingLine()
    assert line.core.next_deadline() is None
    assert line.wait(100_000) == []


def test_a_device_whose_clock_lies_a_day_back_opens_no_past() -> None:
    line = PackingLine()
    line.report("packer", StateReport(state="running", ts="2026-01-04T09:00:00Z"), at=0)
    assert {seconds(event.timestamp) for event in line.events} == {0}


def test_time_never_goes_back() -> None:
    line = running(PackingLine())
    line.wait(100)
    line.report("bagger", state_report("stopped"), at=50)
    assert all(event.timestamp <= T0 + 100_000 for event in line.events)
    line.wait(60)
    stamps = [event.timestamp for event in line.events]
    assert stamps == sorted(stamps)


def test_a_product_change_while_stopped_is_a_changeover_until_the_first_good_piece() -> None:
    line = running(PackingLine())
    line.report("bagger", CountsReport(total=10, good=10), at=50)
    line.report("bagger", state_report("stopped", "crisps"), at=60)
    line.report("bagger", state_report("stopped", "nuts"), at=200)
    line.report("bagger", state_report("running", "nuts"), at=300)
    line.report("bagger", CountsReport(total=12, good=10), at=310)
    line.report("bagger", CountsReport(total=13, good=11), at=320)
    assert changeovers(line) == [
        ("changeover_started", "crisps", "nuts", None),
        ("changeover_completed", "crisps", "nuts", "completed"),
    ]
    done = line.of(EventType.CHANGEOVER_COMPLETED)[0].data
    assert isinstance(done, Changeover)
    assert (done.duration_seconds, done.startup_rejects, done.target_seconds) == (270, 2, 600)
    assert {data.category for data in line.downtimes()} == {"unplanned", "changeover"}
    assert line.downtimes()[-1].category == "changeover"


def test_a_product_change_while_running_is_none() -> None:
    line = running(PackingLine())
    line.report("bagger", state_report("running", "nuts"), at=10)
    assert changeovers(line) == []
    assert line.statuses()[-1].product == "nuts"


def test_machines_that_disagree_on_the_product_start_no_changeovers() -> None:
    """The constraint says it; the feeder, which is ahead of it in the flow, may already have the next one."""
    line = running(PackingLine())
    line.report("bagger", state_report("stopped"), at=10)
    for at in range(20, 60, 10):
        line.report("feeder", state_report("running", "nuts"), at=at)
        line.report("bagger", state_report("stopped", "crisps"), at=at + 5)
    assert changeovers(line) == []


def test_a_job_of_another_product_changes_the_line_over_and_its_cancelling_abandons_that() -> None:
    line = running(PackingLine())
    line.report("bagger", state_report("stopped"), at=10)
    line.report(None, JobReport(action="assign", job_id="J", product="nuts", target_quantity=9), at=20)
    line.report(None, JobReport(action="start", job_id="J"), at=30)
    assert line.statuses()[-1].product == "nuts"
    assert line.statuses()[-1].job_id == "J"
    line.report(None, JobReport(action="cancel", job_id="J"), at=40)
    assert [outcome for *_, outcome in changeovers(line)] == [None, "abandoned"]


def test_machine_reports_do_not_change_the_product_of_a_running_job() -> None:
    line = running(PackingLine())
    line.report(None, JobReport(action="assign", job_id="J", product="nuts", target_quantity=9), at=1)
    line.report(None, JobReport(action="start", job_id="J"), at=2)
    line.report("bagger", state_report("running", "unheard-of"), at=3)
    line.report(None, JobReport(action="complete", job_id="J"), at=4)
    line.report("bagger", state_report("running", "unheard-of"), at=5)
    assert line.statuses()[-1].product == "nuts"


def test_no_order_is_why_an_idle_line_that_works_by_jobs_idles() -> None:
    line = running(PackingLine())
    line.report("bagger", state_report("idle"), at=1)
    assert line.statuses()[-1].cause == "unknown"  # it never had a job
    line.report(None, JobReport(action="assign", job_id="J", product="crisps", target_quantity=9), at=2)
    line.report(None, JobReport(action="start", job_id="J"), at=3)
    assert line.statuses()[-1].cause == "unknown"
    line.report(None, JobReport(action="complete", job_id="J"), at=4)
    assert line.statuses()[-1].cause == "no_order"


def test_oee_is_reported_at_multiples_of_its_period_and_only_when_it_moved() -> None:
    line = running(PackingLine(plant_file(line_spec(equipment=equipment(ideal_cycle_seconds=None)))))
    line.wait(3_000)
    reported = [seconds(event.timestamp) for event in line.of(EventType.OEE_UPDATE)]
    assert reported == [10, 10]  # running, without a piece: 1, 0, null, from the first look on
    line.report("bagger", CountsReport(total=1_000, good=1_000), at=3_001)
    line.wait(3_600)
    reported = [seconds(event.timestamp) for event in line.of(EventType.OEE_UPDATE)][2:]
    assert reported
    assert all(at % 10 == 0 for at in reported)
    hours = [data for data in line.oee("hour") if data.closed]
    assert [data.window_end for data in hours] == ["2026-01-05T10:00:00.000Z"]
    assert line.of(EventType.OEE_UPDATE)[-1].standing is Standing.CURRENT


def test_several_products_sum_their_ideal_cycles() -> None:
    line = running(PackingLine())
    line.report("bagger", CountsReport(total=100, good=100), at=400)
    line.report("bagger", state_report("running", "nuts"), at=500)
    line.report("bagger", CountsReport(total=150, good=150), at=900)
    line.wait(1_000)
    last = line.oee("hour")[-1]
    assert last.ideal_cycle_seconds == pytest.approx((100 * 2 + 50 * 4) / 150)
    assert last.performance == pytest.approx(400 / last.actual_production_seconds)


def test_the_ideal_cycle_reported_is_that_of_one_piece() -> None:
    """OEE = PRI * GQ / PBT and E = PRI * PQ / APT, of the event's own numbers."""
    line = running(PackingLine())
    line.wait(20)
    assert line.oee("hour")[-1].ideal_cycle_seconds == 2.0  # of what runs, before its first piece
    line.report("bagger", CountsReport(total=100, good=90), at=400)
    line.wait(410)
    last = line.oee("hour")[-1]
    assert last.ideal_cycle_seconds == 2.0
    assert last.oee == pytest.approx(2.0 * 90 / last.planned_busy_seconds, rel=1e-9)
    assert last.performance == pytest.approx(2.0 * 100 / last.actual_production_seconds, rel=1e-9)


@pytest.mark.parametrize(
    ("ideal", "counts", "reason"), [(None, 0, "no_ideal_cycle"), (None, 5, "no_ideal_cycle"), (2.0, 0, "no_pieces")]
)
def test_an_oee_without_value_states_the_reason(ideal: float | None, counts: int, reason: str) -> None:
    line = running(PackingLine(plant_file(line_spec(ideal_cycle_seconds=ideal))), product="unheard-of")
    line.report("bagger", CountsReport(total=counts, good=counts), at=5)
    line.wait(100)
    last = line.oee("shift")[-1]
    assert last.null_reason == reason
    assert (last.performance is None) == (ideal is None)
    assert (last.oee is None) == (ideal is None)


def test_an_offline_hour_is_unknown_and_not_lost() -> None:
    line = running(PackingLine())
    line.report("bagger", DeathReport(), at=0)
    line.wait(3_700)
    hour = next(data for data in line.oee("hour") if data.closed)
    assert (hour.unknown_seconds, hour.planned_busy_seconds, hour.availability) == (3_600, 0, None)
    assert "not_scheduled" not in hour.flags


def test_running_outside_the_plan_adds_its_time() -> None:
    """22:00, the end of the late shift, is twelve hours after T0."""
    line = PackingLine()
    line.report("bagger", RUNNING, at=43_300)
    line.report("bagger", state_report("stopped"), at=43_400)
    line.wait(46_801)
    hour = next(data for data in line.oee("hour") if data.closed)
    assert (hour.planned_busy_seconds, hour.availability) == (100, 1.0)
    assert "unplanned_run" in hour.flags
    assert line.statuses()[-1].scheduled is False


def test_faster_than_ideal_is_suspect_and_not_clipped() -> None:
    line = running(PackingLine())
    line.report("bagger", CountsReport(total=90, good=90), at=9)
    line.wait(10)
    last = line.oee("hour")[-1]
    assert last.performance == pytest.approx(18)
    assert "ideal_cycle_suspect" in last.flags


def test_a_machine_with_an_ideal_cycle_has_its_own_oee() -> None:
    line = running(PackingLine())
    line.report("bagger", CountsReport(total=5, good=4), at=9)
    line.wait(10)
    own = line.oee("hour", "bagger")[-1]
    assert own.performance == pytest.approx(0.5)
    assert own.quality == pytest.approx(0.8)
    assert line.oee("hour", "packer") == []


def test_events_of_deadlines_come_first_and_are_counted() -> None:
    line = running(PackingLine())
    line.report("bagger", state_report("stopped"), at=1)
    outcome = line.report("bagger", RUNNING, at=1_000)
    causes = [event.caused_by for event in outcome.events]
    assert causes[: outcome.deadline_events] == [()] * outcome.deadline_events
    assert outcome.deadline_events > 0
    assert set(causes[outcome.deadline_events :]) == {("input:4",)}


def test_an_open_call_and_its_deadlines_survive_a_restart() -> None:
    line = running(PackingLine())
    line.report("desk", AndonReport(andon_type="equipment", action="raise"), at=10)
    twin = Line.restore(line.plant_config, line.plant_config.lines[0], line.core.checkpoint())
    fired = twin.tick(T0 + 10_000_000)
    assert [event for event in fired if event.type is EventType.ESCALATION_UPDATE]
    assert list(fired) == line.wait(10_000)


def test_an_invalid_checkpoint_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        Line.restore(plant_file(), line_spec(), b"\x93broken")


def test_a_restored_line_takes_up_equipment_that_is_new_in_the_plant_file() -> None:
    line = running(PackingLine(plant_file(line_spec(equipment=equipment()[1:]))))
    larger = plant_file()
    restored = Line.restore(larger, larger.lines[0], line.core.checkpoint())
    other = PackingLine(larger)
    other.core = restored
    other.report("feeder", RUNNING, at=10)
    other.wait(100)
    assert other.statuses("feeder")[0].status == "running"


def test_measurements_reach_their_limits() -> None:
    limit = {"parameter": "weight", "unit": "g", "upper": 105.0}
    line = running(PackingLine(plant_file(line_spec(limits=[limit]))))
    line.report("bagger", MeasurementReport(parameter="weight", value=106.0, unit="g"), at=1)
    assert [event.type for event in line.events].count(EventType.QUALITY_ALERT) == 1


def test_a_changeover_by_report_needs_no_product_from_a_machine() -> None:
    line = PackingLine()
    line.report(None, ChangeoverReport(action="start", from_product="crisps", to_product="nuts"), at=0)
    assert changeovers(line) == [("changeover_started", "crisps", "nuts", None)]
    assert line.statuses() == []
