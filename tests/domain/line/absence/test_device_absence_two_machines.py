"""Absences of devices on a line whose state two machines decide, or one that does not decide."""

from collections.abc import Callable
from functools import partial

import pytest

from bridge.domain import event_data, plant
from bridge.domain.events import EventType
from bridge.domain.reports import StateReport
from tests.domain.line.absence.absent_devices import (
    BufferingDevice,
    downtimes_of,
    last_of,
    line_of,
    running,
    two_that_decide,
)
from tests.domain.line.output.test_oee_base import closed
from tests.domain.line.output.test_oee_oracle import millis
from tests.support.packing_line import T0, PackingLine, line_spec, plant_file

TimedAction = tuple[float, Callable[[], None]]


@pytest.mark.parametrize("back", [(900, 1_200), (1_200, 900), (1_000, 1_000)])
@pytest.mark.parametrize("lost", [(300, 400), (400, 300), (300, 300)])
def test_two_devices_whose_absences_overlap(lost: tuple[int, int], back: tuple[int, int]) -> None:
    line, *both = two_that_decide()
    stops = ((420, 540), (500, 600))
    steps: list[TimedAction] = []
    for machine, away, until, (stop, end) in zip(both, lost, back, stops, strict=True):
        steps += [
            (away, partial(machine.disconnect, away)),
            (stop, partial(machine.state, "fault", stop)),
            (end, partial(machine.state, "running", end)),
            (until, partial(machine.reconnect, until)),
        ]
    for _, step in sorted(steps, key=lambda step: step[0]):
        step()
    line.wait(3_600)
    assert downtimes_of(line) == [("closed", 180)]
    (hour,) = closed(line)
    assert (hour.unknown_seconds, hour.planned_busy_seconds - hour.actual_production_seconds) == (0, 180)


def test_a_machine_that_does_not_decide_is_evaluated_by_itself() -> None:
    """The line is watched as ever meanwhile: its downtime opens, and calls."""
    machines = (
        plant.EquipmentConfig(id="bagger"),
        plant.EquipmentConfig(id="packer", clock="device", ideal_cycle_seconds=1.0),
    )
    line = PackingLine(plant_file(line_spec(equipment=machines)))
    packer = BufferingDevice(line, "packer")
    line.report("bagger", StateReport(state="running"), at=0)
    packer.state("running", 0)
    packer.disconnect(300)
    packer.state("fault", 400)
    line.report("bagger", StateReport(state="fault"), at=500)
    line.wait(600)
    assert [downtime.status for downtime in line.downtimes()] == ["open"]
    packer.state("running", 700)
    packer.reconnect(1_000)
    line.wait(3_600)
    hour, own = closed(line)[-1], [window for window in line.oee("hour", "packer") if window.closed][-1]
    assert hour.unknown_seconds == own.unknown_seconds == 0
    assert own.planned_busy_seconds - own.actual_production_seconds == 300
    assert hour.planned_busy_seconds - hour.actual_production_seconds == 3_100


def test_a_stop_by_another_machine_is_watched_while_one_is_offline() -> None:
    """A known stop weighs more than an unknown state: a downtime opens at its threshold, and calls."""
    line, bagger, packer = two_that_decide()
    bagger.disconnect(300)
    packer.state("fault", 400)
    line.wait(461)
    assert [(downtime.status, downtime.started_at) for downtime in line.downtimes()] == [
        ("open", "2026-01-05T09:06:40.000Z")
    ]
    line.wait(701)
    assert line.of(EventType.ANDON_EVENT, "packer")
    packer.state("running", 800)
    bagger.state("fault", 900)
    bagger.state("running", 1_000)
    bagger.reconnect(1_100)
    line.wait(3_600)
    assert downtimes_of(line) == [("closed", 400), ("closed", 100)]
    (hour,) = closed(line)
    assert (hour.unknown_seconds, hour.planned_busy_seconds - hour.actual_production_seconds) == (0, 500)


