"""Absences with trusted clocks: reports queued in the broker give the same windows and downtimes as watching."""

import pytest

from bridge.domain.events import EventType
from tests.domain.line.buffered_bagger import BufferedBagger, line_of
from tests.domain.line.output.test_oee_base import closed

MINUTE = 60


def test_a_stop_queued_in_the_broker_becomes_its_downtime() -> None:
    """The bridge was absent 100 s, of which the machine was stopped 80 s."""
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    bagger.counts(0, 0)
    bagger.absence = (300, 400)
    bagger.state("fault", 305)
    bagger.state("running", 385)
    bagger.reconnect()
    bagger.state("running", 460)
    line.wait(3_600)
    (downtime,) = line.downtimes()
    assert (downtime.status, downtime.duration_seconds, downtime.cause) == ("closed", 80, "internal")
    assert downtime.started_at == "2026-01-05T09:05:05.000Z"
    assert line.of(EventType.DOWNTIME_EVENT)[0].quality.estimated
    (hour,) = closed(line)
    assert (hour.unknown_seconds, hour.planned_busy_seconds, hour.actual_production_seconds) == (0, 3_600, 3_520)
    assert "estimated" in hour.flags
    assert not line.of(EventType.ANDON_EVENT), "what is over calls nobody"


def test_without_a_trusted_clock_the_same_is_unknown() -> None:
    line = line_of(clock="receive")
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    bagger.absence = (300, 400)
    bagger.state("fault", 305)
    bagger.state("running", 385)
    bagger.reconnect()
    line.wait(3_600)
    assert line.downtimes() == []
    (hour,) = closed(line)
    assert hour.unknown_seconds == pytest.approx(100, abs=0.1)
    assert hour.availability == 1.0
    assert "estimated" in hour.flags


def test_a_stop_that_still_lasts_keeps_its_begin() -> None:
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    bagger.absence = (300, 600)
    bagger.state("fault", 310)
    bagger.reconnect()
    line.wait(606)
    (downtime,) = line.downtimes()
    assert (downtime.status, downtime.started_at) == ("open", "2026-01-05T09:05:10.000Z")
    line.wait(700)
    assert line.of(EventType.ANDON_EVENT, "bagger"), "it lasts for more than five minutes, and calls"


def test_an_open_downtime_ends_at_its_reported_end() -> None:
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("fault", 0)
    line.wait(100)
    bagger.absence = (200, 500)
    bagger.state("running", 250)
    bagger.state("fault", 290)
    bagger.state("running", 400)
    bagger.reconnect()
    line.wait(600)
    assert [
        (downtime.status, downtime.duration_seconds) for downtime in line.downtimes() if downtime.status != "open"
    ] == [
        ("closed", 250),
        ("closed", 110),
    ]


def test_a_stop_that_began_before_and_was_over_before_the_threshold_is_a_minor_one() -> None:
    line = line_of(report_minor_stops=True)
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    bagger.state("stopped", 290)
    bagger.absence = (300, 500)
    bagger.state("running", 320)
    bagger.reconnect()
    line.wait(3_600)
    (minor,) = line.downtimes()
    assert (minor.micro_stop, minor.duration_seconds) == (True, 30)
    assert closed(line)[-1].planned_busy_seconds == closed(line)[-1].actual_production_seconds


def test_the_time_around_a_missing_report_is_unknown() -> None:
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    bagger.absence = (300, 900)
    bagger.state("running", 360)
    bagger.state("fault", 500)
    bagger.state("running", 700)
    bagger.lose(1)
    bagger.reconnect()
    line.wait(3_600)
    assert line.downtimes() == []
    (hour,) = closed(line)
    assert hour.unknown_seconds == 340, "from the report before the missing one to the one after it"


@pytest.mark.parametrize("runs_at", [43_100, 43_193, 43_199, 43_260])
def test_a_stop_over_the_end_of_the_shift_equals_the_watched_one(runs_at: int) -> None:
    """Every stop ends with scheduled time, also one from which the line has just restarted."""
    outcomes = []
    for away in (None, (42_000.0, 46_000.0)):
        line = line_of()
        bagger = BufferedBagger(line)
        bagger.state("running", 0)
        bagger.absence = away
        bagger.state("fault", 43_000)
        bagger.state("running", runs_at)
        bagger.state("running", 45_990)
        if away is not None:
            bagger.reconnect()
        line.wait(50_000)
        outcomes.append(
            [(downtime.started_at, downtime.ended_at) for downtime in line.downtimes() if downtime.status == "closed"]
        )
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0]) == 1


def test_a_downtime_whose_end_is_unknown_ends_with_scheduled_time() -> None:
    line = line_of()
    bagger = BufferedBagger(line)
    bagger.state("running", 0)
    bagger.absence = (42_000, 46_000)
    for at, state in ((43_000, "fault"), (43_100, "fault"), (43_150, "fault"), (45_990, "running")):
        bagger.state(state, at)
    bagger.lose(2)
    bagger.reconnect()
    line.wait(50_000)
    assert [(downtime.status, downtime.duration_seconds) for downtime in line.downtimes()] == [("closed", 200)]
