"""A person's call takes over the automatic call for the downtime that lasts, and none for a trouble that is over."""

from typing import Final

import pytest

from bridge.domain import plant
from bridge.domain.reports import StateReport
from tests.domain.line.andon.broken_machine import FAULT, RUNNING, act, calls, press, running_line
from tests.support.packing_line import RARE_OEE, PackingLine, line_spec, plant_file

SHIFT_ENDS: Final = 43_200
NEXT_SHIFT: Final = 72_000
BLOCKED: Final = StateReport(state="idle", downstream_stop=True)
FIRE: Final = StateReport(state="fault", fault_codes=["X"], reason_code="FIRE")


def burning_line() -> PackingLine:
    """A fire at the bagger calls as critical at 310, and reaches its top level at 550; the bagger runs again at 330."""
    reason = plant.DowntimeReason(
        code="FIRE", text="Fire", call_after_minutes=5, andon_type="stop", priority="critical"
    )
    default_plant = plant_file(oee_period_seconds=RARE_OEE)
    line = PackingLine(default_plant.model_copy(update={"reasons": (*default_plant.reasons, reason)}))
    for machine in ("feeder", "bagger", "packer"):
        line.report(machine, RUNNING, at=0)
    line.report("bagger", FIRE, at=10)
    line.wait(311)
    line.report("bagger", RUNNING, at=330)
    return line


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("pressed_at", [400, 3_100, 3_500])
def test_a_call_for_a_breakdown_that_is_over_is_not_taken_over_by_a_call_for_the_next_one(
    pressed_at: float, *, restarts: bool
) -> None:
    """Neither while the line runs, nor when another machine has stopped it, called for already or not."""
    line = burning_line()
    for at, machine, body in (
        (3_000, "packer", FAULT),
        (3_001, "bagger", StateReport(state="idle", downstream_stop=True)),
    ):
        if at < pressed_at:
            line.report(machine, body, at=at)
    if restarts:
        line.restart()
    press(line, "desk", "maintenance", at=pressed_at)
    line.wait(pressed_at + 400)
    last = {data.call_id: data for _, data in calls(line)}
    assert last["L1.call.1"].status == "open", "the fire"
    mine = next(data for at, data in calls(line) if at == pressed_at and not data.auto_generated)
    assert (mine.priority, mine.escalation_level) == ("high" if pressed_at > 3_300 else "medium", 0)
    assert {data.downtime_id for data in last.values() if data.call_id == mine.call_id} == {
        None if pressed_at < 3_000 else "L1.down.2"
    }
    still_open = [data for data in last.values() if data.status == "open" and data.call_id != "L1.call.1"]
    assert len(still_open) == 1, "one trouble has one call"


def test_a_call_that_was_pressed_for_again_while_the_line_runs_is_not_for_the_next_breakdown() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    line.report("bagger", RUNNING, at=500)
    press(line, "bagger", "equipment", at=2_000)
    line.report("packer", FAULT, at=3_000)
    line.report("bagger", StateReport(state="idle", downstream_stop=True), at=3_001)
    press(line, "desk", "maintenance", at=3_100)
    line.wait(3_400)
    last = {data.call_id: (data.status, data.downtime_id) for _, data in calls(line)}
    assert last == {"L1.call.1": ("open", "L1.down.1"), "L1.call.2": ("open", "L1.down.2")}


@pytest.mark.parametrize("again_at", [340, 3_000])
def test_a_person_takes_over_the_call_of_a_fire_that_recurred(again_at: float) -> None:
    """Its ladder was still running, and it was linked; or it was at its end, and calls again."""
    line = burning_line()
    line.wait(again_at)
    line.report("bagger", FIRE, at=again_at)
    press(line, "desk", "maintenance", at=again_at + 310)
    last = {data.call_id: (data.status, data.priority, data.downtime_id) for _, data in calls(line)}
    assert last == {
        "L1.call.1": ("cancelled", "critical", "L1.down.2"),
        "L1.call.2": ("open", "critical", "L1.down.2"),
    }


@pytest.mark.parametrize("word", ["setup", "maintenance"])
def test_a_person_takes_over_the_call_of_a_breakdown_within_which_the_line_is_changed_over(word: str) -> None:
    """The changeover is a separate downtime, and the fault is still the trouble."""
    line = running_line()
    line.report("bagger", FAULT, at=100)
    line.wait(450)
    line.report("bagger", StateReport(state=word, fault_codes=["FILM"]), at=450)
    press(line, "desk", "maintenance", at=500)
    assert {data.call_id: data.status for _, data in calls(line)} == {"L1.call.1": "cancelled", "L1.call.2": "open"}


def test_a_call_that_people_have_answered_is_taken_over_from_the_machine_that_stopped_this_time() -> None:
    """Two machines decide the line's status; the feeder starves one, and an hour later both: the worse counts."""
    spec = line_spec(constraint=None, critical=("bagger", "packer"))
    line = PackingLine(plant_file(spec, oee_period_seconds=RARE_OEE))
    starved = StateReport(state="idle", upstream_stop=True)
    for machine in ("feeder", "bagger", "packer"):
        line.report(machine, RUNNING, at=0)
    line.report("feeder", FAULT, at=99)
    line.report("bagger", starved, at=100)
    line.wait(401)
    for machine in ("feeder", "bagger"):
        line.report(machine, RUNNING, at=500)
    line.report("feeder", FAULT, at=3_990)
    line.report("packer", StateReport(state="stopped", upstream_stop=True), at=4_000)
    line.report("bagger", starved, at=4_000)
    line.wait(4_100)
    act(line, "acknowledge", "L1.call.1", at=4_100)
    line.wait(4_301)
    press(line, "packer", "maintenance", at=4_400)
    last = {data.call_id: (data.status, data.downtime_id) for _, data in calls(line)}
    assert last == {"L1.call.1": ("cancelled", "L1.down.2"), "L1.call.2": ("acknowledged", "L1.down.2")}


@pytest.mark.parametrize(
    ("first", "presser", "taken_over"),
    [
        ("packer", "bagger", "L1.call.2"),
        ("packer", "desk", "L1.call.2"),
        ("packer", "packer", "L1.call.1"),
        ("bagger", "bagger", "L1.call.1"),
        ("bagger", "desk", "L1.call.2"),
        ("bagger", "packer", "L1.call.2"),
    ],
)
def test_of_several_calls_a_panel_takes_over_that_of_its_machine_and_a_station_the_latest(
    first: str, presser: str, taken_over: str
) -> None:
    """The line is stopped across shifts, first by the packer or by the bagger, which decides its status."""
    line = running_line()
    for at, culprit in ((SHIFT_ENDS - 1_000, first), (SHIFT_ENDS + 600, "bagger" if first == "packer" else "packer")):
        line.report("packer", FAULT if culprit == "packer" else RUNNING, at=at)
        line.report("bagger", FAULT if culprit == "bagger" else BLOCKED, at=at)
    line.wait(NEXT_SHIFT + 400)
    press(line, presser, "maintenance", at=NEXT_SHIFT + 400)
    assert {data.call_id for _, data in calls(line) if data.status == "cancelled"} == {taken_over}