def test_the_line_is_lost_only_when_the_other_machine_runs_again() -> None:
    line, bagger, packer = two_that_decide()
    packer.state("fault", 290)
    bagger.disconnect(300)
    packer.state("running", 500)
    bagger.state("fault", 600)
    bagger.state("running", 700)
    bagger.reconnect(900)
    line.wait(3_600)
    assert downtimes_of(line) == [("closed", 210), ("closed", 100)]
    (hour,) = closed(line)
    assert (hour.unknown_seconds, hour.planned_busy_seconds - hour.actual_production_seconds) == (0, 310)


def test_the_culprit_is_the_machine_that_was_observed_meanwhile() -> None:
    line, bagger = running()
    line.report("feeder", StateReport(state="running"), at=1)
    bagger.disconnect(300)
    line.report("feeder", StateReport(state="fault"), at=400)
    bagger.report(StateReport(state="idle", upstream_stop=True), 420)
    line.report("feeder", StateReport(state="running"), at=500)
    bagger.state("running", 510)
    bagger.reconnect(900)
    line.wait(960)
    assert [(downtime.cause, downtime.cause_equipment, downtime.duration_seconds) for downtime in line.downtimes()] == [
        ("upstream", "feeder", 90)
    ]


@pytest.mark.parametrize("restarts", [False, True], ids=["it stands", "it runs again for less than 10 s"])
def test_a_stop_that_lasts_is_opened_though_another_was_mistaken_for_one(*, restarts: bool) -> None:
    """It was lost while stopped, so a downtime opens at the shift's begin; it had run before, and stopped again."""
    line = line_of()
    bagger = BufferingDevice(line)
    shift = 20 * 3_600
    bagger.state("running", shift - 400)
    bagger.state("stopped", shift - 130)
    bagger.disconnect(shift - 100)
    bagger.state("running", shift - 99)
    bagger.state("fault", shift + 160)
    bagger.reconnect(shift + 280)
    if restarts:
        bagger.state("running", shift + 283)
        bagger.state("fault", shift + 291)
    line.wait(shift + 3_600)
    assert [(downtime.status, downtime.micro_stop) for downtime in last_of(line)] == [("closed", True), ("open", False)]
    assert millis(last_of(line)[-1].started_at) == T0 + (shift + 160) * 1_000
    calls = [event.data for event in line.of(EventType.ANDON_EVENT, "bagger")]
    assert {call.downtime_id for call in calls if isinstance(call, event_data.Andon)} == {"L1.down.2"}


def test_a_line_known_to_be_stopped_is_not_kept_waiting_for_the_machine_still_offline() -> None:
    """Five seconds, not the time that silent machines have to report after an absence of the bridge."""
    line, bagger, packer = two_that_decide()
    bagger.disconnect(300)
    packer.disconnect(300)
    packer.state("fault", 320)
    packer.reconnect(400)
    line.wait(407)
    assert [(downtime.status, millis(downtime.started_at)) for downtime in line.downtimes()] == [("open", T0 + 320_000)]


def test_a_downtime_from_before_the_line_was_lost_is_reported_once() -> None:
    """The shift ends it while the bagger is offline; only when the packer runs is nothing known of the line."""
    line, bagger, packer = two_that_decide()
    end = 12 * 3_600
    for machine in (bagger, packer):
        machine.state("running", end - 600)
    packer.state("fault", end - 500)
    bagger.disconnect(end - 200)
    packer.state("running", end + 100)
    bagger.reconnect(end + 200)
    line.wait(end + 3_600)
    assert downtimes_of(line) == [("closed", 500)]


def test_no_downtime_stays_open_when_the_line_runs_again_after_a_step_of_the_clock() -> None:
    """The line was lost before it stopped; the history that is rebuilt after the step does not contain the downtime."""
    line, bagger, packer = two_that_decide()
    packer.disconnect(590)
    bagger.state("fault", 600)
    bagger.disconnect(600)
    line.wait(670)
    assert [downtime.status for downtime in line.downtimes()] == ["open"]
    line.events += line.core.set_forward(300_000, T0 + 970_000)
    bagger.seq += 1
    for machine, at in ((bagger, 1_060), (packer, 1_200)):
        machine.buffered = None
        machine.state("running", at)
    line.wait(3_600)
    assert {downtime.status for downtime in last_of(line)} == {"closed"}
