"""Absences of a device that buffers its reports: with a trusted clock, the same windows and downtimes as watched."""

from collections.abc import Callable

import pytest

from bridge.domain.events import EventType
from bridge.domain.reports import BirthReport, CountsReport, DeathReport, StateReport
from tests.domain.line.absence.absent_devices import (
    BufferingDevice,
    downtimes_of,
    each_loss,
    each_order,
    line_of,
    report_every_minute,
    running,
)
from tests.domain.line.output.test_oee_base import closed
from tests.support.packing_line import T0, state_of


@each_order
@each_loss
def test_a_buffered_stop_becomes_its_downtime(lose: Callable[[BufferingDevice, float], None], order: str) -> None:
    line, bagger = running(lose=lose)
    lose(bagger, 300)
    bagger.state("fault", 310)
    bagger.state("running", 410)
    bagger.counts(50, 411)
    bagger.reconnect(1_000, order=order)
    report_every_minute(bagger, 1_050, 3_660)
    (downtime,) = line.downtimes()
    assert (downtime.status, downtime.duration_seconds, downtime.started_at) == (
        "closed",
        100,
        "2026-01-05T09:05:10.000Z",
    )
    assert line.of(EventType.DOWNTIME_EVENT)[0].quality.estimated
    for scope in (None, "bagger"):
        hour = [window for window in line.oee("hour", scope) if window.closed][-1]
        away = 1 if order == "after a birth" else 0  # its state is unknown until it reports it
        assert hour.unknown_seconds == pytest.approx(0, abs=away)
        assert hour.planned_busy_seconds - hour.actual_production_seconds == 100
        assert "estimated" in hour.flags
    assert not line.of(EventType.ANDON_EVENT), "what is over calls nobody"
    assert line.statuses("bagger")[-1].status == "running"


@each_loss
def test_a_device_whose_clock_is_not_trusted_stays_unknown(lose: Callable[[BufferingDevice, float], None]) -> None:
    line, bagger = running("receive", lose)
    lose(bagger, 300)
    bagger.state("fault", 310)
    bagger.state("running", 410)
    bagger.reconnect(1_000)
    report_every_minute(bagger, 1_050, 3_660)
    assert line.downtimes() == []
    assert closed(line)[-1].unknown_seconds == pytest.approx(700, abs=1)
    assert not state_of(line.core).absences.records


def test_the_device_is_offline_until_it_reports() -> None:
    """Offline until its next report; then that state, though the absence is evaluated later."""
    line, bagger = running()
    bagger.disconnect(300)
    bagger.reconnect(1_000)
    line.wait(1_100)
    assert [status.status for status in line.statuses("bagger")][-2:] == ["offline", "running"]
    assert line.statuses("bagger")[-1].since == "2026-01-05T09:16:40.900Z"
    grown = [window.unknown_seconds for window in line.oee("hour") if window.unknown_seconds]
    assert len(grown) > 3, "unknown time is shown as it grows"


@each_order
def test_a_stop_that_still_lasts_keeps_its_begin_and_makes_a_call(order: str) -> None:
    line, bagger = running()
    bagger.disconnect(300)
    bagger.state("fault", 310)
    bagger.reconnect(600, order=order)
    line.wait(606)
    (downtime,) = line.downtimes()
    assert (downtime.status, downtime.started_at) == ("open", "2026-01-05T09:05:10.000Z")
    line.wait(660)
    assert line.of(EventType.ANDON_EVENT, "bagger")


def test_the_time_around_a_missing_report_is_unknown() -> None:
    line, bagger = running()
    bagger.disconnect(300)
    for at, state in ((360, "running"), (500, "fault"), (700, "running")):
        bagger.state(state, at)
    bagger.reconnect(900, lost=[1])
    report_every_minute(bagger, 950, 3_660)
    assert line.downtimes() == []
    assert closed(line)[-1].unknown_seconds == 340, "from the report before the missing one to the one after it"


def test_the_time_before_a_new_boot_is_unknown() -> None:
    line, bagger = running()
    bagger.disconnect(300)
    for at, state in ((350, "running"), (500, "fault"), (700, "running")):
        bagger.state(state, at)
    bagger.boot, bagger.seq = 2, -1
    bagger.send(BirthReport(ts=T0 + 900_000), 900)
    bagger.reconnect(900)
    report_every_minute(bagger, 950, 3_660)
    assert closed(line)[-1].unknown_seconds == 50, "from its death to the first report of the boot"
    assert downtimes_of(line) == [("closed", 200)]


