"""An absence of a device that overlaps an absence of the bridge."""

import pytest

from bridge.domain.reports import StateReport
from tests.domain.line.absence.absent_devices import (
    downtimes_of,
    report_every_minute,
    running,
    two_that_decide,
)
from tests.domain.line.absence.test_absence import absent
from tests.domain.line.output.test_oee_base import closed
from tests.support.packing_line import T0


@pytest.mark.parametrize("bridge", [(500, 700), (500, 1_100), (310, 330)])
def test_an_absence_of_the_bridge_overlaps_that_of_a_device(bridge: tuple[int, int]) -> None:
    line, bagger = running()
    bagger.disconnect(300)
    bagger.state("fault", 400)
    bagger.state("running", 520)
    absent(line, *bridge)
    bagger.reconnect(max(bridge[1], 1_000))
    line.wait(3_600)
    assert downtimes_of(line) == [("closed", 120)]
    (hour,) = closed(line)
    assert (hour.unknown_seconds, hour.planned_busy_seconds - hour.actual_production_seconds) == (0, 120)


@pytest.mark.parametrize("dies", [402, 600])
def test_a_device_is_offline_within_and_after_an_absence_of_the_bridge(dies: float) -> None:
    """Its Will reaches the bridge on its return; the device's buffer arrives long after."""
    line, bagger = running()
    absent(line, 300, 400)
    bagger.buffered = []
    bagger.state("running", 390)
    if dies > 500:
        bagger.reconnect(400)
        report_every_minute(bagger, 450, 599)
    bagger.disconnect(dies)
    line.report("packer", StateReport(state="running", ts=T0 + 403_000), at=max(dies, 403))
    line.wait(800)
    bagger.buffered = [StateReport(state="running", ts=T0 + 390_000)] if dies < 500 else []
    bagger.state("fault", 700)
    bagger.state("running", 900)
    bagger.reconnect(1_000)
    line.wait(3_600)
    assert downtimes_of(line) == [("closed", 200)]
    (hour,) = closed(line)
    assert (hour.unknown_seconds, hour.planned_busy_seconds - hour.actual_production_seconds) == (0, 200)


def test_a_machine_lost_again_before_it_reports_keeps_its_state_from_before_the_absence() -> None:
    """Its next report, with none missing before it, proves that it ran in both absences."""
    line, bagger = running()
    absent(line, 300, 400)
    line.report("packer", StateReport(state="running", ts=T0 + 410_000), at=410)
    bagger.disconnect(600)
    bagger.reconnect(1_000)
    report_every_minute(bagger, 1_050, 3_660)
    assert closed(line)[-1].unknown_seconds == 100, "from when no machine was waited for any more to its death"


def test_a_machine_never_seen_after_an_absence_of_the_bridge_was_observed_until_then() -> None:
    line, bagger, packer = two_that_decide()
    for machine in (bagger, packer):
        machine.state("running", 290)
    bagger.disconnect(300)
    packer.state("running", 490)
    absent(line, 500, 700)
    bagger.reconnect(1_000)
    report_every_minute(bagger, 1_050, 3_660)
    assert closed(line)[-1].unknown_seconds == 3_100
