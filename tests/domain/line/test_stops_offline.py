"""A stop that is known stays a stop, whatever becomes of the connection, until something else is known."""

from collections.abc import Callable

import pytest

from bridge.domain import event_data
from bridge.domain.line.line import Line
from bridge.domain.reports import BirthReport, CountsReport, DeathReport, StateReport
from tests.domain.line.test_absence import absent
from tests.domain.line.test_oee_base import closed
from tests.support.packing_line import Shop, equipment, line_spec, plant_file

RUNNING = StateReport(state="running", speed=90.0)
HOUR = 3_600


def shop_with_heartbeat() -> Shop:
    """The bagger is the constraint, and is lost after 20 s of silence."""
    shop = Shop(plant_file(line_spec(equipment=equipment(heartbeat_seconds=20.0))))
    shop.say("bagger", RUNNING, at=0)
    shop.say("bagger", CountsReport(total=0), at=0)
    return shop


def dies(shop: Shop, at: float) -> None:
    shop.say("bagger", DeathReport(), at=at)


def falls_silent(shop: Shop, at: float) -> None:
    shop.wait(at + 20)


LOSSES = {"death": dies, "silence": falls_silent}


def lost(shop: Shop, window: str = "hour") -> float:
    """Return the seconds of the closed windows that went into downtime."""
    return sum(each.planned_busy_seconds - each.actual_production_seconds for each in closed(shop, window))


@pytest.mark.parametrize("lose", LOSSES.values(), ids=list(LOSSES))
@pytest.mark.parametrize("status", ["fault", "stopped", "maintenance", "setup", "idle"])
def test_a_repair_with_the_power_off_costs_what_it_costs(lose: Callable[[Shop, float], None], status: str) -> None:
    """The downtime's length is what OEE loses: two hours, not the ninety seconds until the power went."""
    shop = shop_with_heartbeat()
    shop.say("bagger", StateReport(state=status), at=15)
    lose(shop, 30)
    shop.wait(2 * HOUR)
    assert shop.statuses("bagger")[-1].status == "offline", "that it cannot be seen is shown"
    shop.say("bagger", BirthReport(), at=2 * HOUR + 60)
    shop.say("bagger", RUNNING, at=2 * HOUR + 61)
    at = 2 * HOUR + 70.0
    while at < 4 * HOUR:
        shop.say("bagger", RUNNING, at=at)
        at += 15
    shop.wait(4 * HOUR)
    downtime = shop.downtimes()[-1]
    assert (downtime.status, downtime.duration_seconds) == ("closed", 2 * HOUR + 46)
    assert lost(shop) == downtime.duration_seconds
    assert sum(each.unknown_seconds for each in closed(shop)) == 0


@pytest.mark.parametrize("lose", LOSSES.values(), ids=list(LOSSES))
def test_a_machine_that_ran_is_unknown_when_it_is_lost(lose: Callable[[Shop, float], None]) -> None:
    shop = shop_with_heartbeat()
    lose(shop, 1)
    shop.wait(HOUR)
    assert shop.downtimes() == []
    assert closed(shop)[-1].unknown_seconds > HOUR - 30


def test_nobody_knows_of_a_stop_that_nobody_watched() -> None:
    """The bridge was away itself: unlike one lost machine, the line may have been repaired and have run since."""
    shop = shop_with_heartbeat()
    shop.say("bagger", StateReport(state="fault"), at=15)
    dies(shop, 30)
    absent(shop, 60, HOUR)
    shop.wait(HOUR)
    assert shop.downtimes() == []
    assert closed(shop)[-1].unknown_seconds == HOUR - 60


def test_pieces_end_a_stop_of_a_lost_machine() -> None:
    shop = shop_with_heartbeat()
    shop.say("bagger", StateReport(state="fault"), at=15)
    dies(shop, 30)
    shop.say("bagger", CountsReport(total=5), at=1_000)
    shop.wait(1_020)
    last = shop.downtimes()[-1]
    assert isinstance(last, event_data.Downtime)
    assert (last.status, last.duration_seconds) == ("closed", 985)


def test_a_restart_keeps_a_known_stop() -> None:
    shop = shop_with_heartbeat()
    shop.say("bagger", StateReport(state="fault"), at=15)
    dies(shop, 30)
    shop.line = Line.restore(shop.plant_file, shop.plant_file.lines[0], shop.line.checkpoint())
    shop.wait(HOUR)
    assert closed(shop)[-1].unknown_seconds == 0
    assert shop.downtimes()[-1].status == "open"
