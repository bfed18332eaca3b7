"""Production events per shift, hour and job; the counters that count for the line; and the rate."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.event_data import PlannedHour
from bridge.domain.events import EventType
from bridge.domain.line.output.line_output import Pieces, infer_pieces
from bridge.domain.reports import CountsReport, JobReport, StateReport
from bridge.domain.utc_time import rfc3339
from tests.support.packing_line import T0, PackingLine, line_spec, plant_file, seconds

RUNNING = StateReport(state="running")


def counting(**changes: Any) -> PackingLine:
    """Every machine runs and has shown 0 pieces."""
    line = PackingLine(plant_file(line_spec(**changes)))
    for machine in ("feeder", "bagger", "packer"):
        line.report(machine, RUNNING, at=0)
        line.report(machine, CountsReport(total=0), at=0)
    return line


def times(line: PackingLine, equipment_id: str | None = None) -> list[float]:
    return [seconds(event.timestamp) for event in line.of(EventType.PRODUCTION_UPDATE, equipment_id)]


def test_pieces_are_reported_at_most_once_a_period_and_the_last_are_reported() -> None:
    line = counting()
    for index in range(1, 21):
        line.report("bagger", CountsReport(total=index), at=index / 10)
    line.wait(30)
    assert times(line)[:3] == [1, 2, 3]
    assert [data.total_count for data in line.production()][:3] == [9, 19, 20]
    assert len(line.production()) == 3


def test_the_rate_slides_and_falls_to_nothing() -> None:
    line = counting(target_rate_per_minute=None)
    for index in range(1, 61):
        line.report("bagger", CountsReport(total=index * 2), at=index)
    line.wait(400)
    rates = dict(zip(times(line), [data.rate_per_minute for data in line.production()], strict=True))
    assert rates[60] == pytest.approx(120, abs=12)
    assert rates[120] == 0
    assert times(line)[-1] == 120


def test_unchanged_values_are_not_reported_again() -> None:
    """The last piece of one minute, at the next one still within the sliding rate."""
    line = counting()
    line.report("packer", CountsReport(total=6), at=58)
    line.wait(400)
    assert times(line, "packer") == [59, 120]
    assert [data.rate_per_minute for data in line.production("packer")] == [6, 0]


def test_a_stopped_line_falls_behind_visibly() -> None:
    """The expected count grows while nothing is made: 20 a minute."""
    line = counting()
    line.report("bagger", CountsReport(total=1), at=1)
    line.report("bagger", StateReport(state="stopped"), at=2)
    line.wait(660)
    assert times(line)[-3:] == [540, 600, 660]
    before, after = (data.difference for data in line.production()[-2:])
    assert before is not None
    assert after == pytest.approx(before - 20)


@pytest.mark.parametrize(
    ("deltas", "counters", "expected"),
    [
        ({"total": 5}, {"total"}, (5, 5, 0, True)),
        ({"total": 5, "good": 4}, {"total", "good"}, (5, 4, 1, False)),
        ({"total": 5, "reject": 2}, {"total", "reject"}, (5, 3, 2, False)),
        ({"good": 4, "reject": 2}, {"good", "reject"}, (6, 4, 2, False)),
        ({"good": 4}, {"good"}, (4, 4, 0, False)),
        ({"total": 5, "good": 3, "reject": 1}, {"total", "good", "reject"}, (5, 3, 1, False)),
        ({"total": 5}, {"total", "good"}, (5, 0, 5, False)),  # the good ones come in a report of their own
        ({"good": 5}, {"total", "good"}, (0, 5, -5, False)),
    ],
)
def test_infer(deltas: dict[Any, int], counters: set[str], expected: tuple[int, int, int, bool]) -> None:
    assert infer_pieces(deltas, counters=counters) == Pieces(
        total=expected[0], good=expected[1], reject=expected[2], assumed=expected[3]
    )


@given(made=st.lists(st.tuples(st.sampled_from(["total", "reject"]), st.integers(0, 50)), max_size=30))
def test_total_less_reject_is_good_in_whatever_reports_they_come(made: list[tuple[Any, int]]) -> None:
    updates = [infer_pieces({name: delta}, counters={"total", "reject"}) for name, delta in made]
    total = sum(delta for name, delta in made if name == "total")
    reject = sum(delta for name, delta in made if name == "reject")
    assert sum(update.total for update in updates) == total
    assert sum(update.good for update in updates) == total - reject


def test_whose_counters_are_the_lines_is_configured() -> None:
    line = counting(total_from=("feeder",), good_from=("packer",), reject_from=(), pieces_per_count=10)
    line.report("packer", CountsReport(total=0, good=0), at=1)
    line.report("feeder", CountsReport(total=7), at=2)
    line.report("bagger", CountsReport(total=100), at=3)
    line.report("packer", CountsReport(total=50, good=6), at=4)
    line.wait(10)
    last = line.production()[-1]
    assert (last.total_count, last.good_count, last.reject_count) == (70, 60, 10)
    assert line.production("bagger")[-1].total_count == 100
    assert line.production("packer")[-1].good_count == 6


def test_without_configuration_the_last_machine_counts_for_the_line() -> None:
    line = counting(total_from=(), good_from=(), reject_from=())
    line.report("bagger", CountsReport(total=9), at=1)
    line.report("packer", CountsReport(total=8), at=2)
    line.wait(10)
    assert line.production()[-1].total_count == 8


def test_hours_of_the_shift_and_what_was_planned() -> None:
    """The early shift began at 06:00, four hours before T0, when the line first reported."""
    line = counting()
    line.report("bagger", CountsReport(total=30), at=60)
    line.report("bagger", CountsReport(total=75), at=3_700)
    line.wait(3_710)
    data = line.production()[-1]
    assert (data.production_day, data.shift_id, data.window_start) == (
        "2026-01-05",
        "early",
        "2026-01-05T05:00:00.000Z",
    )
    assert [row.actual for row in data.hourly] == [0, 0, 0, 0, 30, 45]
    assert data.hourly[4] == PlannedHour("2026-01-05T09:00:00.000Z", 1_200.0, 30)
    assert data.planned_count_now is not None
    assert data.planned_count_now == pytest.approx(20 * 3_701 / 60, abs=0.01)
    assert data.difference == pytest.approx(75 - data.planned_count_now)


@pytest.mark.parametrize("first_heard", [0, 1, 1_799, 3_600, 3_601, 14_300])
@pytest.mark.parametrize("restarts", [True, False])
def test_the_plan_counts_from_when_the_line_was_first_seen(first_heard: int, *, restarts: bool) -> None:
    """Two of ten pieces are rejects: hours and difference are of the other eight."""
    line = PackingLine()
    line.report("bagger", RUNNING, at=first_heard)
    line.report("bagger", CountsReport(total=0, good=0), at=first_heard)
    for minute in range(1, 90):
        if restarts and minute % 40 == 0:
            line.restart()
        line.report("bagger", CountsReport(total=10 * minute, good=8 * minute), at=first_heard + 60 * minute)
    line.wait(first_heard + 5_400)
    in_first_shift = [update for update in line.production() if update.shift_id == "early"]
    for data in in_first_shift:
        assert data.planned_from == rfc3339(T0 + first_heard * 1_000)
        assert data.planned_count_now is not None
        assert data.difference == pytest.approx(data.good_count - data.planned_count_now)
        assert sum(hour.actual for hour in data.hourly) == data.good_count
        assert all(hour.planned is None for hour in data.hourly if hour.start[:13] < data.planned_from[:13])
    assert in_first_shift[0].planned_count_now == pytest.approx(20, abs=1), "of the first minute"
    for data in line.production():
        if data.shift_id == "late":
            assert data.planned_from is None


def test_the_plan_of_the_next_shift_counts_from_its_start() -> None:
    line = PackingLine()
    line.report("bagger", RUNNING, at=10_000)
    line.report("bagger", CountsReport(total=0), at=10_000)
    line.report("bagger", CountsReport(total=9), at=14_400 + 600)
    line.wait(14_400 + 660)
    data = line.production()[-1]
    assert (data.shift_id, data.planned_from, data.planned_count_now) == ("late", None, 220)


def test_a_shift_ends_with_its_last_count_and_the_next_begins_at_nothing() -> None:
    line = counting()
    line.report("bagger", CountsReport(total=40), at=14_390)
    line.report("bagger", CountsReport(total=41), at=14_399.5)
    line.wait(14_401)
    ended, started = line.production()[-2:]
    assert times(line)[-2:] == [14_400, 14_401]
    assert (ended.shift_id, ended.total_count, started.shift_id, started.total_count) == ("early", 41, "late", 0)
    assert [row.actual for row in started.hourly] == [0]
    line.report("bagger", CountsReport(total=44), at=14_410)
    line.wait(14_411)
    assert line.production()[-1].total_count == 3


def test_a_shift_without_a_piece_begins_and_ends_too() -> None:
    line = counting(target_rate_per_minute=None)
    line.report("bagger", CountsReport(total=40), at=10)
    line.wait(14_400 + 8 * 3_600 + 1)  # the late shift, and into the night
    updates = [(at, data.shift_id, data.total_count) for at, data in zip(times(line), line.production(), strict=True)]
    assert updates[-3:] == [(14_401, "late", 0), (43_200, "late", 0), (43_201, None, 0)]


def test_a_job_that_starts_is_reported_before_its_first_piece() -> None:
    line = counting()
    line.report(None, JobReport(action="assign", job_id="J", product="nuts", target_quantity=50), at=1)
    line.report(None, JobReport(action="start", job_id="J"), at=2.5)
    line.wait(3)
    assert times(line) == [3]
    (data,) = line.production()
    assert (data.job_id, data.target_quantity, data.progress) == ("J", 50, 0)


def test_a_jobs_progress_and_its_last_count() -> None:
    line = counting()
    line.report(None, JobReport(action="assign", job_id="J", product="nuts", target_quantity=50), at=1)
    line.report(None, JobReport(action="start", job_id="J"), at=2)
    line.report("bagger", CountsReport(total=30, good=0), at=5)
    line.report("bagger", CountsReport(total=40, good=10), at=8)
    line.wait(10)
    running = line.production()[-1]
    assert (running.job_id, running.product, running.target_quantity) == ("J", "nuts", 50)
    assert running.progress == pytest.approx(0.8)  # 30 counted as good without a reject count, then 10
    line.report(None, JobReport(action="complete", job_id="J"), at=11.3)
    assert times(line)[-1] == 11.3
    assert line.production()[-1].progress == pytest.approx(0.8)
    line.wait(20)
    assert line.production()[-1].job_id is None


def test_a_job_that_completes_at_its_target_is_reported_with_its_last_piece() -> None:
    line = PackingLine(plant_file(complete_at_target=True))
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", CountsReport(total=0), at=0)
    line.report(None, JobReport(action="assign", job_id="J", product="nuts", target_quantity=50), at=1)
    line.report(None, JobReport(action="start", job_id="J"), at=2)
    line.report("bagger", CountsReport(total=49), at=5)
    line.report("bagger", CountsReport(total=52), at=6.5)
    assert [event.type for event in line.events].count(EventType.JOB_COMPLETED) == 1
    assert times(line)[-1] == 6.5
    assert line.production()[-1].progress == pytest.approx(52 / 50)


def test_a_held_jump_that_is_borne_out_is_flagged_as_estimated() -> None:
    line = counting()
    line.report("bagger", CountsReport(total=50_000), at=1)
    line.report("bagger", CountsReport(total=50_010), at=2)
    line.wait(5)
    assert line.production()[-1].total_count == 50_010
    assert line.of(EventType.PRODUCTION_UPDATE)[-1].quality.estimated
