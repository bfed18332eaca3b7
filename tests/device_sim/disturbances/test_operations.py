"""Disturbed operation: long repairs, and calls that are left alone."""

from tests.device_sim.disturbances.disturbed_rehearsals import Disturbed, run
from tests.device_sim.sample_plants import MINUTE


def test_long_repairs_take_long_and_may_be_done_with_the_power_off() -> None:
    rehearsal, _ = run({"kind": "long-repairs", "ratio": 1, "minutes": [30, 40], "lock_out_ratio": 1}, minutes=180)
    off = [stretch for stretch in rehearsal.truth.stretches if stretch.condition == "off"]
    assert off
    assert all(stretch.faults for stretch in off)
    assert max((stretch.until or 0) - stretch.since for stretch in off) > 20 * MINUTE


def test_busy_people_leave_calls_alone() -> None:
    def answered(*disturbances: Disturbed) -> int:
        rehearsal, _ = run(*disturbances, minutes=120)
        return sum(report.body.get("action") == "acknowledge" for report in rehearsal.truth.actions)

    assert answered({"kind": "busy-people", "forget_ratio": 1, "forget_minutes": [30, 40]}) < answered()
