"""A downtime of which a part was not watched: its duration is an estimate, to its last event."""

import pytest

from bridge.domain.events import EventType
from bridge.domain.line.line import Line
from bridge.domain.reports import DowntimeReport, StateReport
from tests.domain.line.test_absence import FAULT, RUNNING, absent, running_shop
from tests.domain.line.test_absence_rebuilt import Bagger, shop_of
from tests.support.packing_line import LEADER, T0, Shop, plant_file


def told(shop: Shop) -> list[tuple[str, bool]]:
    """The status of each downtime event, and whether it is an estimate."""
    events = shop.of(EventType.DOWNTIME_EVENT)
    return [(data.status, event.quality.estimated) for event, data in zip(events, shop.downtimes(), strict=True)]


@pytest.mark.parametrize("restored", [False, True])
def test_a_downtime_over_an_absence_is_an_estimate_to_its_end(*, restored: bool) -> None:
    """The machine may have run for an hour meanwhile, and broken again."""
    shop = running_shop()
    shop.say("bagger", FAULT, at=40)
    shop.wait(190)
    assert told(shop) == [("open", False)]
    absent(shop, 200, 2_300)
    if restored:
        shop.line = Line.restore(plant_file(), plant_file().lines[0], shop.line.checkpoint())
    shop.say("bagger", RUNNING, at=2_300)
    shop.wait(2_400)
    downtime = shop.downtimes()[-1]
    assert (told(shop)[-1], downtime.duration_seconds) == (("closed", True), 2_260)
    body = DowntimeReport(action="classify", downtime_id=downtime.downtime_id, reason_code="CLEAN")
    shop.say(None, body, at=2_500, actor=LEADER)
    assert told(shop)[-1] == ("closed", True)


def test_the_next_downtime_is_none() -> None:
    shop = running_shop()
    shop.say("bagger", FAULT, at=40)
    absent(shop, 200, 300)
    shop.say("bagger", RUNNING, at=300)
    shop.wait(400)
    shop.say("bagger", FAULT, at=400)
    shop.wait(600)
    shop.say("bagger", RUNNING, at=600)
    shop.wait(700)
    assert told(shop)[-2:] == [("open", False), ("closed", False)]


def test_a_downtime_that_the_shift_ends_during_an_absence_is_an_estimate() -> None:
    shop = running_shop()
    start = 12 * 3_600 - 1_800  # half an hour before the late shift ends
    shop.say("bagger", RUNNING, at=start - 100)
    shop.say("bagger", FAULT, at=start)
    absent(shop, start + 200, start + 9_000)
    shop.wait(start + 9_000)
    assert told(shop)[-1] == ("closed", True)


@pytest.mark.parametrize("lost", [False, True])
def test_a_downtime_that_is_found_to_last_is_an_estimate_where_a_part_is_unknown(*, lost: bool) -> None:
    """The broker kept the stop; of a lost report in it nobody knows what it said."""
    shop = shop_of()
    bagger = Bagger(shop)
    bagger.state("running", 0)
    bagger.away = (300, 600)
    bagger.state("fault", 310)
    for at in (450, 500, 550):
        bagger.state("fault", at)
    if lost:
        bagger.lose(2)
    bagger.return_()
    shop.wait(700)
    assert told(shop) == [("open", lost)]


def test_a_downtime_over_a_step_of_the_hosts_clock_is_an_estimate() -> None:
    shop = running_shop()
    shop.say("bagger", FAULT, at=40)
    shop.wait(200)
    shop.events += shop.line.set_forward(600_000, T0 + 800_000)
    shop.say("bagger", StateReport(state="running"), at=810)
    shop.wait(900)
    assert told(shop)[-1] == ("closed", True)
