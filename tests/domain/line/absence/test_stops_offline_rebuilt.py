"""A machine lost while stopped: buffered reports with a trusted clock show whether it was stopped throughout."""

from collections.abc import Callable

import pytest

from bridge.domain import event_data
from bridge.domain.events import EventType
from bridge.domain.reports import BirthReport, ChangeoverReport, DeathReport, DowntimeReport, StateReport
from tests.domain.line.absence.absent_devices import (
    BufferingDevice,
    downtimes_of,
    each_loss,
    each_order,
    report_every_minute,
    running,
)
from tests.domain.line.absence.test_absence import absent
from tests.domain.line.output.test_oee_base import closed
from tests.domain.line.output.test_oee_exclusion import confirm
from tests.support.packing_line import LEADER, T0, PackingLine, equipment, line_spec, plant_file

Lose = Callable[[BufferingDevice, float], None]


def standing(lose: Lose, *, since: float = 240) -> tuple[PackingLine, BufferingDevice]:
    """The bagger, which is the constraint, is in fault; it is known to be lost at 300 s."""
    line, bagger = running(lose=lose)
    bagger.state("fault", since)
    lose(bagger, 300)
    return line, bagger


def lost(line: PackingLine) -> float:
    """Return the seconds of the line's closed hours that downtimes took."""
    return sum(window.planned_busy_seconds - window.actual_production_seconds for window in closed(line))


def confirm_as_cleaning(line: PackingLine, downtime_id: str, *, at: float) -> None:
    classify = DowntimeReport(action="classify", downtime_id=downtime_id, reason_code="CLEAN")
    line.report(None, classify, at=at, actor=LEADER)
    confirm(line, downtime_id, at=at + 1)


def downtimes(line: PackingLine) -> list[event_data.Downtime]:
    return list({downtime.downtime_id: downtime for downtime in line.downtimes()}.values())


@each_loss
def test_a_machine_counts_as_stopped_and_calls_while_it_is_offline(lose: Lose) -> None:
    line, _ = standing(lose)
    line.wait(900)
    assert downtimes_of(line) == [("open", None)]
    assert line.statuses("bagger")[-1].status == "offline"
    assert line.of(EventType.ANDON_EVENT, "bagger")
    assert line.oee("hour")[-1].unknown_seconds == 0


@each_order
@each_loss
def test_its_downtime_ended_when_it_ended(lose: Lose, order: str) -> None:
    line, bagger = standing(lose)
    line.wait(330)
    bagger.state("running", 340)
    bagger.counts(20, 350)
    bagger.state("fault", 640)
    bagger.state("running", 740)
    bagger.reconnect(1_000, order=order)
    report_every_minute(bagger, 1_050, 3_660)
    assert downtimes_of(line) == [("closed", 100), ("closed", 100)]
    assert lost(line) == 200
    assert closed(line)[-1].unknown_seconds == 0
    assert line.downtimes()[-1].started_at == "2026-01-05T09:10:40.000Z"


@each_order
def test_a_stop_that_turns_out_a_minor_one_was_no_downtime(order: str) -> None:
    """It was mistaken for one, and called; the call is quiet as the line runs."""
    line, bagger = standing(BufferingDevice.disconnect, since=280)
    bagger.state("running", 310)
    bagger.reconnect(1_000, order=order)
    report_every_minute(bagger, 1_050, 3_660)
    (downtime,) = downtimes(line)
    assert (downtime.status, downtime.micro_stop, downtime.duration_seconds) == ("closed", True, 30)
    assert lost(line) == 0
    line.wait(1_000 + 3_600)
    assert not [event for event in line.of(EventType.ESCALATION_UPDATE) if event.timestamp > T0 + 1_010_000]


@each_order
@each_loss
def test_a_stop_that_lasted_is_one_downtime(lose: Lose, order: str) -> None:
    line, bagger = standing(lose)
    bagger.state("fault", 500)
    bagger.reconnect(1_000, order=order)
    bagger.state("running", 1_100)
    report_every_minute(bagger, 1_150, 3_660)
    assert downtimes_of(line) == [("closed", 860)]
    assert lost(line) == 860


