"""A line after an absence of the bridge: its machines are unknown, the actions of people stay."""

import pytest

from bridge.domain import event_data
from bridge.domain.events import EventType
from bridge.domain.line.line import Line
from bridge.domain.reports import AndonReport, CountsReport, DeathReport, Effect, StateReport
from tests.support.packing_line import T0, PackingLine, plant_file, seconds

RUNNING = StateReport(state="running", speed=90.0)
FAULT = StateReport(state="fault")


def absent(line: PackingLine, since: float, until: float) -> None:
    """Let the bridge be absent from `since` to `until`."""
    at, now = T0 + round(since * 1000), T0 + round(until * 1000)
    line.events += line.core.apply_absence(at, now, cause="input:absence")


def running_line() -> PackingLine:
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    line.report("bagger", CountsReport(total=0), at=0)
    return line


def oee(line: PackingLine, window: str = "hour") -> event_data.Oee:
    return line.oee(window)[-1]


def test_unknown_time_is_shown_as_it_grows() -> None:
    """It moves no ratio; a dashboard would else see an hour of it only at the end of the hour."""
    line = running_line()
    line.report("bagger", DeathReport(), at=60)
    line.wait(2_000)
    assert [window.unknown_seconds for window in line.oee("hour") if window.unknown_seconds] == [
        10,
        70,
        140,
        280,
        560,
        1_120,
    ]


def test_windows_of_an_absence_of_days_are_reported_by_the_hour() -> None:
    line = running_line()
    absent(line, 60, 72 * 3_600)
    line.wait(72 * 3_600)
    assert len(line.oee("hour")) < 3 * 72
    line.report("bagger", RUNNING, at=72 * 3_600)
    line.wait(72 * 3_600 + 20)
    assert "estimated" in oee(line, "shift").flags


def test_every_machine_is_unknown_from_the_absence_on_and_reported_as_estimated() -> None:
    line = running_line()
    line.report("feeder", RUNNING, at=5)
    absent(line, 100, 400)
    reported = zip(line.of(EventType.LINE_STATUS_UPDATE), line.statuses(), strict=True)
    lost = [event for event, data in reported if data.status == "offline"]
    assert [(seconds(event.timestamp), event.quality.estimated) for event in lost] == [(100, True)]
    assert lost[0].caused_by == ("input:absence",)
    for machine in ("bagger", "feeder"):
        assert (line.statuses(machine)[-1].status, line.statuses(machine)[-1].since[11:19]) == ("offline", "09:01:40")


def test_an_absence_is_neither_running_nor_down() -> None:
    line = running_line()
    absent(line, 100, 400)
    line.report("bagger", RUNNING, at=400)
    line.wait(3_600)
    (hour,) = [window for window in line.oee("hour") if window.closed]
    assert (hour.unknown_seconds, hour.actual_production_seconds, hour.planned_busy_seconds) == (300, 3_300, 3_300)
    assert hour.availability == 1.0


def test_deadlines_before_an_absence_fire_and_those_within_it_do_not() -> None:
    """A stop that lasted until the absence is no downtime: the machine may have restarted a second later."""
    for since, expected in ((150, ["open"]), (90, [])):
        line = running_line()
        line.report("bagger", FAULT, at=60)
        absent(line, since, 4_000)
        line.wait(4_001)
        assert [downtime.status for downtime in line.downtimes()] == expected


def test_an_open_downtime_stays_open_and_its_time_in_the_absence_is_unknown() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=60)
    absent(line, 160, 1_160)
    line.report("bagger", RUNNING, at=1_160)
    line.wait(1_200)
    last = line.downtimes()[-1]
    assert (last.status, last.duration_seconds) == ("closed", 1_100)
    busy = oee(line)
    assert busy.planned_busy_seconds - busy.actual_production_seconds == 100


def test_the_calls_and_ladders_of_people_continue() -> None:
    line = running_line()
    line.report("desk", AndonReport(action="raise", andon_type="quality"), at=10)
    absent(line, 60, 1_000)
    line.wait(1_000)
    reported = [event.data for event in line.of(EventType.ESCALATION_UPDATE, "desk")]
    assert [data.level for data in reported if isinstance(data, event_data.Escalation)][-1] >= 1


def test_an_absence_of_what_was_never_watched_is_nothing() -> None:
    line = PackingLine()
    absent(line, 0, 100)
    assert not line.events
    assert line.core.next_deadline() is None


def test_a_second_absence_changes_nothing_where_nothing_is_known() -> None:
    line = running_line()
    absent(line, 100, 400)
    before = len(line.events)
    absent(line, 100, 500)
    assert len(line.events) == before


def test_pieces_that_may_be_of_the_absence_do_not_prove_that_it_runs_now() -> None:
    line = running_line()
    line.report("bagger", CountsReport(total=50), at=90)
    absent(line, 100, 400)
    line.report("bagger", CountsReport(total=300), at=400)
    line.report("bagger", CountsReport(total=310), at=410)  # since 400, if the one before did not wait until then
    assert line.statuses("bagger")[-1].status == "offline"
    line.report("bagger", CountsReport(total=320), at=420)
    assert line.statuses("bagger")[-1].status == "running"


@pytest.mark.parametrize("queued", [1, 2, 5])
def test_the_pieces_of_the_first_report_behind_a_queue_may_be_of_the_absence(queued: int) -> None:
    """The last report of a queue may be as old as the others: pieces made since do not prove the present state."""
    line = running_line()
    line.report("bagger", CountsReport(total=50), at=90)
    absent(line, 100, 400)
    for n in range(queued):
        line.report("bagger", CountsReport(total=60 + n), at=400 + n / 1000)
    line.report("bagger", CountsReport(total=70), at=404.7)
    assert line.statuses("bagger")[-1].status == "offline"
    line.report("bagger", CountsReport(total=71), at=414.7)
    assert line.statuses("bagger")[-1].status == "running"


@pytest.mark.parametrize("misread", [{"state": "dancing"}, {"state": "fault", "fault_bits": "no bits"}])
def test_a_state_that_is_not_understood_calls_nothing_back(misread: dict[str, str]) -> None:
    """No report is missing before it, but it may have reported a stop."""
    line = PackingLine()
    line.report("bagger", StateReport(state="running", boot_id=1, seq=0), at=0)
    line.report("bagger", CountsReport(total=0, boot_id=1, seq=1), at=1)
    absent(line, 100, 400)
    outcome = line.report("bagger", StateReport(**misread, boot_id=1, seq=2), at=401)  # type: ignore[arg-type]
    assert outcome.disposition.effect is Effect.QUARANTINED
    line.report("bagger", CountsReport(total=0, boot_id=1, seq=3), at=402)
    assert line.statuses("bagger")[-1].status == line.statuses()[-1].status == "offline"


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_restart_around_an_absence_changes_nothing(cut: str) -> None:
    line, plain = running_line(), running_line()
    spec = plant_file().lines[0]
    if cut == "before":
        line.core = Line.restore(plant_file(), spec, line.core.checkpoint())
    for packing_line in (line, plain):
        absent(packing_line, 100, 400)
    if cut == "after":
        line.core = Line.restore(plant_file(), spec, line.core.checkpoint())
    for packing_line in (line, plain):
        packing_line.report("bagger", RUNNING, at=401)
        packing_line.wait(600)
    assert line.events == plain.events
