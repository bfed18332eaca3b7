"""A downtime that turns while an absence is not gone through: its parts follow each other, whatever is known later."""

from collections.abc import Sequence

import pytest

from bridge.domain import event_data
from bridge.domain.events import EventType
from bridge.domain.line.line import Line
from bridge.domain.reports import ChangeoverReport, StateReport
from tests.domain.line.test_absence import absent
from tests.domain.line.test_absence_lost_time import inside, lost, spans
from tests.domain.line.test_oee_base import closed
from tests.support.packing_line import T0, Shop, equipment, line_spec, plant_file

SHIFT_END = 12 * 3_600
Said = Sequence[tuple[float, str]]


def dated(shop: Shop, word: str, at: float, ts: float) -> None:
    shop.say("bagger", StateReport(state=word, ts=T0 + round(ts * 1000)), at=at)


def shop_of(clock: str, *, minor_stops: bool = False) -> Shop:
    shop = Shop(plant_file(line_spec(equipment=equipment(clock=clock)), report_minor_stops=minor_stops))
    for machine in ("feeder", "packer"):
        shop.say(machine, StateReport(state="running"), at=0)
    return shop


def away(said: Said, *, back: float = 320, clock: str = "device", until: float = 600, restore: bool = False) -> Shop:
    """The bagger fails at 0, the bridge is away from 100 to 300, and a backlog comes at `back`."""
    shop = shop_of(clock)
    dated(shop, "fault", 0, 0)
    absent(shop, 100, 300)
    for index, (ts, word) in enumerate(said):
        dated(shop, word, back + index / 100, ts)
        if restore:
            shop.line = Line.restore(shop.plant_file, shop.plant_file.lines[0], shop.line.checkpoint())
    shop.wait(until)
    return shop


def last(shop: Shop) -> list[event_data.Downtime]:
    found = {each.downtime_id: each for each in shop.downtimes()}
    return list(found.values())


def kinds(shop: Shop) -> list[tuple[str, str]]:
    return [(each.category, each.cause) for each in last(shop)]


@pytest.mark.parametrize("restore", [False, True])
def test_a_changeover_after_the_stop_was_over_is_a_downtime_of_its_own(*, restore: bool) -> None:
    shop = away([(200, "running"), (290, "setup")], restore=restore)
    assert spans(shop, 600) == [(0, 200), (290, 600)]
    assert [each.category for each in last(shop)] == ["unplanned", "changeover"]
    assert [each.status for each in shop.downtimes()] == ["open", "closed", "open"], "nothing that never was is sent"


def test_what_is_seen_after_the_stop_was_over_is_not_its_cause() -> None:
    shop = shop_of("device")
    dated(shop, "stopped", 0, 0)
    absent(shop, 100, 300)
    for ts, word in ((200, "running"), (290, "fault")):
        dated(shop, word, 320, ts)
    shop.wait(600)
    assert [(each.cause, each.status) for each in last(shop)] == [("unknown", "closed"), ("internal", "open")]


@pytest.mark.parametrize("clock", ["device", "receive"])
def test_a_changeover_within_the_stop_splits_it_where_it_began(clock: str) -> None:
    """As far as that is known: without a trusted clock it began when it was heard of."""
    began = 180 if clock == "device" else 320
    shop = away([(180, "setup"), (290, "setup")], clock=clock)
    assert spans(shop, 600) == [(0, began), (began, 600)]
    assert [each.category for each in last(shop)] == ["unplanned", "changeover"]
    times = [event.timestamp for event in shop.events]
    assert times == sorted(times)


@pytest.mark.parametrize(
    "said",
    [
        [(110, "setup"), (150, "fault"), (200, "fault"), (240, "setup"), (300, "running")],
        [(110, "setup"), (150, "fault"), (205, "setup"), (290, "fault")],
        [(110, "setup"), (250, "fault"), (300, "running")],
        [(110, "setup"), (160, "running"), (165, "fault"), (240, "running"), (295, "setup")],
        [(110, "running"), (119, "setup"), (170, "fault")],
    ],
)
def test_it_is_split_where_it_would_have_been_if_somebody_had_watched(said: Said) -> None:
    watched = shop_of("device")
    for at, word in [(0, "fault"), *said]:
        dated(watched, word, at, at)
    watched.wait(600)
    shop = away(said)
    assert spans(shop, 600) == spans(watched, 600)
    assert kinds(shop) == kinds(watched)


def test_without_trusted_clocks_it_splits_at_once() -> None:
    shop = away([(320, "setup")], clock="receive", until=320.5)
    assert spans(shop, 320.5) == [(0, 320), (320, 320.5)]


@pytest.mark.parametrize("clock", ["device", "receive"])
def test_the_end_of_the_shift_while_nothing_is_gone_through_makes_no_part_longer_than_it_was(clock: str) -> None:
    """Two machines that decide stay silent, so patience ends half a second after the shift."""
    machines = [each.model_copy(update={"clock": clock}) for each in equipment()[:3]]
    shop = Shop(plant_file(line_spec(constraint=None, equipment=(*machines, equipment()[3]))))
    shop.say("packer", StateReport(state="setup"), at=SHIFT_END - 340)
    absent(shop, SHIFT_END - 215, SHIFT_END - 90)
    shop.say("packer", StateReport(state="fault"), at=SHIFT_END - 89.5)
    shop.wait(SHIFT_END + 200)
    found = spans(shop, SHIFT_END + 200)
    fault = [(SHIFT_END - 89.5, SHIFT_END)] if clock == "receive" else []
    assert found == [(SHIFT_END - 340, fault[0][0] if fault else SHIFT_END), *fault]
    for window in closed(shop, "shift"):
        assert lost(window) <= inside(window, found)


def test_what_ended_before_the_shift_did_that_ended_it_meanwhile_ends_where_it_ended() -> None:
    shop = shop_of("device")
    dated(shop, "fault", SHIFT_END - 300, SHIFT_END - 300)
    absent(shop, SHIFT_END - 200, SHIFT_END - 10)
    dated(shop, "running", SHIFT_END - 2, SHIFT_END - 150)
    shop.wait(SHIFT_END + 100)
    assert spans(shop, SHIFT_END + 100) == [(SHIFT_END - 300, SHIFT_END - 150)]


def test_a_changeover_that_people_start_meanwhile_splits_at_the_latest_when_it_was_gone_through() -> None:
    shop = shop_of("device")
    dated(shop, "fault", 0, 0)
    absent(shop, 100, 300)
    dated(shop, "fault", 320, 300)
    shop.say("desk", ChangeoverReport(action="start", to_product="nuts"), at=321)
    shop.wait(600)
    (before, after) = spans(shop, 600)
    assert before[1] == after[0]
    assert 321 <= before[1] <= 326
    assert len(shop.of(EventType.CHANGEOVER_STARTED)) == 1


@pytest.mark.parametrize("ran", [False, True])
def test_a_changeover_that_people_start_while_nothing_is_heard_splits_at_once(*, ran: bool) -> None:
    """No machine may be heard for hours. Where it turns out that the line ran then, that part was no downtime."""
    shop = shop_of("device")
    dated(shop, "fault", 0, 0)
    absent(shop, 100, 300)
    shop.say("desk", ChangeoverReport(action="start", to_product="nuts"), at=321)
    assert spans(shop, 321.5) == [(0, 321), (321, 321.5)]
    if ran:
        dated(shop, "running", 400, 200)
        dated(shop, "running", 400.1, 300)
    dated(shop, "running", 400.2, 400)
    shop.wait(600)
    assert spans(shop, 600) == ([(0, 200)] if ran else [(0, 321), (321, 400)])