@each_loss
def test_a_repair_with_the_power_off_was_a_stop_to_the_first_report(lose: Lose) -> None:
    """The device kept nothing, and began again."""
    line, bagger = standing(lose)
    bagger.buffered, bagger.boot, bagger.seq = None, 2, -1
    bagger.report(BirthReport(), 1_000)
    bagger.state("running", 1_001)
    report_every_minute(bagger, 1_050, 3_660)
    assert downtimes_of(line) == [("closed", 761)]
    assert lost(line) == 761


@each_loss
def test_two_absences_in_one_stop(lose: Lose) -> None:
    """It is lost again before the first absence is evaluated, and counted as stopped only since then."""
    line, bagger = running(lose=lose)
    lose(bagger, 300)
    bagger.state("fault", 310)
    bagger.reconnect(600)
    bagger.disconnect(602)
    line.wait(700)
    assert downtimes(line)[-1].started_at == "2026-01-05T09:10:02.000Z"
    bagger.state("running", 750)
    bagger.reconnect(1_000)
    report_every_minute(bagger, 1_050, 3_660)
    (downtime,) = downtimes(line)
    assert (downtime.started_at, downtime.duration_seconds) == ("2026-01-05T09:05:10.000Z", 440)
    assert lost(line) == 440


@pytest.mark.parametrize("until", [13_900, 14_700])
def test_the_shift_ends_meanwhile(until: int) -> None:
    """At 14 400 s; the line ran again 200 s before, or stays stopped into the next shift."""
    line, bagger = running()
    report_every_minute(bagger, 290, 13_490)
    bagger.state("fault", 13_500)
    bagger.disconnect(13_520)
    bagger.state("running", until)
    bagger.reconnect(15_000)
    report_every_minute(bagger, 15_050, 18_060)
    total = sum(downtime.duration_seconds or 0 for downtime in downtimes(line))
    assert total == until - 13_500
    assert lost(line) == total


def test_a_downtime_confirmed_before_its_end_was_known_leaves_no_time_twice() -> None:
    line = PackingLine(plant_file(line_spec(equipment=equipment(clock="device"))))
    bagger, begin = BufferingDevice(line), 42_000
    bagger.state("running", begin)
    bagger.current_state = "stopped"
    report_every_minute(bagger, begin + 900, begin + 1_140)
    bagger.state("running", begin + 1_190)
    absent(line, begin + 1_195, begin + 1_195)
    line.wait(begin + 1_205)
    downtime = downtimes(line)[-1].downtime_id
    confirm_as_cleaning(line, downtime, at=begin + 1_206)
    bagger.state("running", begin + 1_220)
    line.wait(begin + 1_300)
    last = [window for window in line.oee("shift") if window.closed][-1]
    assert last.actual_production_seconds <= last.planned_busy_seconds
    assert last.availability == 1


def test_a_deadline_at_the_instant_of_a_silence_ends_no_downtime_twice() -> None:
    """The patience of the bridge's absence and the silence of a machine are both 90 s."""
    trusted = [
        machine.model_copy(update={"clock": "device", "heartbeat_seconds": 90.0}) if machine.kind == "plc" else machine
        for machine in equipment()
    ]
    line = PackingLine(plant_file(line_spec(equipment=trusted, constraint=None, critical=("bagger", "packer"))))
    bagger, packer = BufferingDevice(line, "bagger"), BufferingDevice(line, "packer")
    for device in (bagger, packer):
        device.state("running", 0)
    bagger.state("fault", 10)
    bagger.state("fault", 61)
    absent(line, 100, 130)
    for device in (bagger, packer):
        device.seq += 3
    bagger.state("running", 131)
    line.report(None, ChangeoverReport(action="start", to_product="nuts"), at=140, actor=LEADER)
    packer.state("running", 218)
    bagger.state("running", 230)
    packer.state("running", 230.5)
    line.wait(300)
    assert line.statuses()[-1].status == "running"
    assert [downtime.status for downtime in downtimes(line)] == ["closed", "closed"]


