"""A device without effect, or with missing or unplaced reports, is named in the log; the former are counted by line."""

from typing import Any

from structlog.testing import capture_logs

from bridge.domain.intake import Intake
from bridge.domain.line.floor import Floor
from bridge.domain.plant import AreaConfig, EquipmentConfig, LineConfig, Plant
from bridge.pipeline.device_monitor import MAX_LOGGED_DEVICES, DeviceMonitor
from tests.support.driven_intake import driven_intake
from tests.support.driven_intake import take as take_message
from tests.support.packing_line import T0, plant_file

TOPIC = "report/north/pack/L1/bagger/state"
PLACE = "north/pack/L1/bagger"


def new_intake(plant: Plant | None = None) -> Intake:
    return driven_intake(Floor(plant or plant_file()), doubt_ms=1_000)


def take(intake: Intake, payload: bytes, *, at: int, topic: str = TOPIC) -> None:
    now = T0 + at * 1000
    intake.tick(now)
    take_message(intake, topic, payload, now=now)


def test_a_device_without_effect_is_logged_when_it_begins_and_when_it_ends() -> None:
    intake = new_intake()
    watch = DeviceMonitor(intake)
    assert watch.ineffective_by_line() == {"L1": 0}
    with capture_logs() as logs:
        for at in range(0, 100, 10):
            take(intake, b'{"state": "dancing"}', at=at)
            watch.log_changes()
        assert watch.ineffective_by_line() == {"L1": 1}
        take(intake, b'{"state": "running"}', at=100)
        watch.log_changes()
        watch.log_changes()
    assert [(entry["event"], entry["log_level"], entry["place"], entry.get("reason")) for entry in logs] == [
        ("pipeline.device_ineffective", "warning", PLACE, "bad_format:state"),
        ("pipeline.device_effective", "info", PLACE, None),
    ]
    assert watch.ineffective_by_line() == {"L1": 0}


def report(seq: int, *, boot: int = 1) -> bytes:
    return b'{"state": "running", "boot_id": %d, "seq": %d}' % (boot, seq)


def gaps_logged(logs: list[Any]) -> list[tuple[str, str, Any, Any]]:
    return [(entry["event"], entry["log_level"], entry.get("place"), entry.get("reports")) for entry in logs]


def test_missing_reports_are_logged_with_their_device_each_time_they_rise() -> None:
    intake = new_intake()
    watch = DeviceMonitor(intake)
    with capture_logs() as logs:
        for at, seq in enumerate((0, 1, 5)):
            take(intake, report(seq), at=at)
        watch.log_changes()
        watch.log_changes()
        for at, seq in ((4, 6), (5, 9), (6, 10)):
            take(intake, report(seq), at=at)
        watch.log_changes()
    expected = [("pipeline.reports_missing", "warning", PLACE, count) for count in (3, 2)]
    assert gaps_logged(logs) == expected


def test_a_report_that_came_late_before_the_look_was_not_missing() -> None:
    intake = new_intake()
    watch = DeviceMonitor(intake)
    with capture_logs() as logs:
        for at, seq in enumerate((0, 2, 1, 3)):
            take(intake, report(seq), at=at)
        watch.log_changes()
    assert intake.floor.gaps_by_line()["L1"].filled == 1
    assert logs == []


def test_unplaced_reports_are_logged_with_their_device() -> None:
    """A device that starts its seq again under the boot id it had."""
    intake = new_intake()
    watch = DeviceMonitor(intake)
    with capture_logs() as logs:
        for at, seq in enumerate((*range(300, 310), 3)):
            take(intake, report(seq), at=at)
        watch.log_changes()
    unplaced = intake.floor.gaps_by_line()["L1"].unplaced
    assert unplaced
    assert ("pipeline.reports_unplaced", "warning", PLACE, unplaced) in gaps_logged(logs)


def test_reports_missing_before_the_start_are_not_logged_again() -> None:
    intake = new_intake()
    for at, seq in enumerate((0, 5)):
        take(intake, report(seq), at=at)
    with capture_logs() as logs:
        DeviceMonitor(intake).log_changes()
    assert logs == []


def test_a_whole_plant_with_gaps_writes_few_lines() -> None:
    names = [f"m{number}" for number in range(MAX_LOGGED_DEVICES + 5)]
    line = LineConfig(id="L1", area="pack", equipment=tuple(EquipmentConfig(id=name) for name in names))
    intake = new_intake(Plant(name="wide", areas=(AreaConfig(id="pack", site="north"),), lines=(line,)))
    watch = DeviceMonitor(intake)
    with capture_logs() as logs:
        for seq in (0, 4):
            for name in names:
                take(intake, report(seq), at=seq, topic=f"report/north/pack/L1/{name}/state")
        watch.log_changes()
    assert len(logs) == MAX_LOGGED_DEVICES + 1
    assert (logs[-1]["event"], logs[-1]["devices"]) == ("pipeline.more_devices_with_gaps", 5)
