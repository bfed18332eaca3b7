"""Clears that happened before their raise. They are ignored, even if they arrive late or the line's time has moved."""

from typing import Final

import pytest

from bridge.domain import plant
from bridge.domain.events import EventType
from bridge.domain.reports import APPLIED, AndonReport, Disposition, StateReport, suppressed
from tests.support.packing_line import LEADER, T0, PackingLine, equipment, line_spec, plant_file


def line_with_a_clock() -> PackingLine:
    desk = plant.EquipmentConfig(id="desk", kind="station", clock="device")
    return PackingLine(plant_file(line_spec(equipment=(*equipment()[:3], desk))))


def report_action(line: PackingLine, action: str, *, happened: int, at: int) -> Disposition:
    body = AndonReport(action=action, andon_type="material", ts=T0 + happened * 1_000)  # type: ignore[arg-type]
    return line.report("desk", body, at=at).disposition


OLDER: Final = suppressed("older_than_raise")


def test_a_clear_older_than_the_raise_is_ignored_however_late() -> None:
    line = line_with_a_clock()
    assert report_action(line, "raise", happened=100, at=101) == APPLIED
    assert report_action(line, "resolve", happened=97, at=105) == OLDER
    assert report_action(line, "resolve", happened=104, at=106) == APPLIED


@pytest.mark.parametrize("ts", [30_000, T0 - 3_600_000, T0 + 60_000, T0 + 3_600_000])
def test_a_clear_of_a_clock_that_is_wrong_ends_the_call(ts: int) -> None:
    """A clock without a battery restarts at 1970. A wrong clock, behind or ahead, proves no clear older."""
    line = line_with_a_clock()
    assert report_action(line, "raise", happened=100, at=101) == APPLIED
    body = AndonReport(action="resolve", andon_type="material", ts=ts)
    assert line.report("desk", body, at=120).disposition == APPLIED
    event = line.of(EventType.ANDON_EVENT, "desk")[-1]
    assert event.quality.clock == "skewed"


def test_a_raise_of_a_clock_that_was_wrong_makes_no_clear_older() -> None:
    line = line_with_a_clock()
    body = AndonReport(action="raise", andon_type="material", ts=30_000)
    assert line.report("desk", body, at=101).disposition == APPLIED
    assert report_action(line, "resolve", happened=98, at=102) == APPLIED  # the clock was set, and is 4 s behind


def test_a_new_boot_may_have_set_the_clock() -> None:
    desk = plant.EquipmentConfig(id="desk", kind="station", clock="corrected")
    line = PackingLine(plant_file(line_spec(equipment=(*equipment()[:3], desk))))
    for boot, behind in ((1, 3_600), (2, 3_604)):
        for seq in range(3):
            at = 10 * boot + seq
            body = AndonReport(
                action="raise", andon_type="material", ts=T0 + (at - behind) * 1_000, boot_id=boot, seq=seq
            )
            line.report("desk", body, at=at)
    stamps = [event.timestamp for event in line.of(EventType.ANDON_EVENT, "desk")]
    assert stamps == [T0 + at * 1_000 for at in (10, 11, 12, 20, 21, 22)]


def test_a_moved_line_time_makes_no_clear_older() -> None:
    line = line_with_a_clock()
    line.report("bagger", StateReport(state="running"), at=110)
    assert report_action(line, "raise", happened=100, at=111) == APPLIED  # dated 110: the line's time never goes back
    assert report_action(line, "acknowledge", happened=105, at=112) == APPLIED


def test_the_clock_of_a_station_does_not_date_a_user() -> None:
    line = line_with_a_clock()
    assert report_action(line, "raise", happened=104, at=100) == APPLIED  # four seconds ahead
    body = AndonReport(action="resolve", call_id="L1.call.1")
    assert line.report(None, body, at=101, actor=LEADER).disposition == APPLIED
    assert len(line.of(EventType.ANDON_EVENT, "desk")) == 2


@pytest.mark.parametrize("clock", ["device", "corrected"])
@pytest.mark.parametrize("ahead", [0, 3, 5])
@pytest.mark.parametrize("behind", [2, 5])
@pytest.mark.parametrize("boot", [1, 2])
def test_a_small_step_of_the_clock_makes_no_clear_older_than_its_sequence(
    clock: str, ahead: int, behind: int, boot: int
) -> None:
    """The clock is within its tolerance before and after the step. The sequence shows that the press came first."""
    desk = plant.EquipmentConfig.model_validate({"id": "desk", "kind": "station", "clock": clock})
    line = PackingLine(plant_file(line_spec(equipment=(*equipment()[:3], desk))))
    press = AndonReport(action="raise", andon_type="safety", ts=T0 + ahead * 1_000, boot_id=1, seq=1)
    assert line.report("desk", press, at=0).disposition == APPLIED
    clear = AndonReport(action="resolve", andon_type="safety", ts=T0 + (1 - behind) * 1_000, boot_id=boot, seq=2)
    assert line.report("desk", clear, at=1).disposition == APPLIED


def test_a_clear_that_is_late_by_its_sequence_is_dated_by_its_clock() -> None:
    line = line_with_a_clock()

    def numbered(action: str, happened: int, seq: int, at: int) -> Disposition:
        body = AndonReport(action=action, andon_type="material", ts=T0 + happened * 1_000, boot_id=1, seq=seq)  # type: ignore[arg-type]
        return line.report("desk", body, at=at).disposition

    assert numbered("acknowledge", 90, 1, 91) != APPLIED, "there is no call yet"
    assert numbered("raise", 100, 3, 101) == APPLIED
    assert numbered("resolve", 97, 2, 102) == OLDER
    assert numbered("resolve", 103, 4, 104) == APPLIED
