"""Presses of a station without a sequence that come late, at once, or once more: none of them hides another."""

import pytest
from msgspec.structs import replace

from bridge.core.event_data import Andon
from bridge.core.events import EventType
from bridge.core.reports import AndonReport, StateReport
from tests.core.line.shopfloor import T0, Shop


class Station:
    """A desk with a clock that is in step with ours, to the whole second; `sequenced`: it numbers its reports, too."""

    def __init__(self, *, sequenced: bool = False) -> None:
        self.shop = Shop()
        self.sequenced = sequenced
        self.seq = -1

    def level(self, level: bool, at: float, *, made: float | None = None) -> str | None:  # noqa: FBT001
        return self._say(AndonReport(input=level, andon_type="equipment"), at, made)

    def raises(self, at: float, *, made: float) -> str | None:
        return self._say(AndonReport(action="raise", andon_type="equipment"), at, made)

    def repeats(self) -> list[int]:
        return [
            each.data.repeat for each in self.shop.of(EventType.ANDON_EVENT, "desk") if isinstance(each.data, Andon)
        ]

    def _say(self, body: AndonReport, at: float, made: float | None) -> str | None:
        self.seq += 1
        body = replace(body, ts=T0 + round((at if made is None else made) * 1_000))
        if self.sequenced:
            body = replace(body, boot_id=1, seq=self.seq)
        return self.shop.say("desk", body, at=at).disposition.reason


@pytest.mark.parametrize(("apart", "reason", "repeats"), [(4, None, [0, 1]), (1, "debounced", [0])])
def test_two_presses_that_waited_for_a_connection_are_two(apart: float, reason: str | None, repeats: list[int]) -> None:
    desk = Station()
    assert desk.raises(300, made=100) is None
    assert desk.raises(300.1, made=100 + apart) == reason
    assert desk.repeats() == repeats


def test_a_copy_of_a_press_that_comes_after_its_release_hides_no_later_press() -> None:
    """Nothing releases it again, so the contact seems to be held."""
    desk = Station()
    for level, at in ((False, 10), (True, 20), (False, 21)):
        desk.level(level, at)
    assert desk.level(True, 26, made=20) is None, "not proven to be a copy: taken once more rather than lost"
    assert desk.level(True, 600) is None
    assert desk.repeats()[-1] == 2


def test_a_press_that_was_stored_and_is_in_order_is_held_until_it_is_released() -> None:
    """Its `ts` is before that of the connection, which came first; its number says that it is the latest."""
    desk = Station(sequenced=True)
    for level, at, made in ((False, 10, 10), (False, 50, 50), (True, 50.1, 30)):
        desk.level(level, at, made=made)
    assert desk.level(True, 50.2, made=50) == "unchanged"
    assert desk.repeats() == [0]


@pytest.mark.parametrize("ahead", [0, 5])
def test_presses_apart_by_arrival_are_no_bounce_whatever_moved_the_lines_time(ahead: int) -> None:
    """The clock of a machine beside it is ahead, and takes the line's time along."""
    desk = Station()
    desk.shop.say("packer", StateReport(state="running", ts=T0 + ahead * 1_000), at=0)
    for at, level in ((0.1, False), (0.2, True), (1.5, False), (4.9, True)):
        desk.shop.say("desk", AndonReport(input=level, andon_type="equipment"), at=at)
    for at in (10, 13.4):
        desk.shop.say("desk", AndonReport(action="raise", andon_type="equipment"), at=at)
    assert desk.repeats() == [0, 1, 2, 3]