def test_buffered_pieces_of_a_stopped_machine_do_not_prove_that_it_ran() -> None:
    """None of its reports is missing: it would have reported a restart."""
    line, bagger = standing(BufferingDevice.disconnect)
    bagger.counts(3, 400)
    bagger.state("fault", 500)
    bagger.reconnect(1_000)
    bagger.send(StateReport(state="running", ts=T0 + 1_100_000), 1_100)
    bagger.current_state = "running"
    report_every_minute(bagger, 1_150, 3_660)
    assert downtimes_of(line) == [("closed", 860)]


def test_the_time_around_a_missing_report_is_unknown_after_the_first_one() -> None:
    """Only until then it is known to have stood."""
    line, bagger = standing(BufferingDevice.disconnect)
    for at, state in ((340, "running"), (500, "fault"), (700, "running")):
        bagger.state(state, at)
    bagger.reconnect(1_000, lost=[1])
    report_every_minute(bagger, 1_050, 3_660)
    assert downtimes_of(line) == [("closed", 460)]
    assert closed(line)[-1].unknown_seconds == 360
    assert lost(line) == 100


def test_a_downtime_of_unknown_duration_is_withdrawn() -> None:
    line, bagger = standing(BufferingDevice.disconnect, since=280)
    for at, state in ((310, "fault"), (500, "running"), (900, "running")):
        bagger.state(state, at)
    bagger.reconnect(1_000, lost=[1])
    report_every_minute(bagger, 1_050, 3_660)
    (downtime,) = downtimes(line)
    assert (downtime.status, downtime.micro_stop) == ("closed", True)
    assert lost(line) == 0
    assert closed(line)[-1].unknown_seconds == 590


def test_a_confirmed_downtime_takes_its_time_out_once() -> None:
    """The machine counted as stopped in it before it was known to be stopped."""
    line, bagger = standing(BufferingDevice.disconnect)
    line.wait(900)
    bagger.state("running", 340)
    bagger.state("fault", 640)
    bagger.state("running", 740)
    bagger.reconnect(1_000)
    report_every_minute(bagger, 1_050, 1_200)
    second = downtimes(line)[-1]
    assert second.duration_seconds == 100
    confirm_as_cleaning(line, second.downtime_id, at=1_210)
    report_every_minute(bagger, 1_250, 3_660)
    hour = closed(line)[-1]
    assert (hour.planned_busy_seconds, hour.actual_production_seconds) == (3_500, 3_400)


def test_a_device_that_is_back_after_the_patience_for_it() -> None:
    """Bridge and device were absent one after the other: two stretches, each evaluated by itself."""
    line, bagger = running()
    line.wait(300)
    absent(line, 300, 400)
    line.report("bagger", DeathReport(), at=401)
    packer = BufferingDevice(line, "packer")
    packer.state("running", 402)
    bagger.buffered = []
    for at, state in ((320, "running"), (380, "running"), (420, "fault"), (480, "fault"), (540, "fault")):
        bagger.state(state, at)
    line.wait(595)
    bagger.reconnect(600)
    bagger.state("running", 640)
    report_every_minute(bagger, 690, 3_660)
    assert sorted(downtime.duration_seconds or 0 for downtime in downtimes(line)) == [71, 149]
    assert lost(line) == 220
    assert closed(line)[-1].unknown_seconds == 0


def test_a_stop_that_was_evaluated_is_moved_once() -> None:
    """It began before the absence; a later report of another machine lets the absence be evaluated again."""
    line, bagger = running()
    packer = BufferingDevice(line, "packer")
    packer.state("running", 270)
    bagger.state("fault", 280)
    absent(line, 300, 500)
    for at, state in ((330, "fault"), (350, "fault"), (410, "running")):
        bagger.send(StateReport(state=state, ts=T0 + at * 1_000), 501)
    line.wait(510)
    packer.send(StateReport(state="fault", ts=T0 + 370_000), 511)
    bagger.current_state = "running"
    report_every_minute(bagger, 520, 3_660)
    assert lost(line) == 130
    assert closed(line)[-1].unknown_seconds == 0
