"""Answers at a machine's own panel, without an id: its own call, else the one call for its trouble."""

from typing import Final

import pytest

from bridge.domain import event_data
from bridge.domain.event_data import AndonType
from bridge.domain.reports import APPLIED, AndonReport, Disposition, StateReport, rejected
from tests.support.packing_line import RARE_OEE, PackingLine, plant_file

RUNNING: Final = StateReport(state="running")
FAULT: Final = StateReport(state="fault", fault_codes=["FILM"])
STANDSTILL: Final[tuple[AndonType, ...]] = ("equipment", "maintenance", "stop")


def running_line() -> PackingLine:
    line = PackingLine(plant_file(oee_period_seconds=RARE_OEE))
    for machine in ("feeder", "bagger", "packer"):
        line.report(machine, RUNNING, at=0)
    return line


def press(line: PackingLine, equipment_id: str | None, action: str, andon_type: AndonType, *, at: float) -> Disposition:
    body = AndonReport(action=action, andon_type=andon_type, seq=round(at))  # type: ignore[arg-type]
    return line.report(equipment_id, body, at=at).disposition


def statuses(line: PackingLine) -> dict[str, tuple[AndonType, str]]:
    """Return each call's type and latest status."""
    updates = [event.data for event in line.events if isinstance(event.data, event_data.Andon)]
    return {data.call_id: (data.andon_type, data.status) for data in updates}


@pytest.mark.parametrize("equipment_id", ["desk", None, "bagger"])
@pytest.mark.parametrize("called", STANDSTILL)
@pytest.mark.parametrize("pressed_at", [160, 450])
@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("restarts", [True, False])
@pytest.mark.parametrize(
    ("action", "status"), [("acknowledge", "acknowledged"), ("arrive", "open"), ("resolve", "resolved")]
)
def test_a_machines_panel_answers_the_call_for_its_breakdown(
    equipment_id: str | None,
    called: AndonType,
    pressed_at: float,
    action: str,
    status: str,
    *,
    runs: bool,
    restarts: bool,
) -> None:
    """Raised before or after the automatic call was due, it is the only call for the breakdown."""
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, equipment_id, "raise", called, at=pressed_at)
    line.wait(600)
    if runs:
        line.report("bagger", RUNNING, at=610)
    if restarts:
        line.restart()
    before = statuses(line)
    assert press(line, "bagger", action, "equipment", at=700) == APPLIED
    assert [call for call, (_, status) in before.items() if status == "open"] == list(statuses(line))[-1:]
    assert list(statuses(line).values())[-1] == (called, status)


@pytest.mark.parametrize("andon_type", STANDSTILL)
def test_a_panel_ends_an_automatic_call_by_any_type_of_the_family(andon_type: AndonType) -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    line.wait(500)
    assert press(line, "bagger", "resolve", andon_type, at=600) == APPLIED
    assert statuses(line) == {"L1.call.1": ("equipment", "resolved")}


@pytest.mark.parametrize(
    ("machine", "andon_type"),
    [("packer", "equipment"), ("feeder", "stop"), ("bagger", "quality"), ("bagger", "safety")],
)
def test_a_panel_answers_for_no_other_machine_and_nothing_else(machine: str, andon_type: AndonType) -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, "desk", "raise", "equipment", at=160)
    line.wait(600)
    before = statuses(line)
    assert press(line, machine, "resolve", andon_type, at=700) == rejected("unknown_call")
    assert statuses(line) == before


def test_a_panel_does_not_answer_a_call_that_is_linked_to_no_downtime() -> None:
    """Its relation to the machine is not known yet."""
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, "desk", "raise", "equipment", at=160)
    assert press(line, "bagger", "resolve", "equipment", at=200) == rejected("unknown_call")


def test_a_panel_may_not_cancel_a_stations_call() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, "desk", "raise", "equipment", at=160)
    line.wait(600)
    assert press(line, "bagger", "cancel", "equipment", at=700) == rejected("not_allowed")


def test_a_panel_answers_its_machines_own_call_first() -> None:
    line = running_line()
    line.report("bagger", FAULT, at=100)
    press(line, "bagger", "raise", "stop", at=160)
    press(line, "desk", "raise", "equipment", at=170)  # the newer one is linked
    line.wait(600)
    assert press(line, "bagger", "resolve", "stop", at=700) == APPLIED
    assert statuses(line) == {"L1.call.1": ("stop", "resolved"), "L1.call.2": ("equipment", "open")}


def two_linked(line: PackingLine) -> None:
    """Link two of the desk's calls to a downtime of the bagger each: nobody ended the first before the second."""
    line.report("bagger", FAULT, at=100)
    press(line, "desk", "raise", "equipment", at=160)
    line.report("bagger", RUNNING, at=600)
    line.report("bagger", FAULT, at=2_000)
    press(line, "desk", "raise", "maintenance", at=2_100)
    line.wait(2_400)


def test_a_panel_answers_the_very_type_that_is_pressed_first() -> None:
    line = running_line()
    two_linked(line)
    assert press(line, "bagger", "resolve", "equipment", at=2_500) == APPLIED
    assert statuses(line) == {"L1.call.1": ("equipment", "resolved"), "L1.call.2": ("maintenance", "open")}


def test_a_panel_does_not_guess_between_two_calls() -> None:
    line = running_line()
    two_linked(line)
    assert press(line, "bagger", "resolve", "stop", at=2_500) == rejected("unknown_call")


def test_a_call_is_about_the_machine_of_its_latest_downtime() -> None:
    """The bagger's own call was for the feeder's trouble; then the bagger breaks down itself, and calls again."""
    line = running_line()
    line.report("feeder", FAULT, at=100)
    line.report("bagger", StateReport(state="idle", upstream_stop=True), at=101)
    press(line, "bagger", "raise", "equipment", at=160)
    line.wait(500)
    line.report("feeder", RUNNING, at=600)
    line.report("bagger", RUNNING, at=601)
    line.report("bagger", FAULT, at=2_000)
    line.wait(2_400)
    assert len(statuses(line)) == 1
    assert press(line, "feeder", "resolve", "equipment", at=2_500) == rejected("unknown_call")
    assert press(line, "bagger", "resolve", "equipment", at=2_510) == APPLIED