@pytest.mark.parametrize(("every", "unknown"), [(60, 0), (300, 600)])
def test_without_a_sequence_it_is_known_while_it_reports_every_minute(every: int, unknown: int) -> None:
    line = line_of()
    line.report("bagger", StateReport(state="running", ts=T0 + 300_000), at=300)
    line.report("bagger", DeathReport(), at=300)
    for at in range(300 + every, 900, every):
        line.report("bagger", StateReport(state="running", ts=T0 + at * 1000), at=900)
    for at in range(900, 3_601, 60):
        line.report("bagger", StateReport(state="running", ts=T0 + at * 1000), at=at)
    assert closed(line)[-1].unknown_seconds == 300 + unknown


def test_late_counts_make_nothing_unknown() -> None:
    """They carry no state; the state of the report before them holds until the next."""
    line = line_of()
    line.report("bagger", StateReport(state="running", ts=T0 + 290_000), at=290)
    line.report("bagger", DeathReport(), at=300)
    line.report("bagger", StateReport(state="running", ts=T0 + 350_000), at=350)
    line.report("bagger", CountsReport(total=1, ts=T0 + 320_000), at=351)
    for at in range(360, 3_601, 60):
        line.report("bagger", StateReport(state="running", ts=T0 + at * 1000), at=at)
    assert closed(line)[-1].unknown_seconds == 290


@each_loss
@pytest.mark.parametrize("since", [230, 600])
def test_a_device_without_a_buffer_is_treated_like_one_with_an_untrusted_clock(
    lose: Callable[[BufferingDevice, float], None], since: float
) -> None:
    """A report is missing: the windows and downtimes are those of a device with an untrusted clock."""
    reported = []
    for clock in ("device", "receive"):
        line, bagger = running(clock, lose)
        report_every_minute(bagger, 240, since)
        lose(bagger, since + 70)
        bagger.buffered = None
        bagger.seq += 1
        bagger.state("fault", 1_000)
        bagger.state("running", 1_100)
        report_every_minute(bagger, 1_150, 3_660)
        reported.append(
            ({window.window_start: window for window in line.oee("hour") if window.closed}, downtimes_of(line))
        )
    assert reported[0] == reported[1]


def test_the_next_report_shows_that_a_late_backlog_is_complete() -> None:
    """The buffer is sent after the current value, and evaluated; a minute later no report turns out to be missing."""
    line, bagger = running()
    bagger.disconnect(300)
    bagger.state("fault", 400)
    bagger.state("running", 500)
    bagger.state("running", 520)
    buffered, bagger.buffered = bagger.buffered or [], None
    bagger.state("running", 1_000)
    for index, body in enumerate(buffered):
        bagger.send(body, 1_000.1 + index / 100)
    line.wait(1_050)
    assert downtimes_of(line) == [("closed", 100)]
    assert [window.unknown_seconds for window in line.oee("hour")][-1] == 480
    report_every_minute(bagger, 1_060, 3_660)
    assert closed(line)[-1].unknown_seconds == 0


def test_an_unused_report_of_a_machine_ends_its_absence() -> None:
    """After silence its last state holds again, whatever the quality of its reports; its time is known."""
    line, bagger = running(lose=BufferingDevice.fall_silent)
    bagger.fall_silent(300)
    bagger.buffered = None
    at = 600.0
    while at < 3_660:
        bagger.report(StateReport(state="running", source_quality="bad"), at)
        at += 60
    for scope in (None, "bagger"):
        assert [window for window in line.oee("hour", scope) if window.closed][-1].unknown_seconds == 300


def test_time_that_the_clock_of_the_host_skipped_stays_unknown() -> None:
    line, bagger = running()
    bagger.disconnect(300)
    line.events += line.core.set_forward(300_000, T0 + 800_000)
    bagger.buffered = []
    bagger.state("fault", 850)
    bagger.state("running", 950)
    bagger.reconnect(1_000)
    line.wait(3_600)
    assert downtimes_of(line) == [("closed", 100)]
    assert closed(line)[-1].unknown_seconds == 300
