"""Pieces that registers hold, release and refuse, as events tell of them; and counters that contradict each other."""

from typing import Any

import msgspec
import pytest

from bridge.domain.events import DataQuality, EventType
from bridge.domain.line.line import Line
from bridge.domain.reports import BirthReport, CountsReport, DeathReport, StateReport
from tests.support.packing_line import T0, Shop, equipment, line_spec, plant_file

RUNNING = StateReport(state="running")


def shop_of(*, bagger: dict[str, Any] | None = None, **changes: Any) -> Shop:
    return Shop(plant_file(line_spec(equipment=equipment(**(bagger or {})), **changes)))


def feed(shop: Shop, who: str, *samples: tuple[int, float], boot: int | None = None) -> None:
    for total, at in samples:
        shop.say(who, CountsReport(total=total, boot_id=boot), at=at)


def qualities(shop: Shop, who: str | None = None) -> list[DataQuality]:
    return [event.quality for event in shop.of(EventType.PRODUCTION_UPDATE, who)]


def doubts(shop: Shop, who: str | None = None) -> list[tuple[int | None, int | None, int | None]]:
    found = qualities(shop, who)
    return [(each.pieces_held, each.pieces_released, each.pieces_refused) for each in found]


# -- held, released, refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [None, "bagger"])
def test_held_pieces_are_told_though_nothing_counted(who: str | None) -> None:
    shop = shop_of()
    feed(shop, "bagger", (0, 0), (50_000, 1))
    shop.wait(3)
    assert doubts(shop, who)[-1] == (50_000, None, None)
    assert shop.production(who)[-1].total_count == 0


@pytest.mark.parametrize("who", [None, "bagger"])
def test_released_pieces_are_told_once_and_estimated(who: str | None) -> None:
    shop = shop_of()
    feed(shop, "bagger", (0, 0), (50_000, 1), (50_001, 3), (50_002, 5))
    shop.wait(7)
    assert doubts(shop, who)[-2:] == [(None, 50_000, None), (None, None, None)]
    assert shop.production(who)[-1].total_count == 50_002
    assert qualities(shop, who)[-1].estimated


def test_refused_pieces_are_told_once() -> None:
    shop = shop_of()
    shop.say("bagger", RUNNING, at=0)
    feed(shop, "bagger", (100, 0), (50_100, 1), (101, 3), (102, 5))
    shop.wait(7)
    assert doubts(shop)[-2:] == [(None, None, 50_000), (None, None, None)]
    assert shop.production()[-1].total_count == 2
    assert not qualities(shop)[-1].estimated


def test_refused_pieces_are_told_though_as_many_are_held_anew() -> None:
    shop = shop_of()
    for at, total, good in ((0, 0, 0), (1, 50_000, 0), (3, 0, 50_000)):
        shop.say("bagger", CountsReport(total=total, good=good), at=at)
    shop.wait(5)
    assert doubts(shop, "bagger")[-2:] == [(50_000, None, None), (50_000, None, 50_000)]


def test_what_is_held_stays_told_until_it_is_decided() -> None:
    shop = shop_of()
    feed(shop, "bagger", (0, 0), (50_000, 1))
    shop.say("bagger", CountsReport(good=5), at=2)
    shop.say("bagger", CountsReport(good=6), at=4)
    shop.wait(6)
    assert {each[0] for each in doubts(shop, "bagger")} == {50_000}


def test_pieces_that_two_counters_show_are_held_once() -> None:
    shop = shop_of()
    shop.say("bagger", CountsReport(total=0, good=0, reject=0), at=0)
    shop.say("bagger", CountsReport(total=50_000, good=40_000, reject=10_000), at=1)
    shop.wait(3)
    assert doubts(shop)[-1] == (50_000, None, None)


def test_the_line_shows_only_what_its_own_counters_hold() -> None:
    shop = shop_of(pieces_per_count=12)
    feed(shop, "feeder", (0, 0), (70_000, 1))
    feed(shop, "bagger", (0, 2), (50_000, 3))
    shop.wait(5)
    assert doubts(shop, "feeder")[-1] == (70_000, None, None)
    assert doubts(shop)[-1] == (600_000, None, None)


def test_a_line_adds_up_what_its_machines_hold() -> None:
    shop = shop_of(total_from=("feeder", "bagger"))
    feed(shop, "feeder", (0, 0), (70_000, 2))
    feed(shop, "bagger", (0, 1), (50_000, 3))
    shop.wait(5)
    assert doubts(shop)[-1] == (120_000, None, None)
    feed(shop, "feeder", (1, 6))
    shop.wait(8)
    assert doubts(shop)[-1] == (50_000, None, 70_000)


def test_a_lost_count_is_estimated_though_no_piece_was_added() -> None:
    """Three samples that have nothing to do with each other: where the register is then is known, not what was made."""
    shop = shop_of()
    feed(shop, "bagger", (1_000, 0), (50_000, 1), (9, 2), (700_000, 3))
    shop.wait(12)
    assert qualities(shop)[-1].estimated
    assert "estimated" in shop.oee("shift")[-1].flags


# -- the device's life ----------------------------------------------------------------------------------------------


def test_a_power_cut_is_no_wrap() -> None:
    """A 16-bit counter at 1000, twelve minutes without power, then 0, 1, 2."""
    shop = shop_of(bagger={"counters": {"modulus": 65_536}})
    shop.say("bagger", BirthReport(boot_id=1), at=0)
    feed(shop, "bagger", (1_000, 1), boot=1)
    shop.say("bagger", DeathReport(boot_id=1), at=2)
    shop.say("bagger", BirthReport(boot_id=2), at=722)
    feed(shop, "bagger", (0, 723), (1, 733), (2, 743), boot=2)
    shop.wait(745)
    assert shop.production()[-1].total_count == 2
    assert qualities(shop)[-1].estimated


@pytest.mark.parametrize("silent", [True, False])
def test_a_device_that_was_away_may_have_been_reset(*, silent: bool) -> None:
    """Without boot ids a death, a birth or a silence is all there is to know it by."""
    shop = shop_of(bagger={"counters": {"modulus": 65_536}, "heartbeat_seconds": 30.0})
    feed(shop, "bagger", (65_530, 0))
    if not silent:
        shop.say("bagger", BirthReport(), at=10)
    feed(shop, "bagger", (4, 40 if silent else 11), (5, 50), (6, 60))
    shop.wait(62)
    assert shop.production()[-1].total_count == 6
    assert qualities(shop)[-1].estimated


def test_a_device_clock_gives_a_slow_burst_its_time() -> None:
    """A gateway sends what it kept for a minute, a report each two seconds: by receipt they would come too fast."""
    shop = shop_of(bagger={"clock": "device", "counters": {"max_rate_per_minute": 300.0}})
    shop.say("bagger", RUNNING, at=0)
    for number in range(7):
        at = 0 if number == 0 else 60 + number * 2
        shop.say("bagger", CountsReport(total=number * 50, ts=T0 + number * 10_000), at=at)
    shop.wait(80)
    assert shop.production()[-1].total_count == 300
    assert not qualities(shop)[-1].estimated


def test_a_report_may_say_its_own_modulus() -> None:
    shop = shop_of()
    for number, total in enumerate((65_530, 4)):
        shop.say("bagger", CountsReport(total=total, modulus=65_536), at=number)
    shop.wait(3)
    assert shop.production()[-1].total_count == 10


def test_an_uncertain_report_makes_its_pieces_estimated() -> None:
    shop = shop_of()
    shop.say("bagger", RUNNING, at=0)
    feed(shop, "bagger", (0, 0), (5, 1))
    shop.say("bagger", CountsReport(total=5, source_quality="uncertain"), at=3)
    shop.wait(5)
    assert not qualities(shop)[-1].estimated, "it added none"
    shop.say("bagger", CountsReport(total=6, source_quality="uncertain"), at=6)
    shop.wait(8)
    assert qualities(shop)[-1].estimated


def test_an_outage_of_ten_minutes_loses_nothing() -> None:
    """120/min, a report each 10 s; the broker keeps what comes meanwhile, and it all arrives within a second."""
    shop = shop_of(bagger={"counters": {"max_rate_per_minute": 120.0}})
    shop.say("bagger", RUNNING, at=0)
    for number in range(151):
        at = number * 10 if number <= 30 or number > 90 else 900 + (number - 30) / 1000
        feed(shop, "bagger", (number * 20, at))
    shop.wait(1_510)
    assert shop.production()[-1].total_count == 3_000
    assert not qualities(shop)[-1].estimated


# -- how they are counted -------------------------------------------------------------------------------------------


def test_a_line_knows_the_greatest_rate_that_does_not_fit() -> None:
    shop = shop_of()
    feed(shop, "bagger", *((number * 3_333, number * 10) for number in range(6)))
    fits = shop.line.counter_fits()
    assert set(fits) == {"bagger"}
    assert fits["bagger"].max_rate_is_too_low
    assert (round(fits["bagger"].proven_rate), fits["bagger"].max_rate) == (19_998, 6_000)
    assert (fits["bagger"].held, fits["bagger"].released, fits["bagger"].refused) == (0, 3_333, 0)
    shop.wait(52)
    assert shop.production()[-1].total_count == 16_665


def test_what_was_held_is_known_after_a_restart() -> None:
    shop = shop_of()
    feed(shop, "bagger", (0, 0), (50_000, 1), (2, 2), (60_000, 3))
    again = Line.restore(shop.plant_file, shop.plant_file.lines[0], shop.line.checkpoint())
    assert again.counter_fits() == shop.line.counter_fits()
    assert again.counter_fits()["bagger"][:3] == (59_998, 0, 50_000)


def test_an_older_checkpoint_is_read() -> None:
    """A register was a value, a time and perhaps a held value."""
    shop = shop_of()
    feed(shop, "bagger", (7, 0))
    state = msgspec.msgpack.decode(shop.line.checkpoint())
    assert isinstance(state, dict)
    register = state["equipment"]["bagger"]["registers"]["total"]
    state["equipment"]["bagger"]["registers"]["total"] = {
        "value": register["value"],
        "at": register["at"],
        "held": 9_000,
        "held_at": register["at"],
    }
    shop.line = Line.restore(shop.plant_file, shop.plant_file.lines[0], msgspec.msgpack.encode(state))
    feed(shop, "bagger", (9, 2))
    shop.wait(4)
    assert shop.production()[-1].total_count == 2


def test_no_counter_makes_a_checkpoint_impossible() -> None:
    """The largest numbers there are, again and again: every sum stays one that a checkpoint holds."""
    shop = shop_of()
    for number in range(40):
        feed(shop, "bagger", (2**64 - 1, number * 3), (-(2**63), number * 3 + 1), (0, number * 3 + 2))
        feed(shop, "packer", (2**64 - 1 - number, number * 3 + 2))
    shop.wait(200)
    assert Line.restore(shop.plant_file, shop.plant_file.lines[0], shop.line.checkpoint()) is not None


# -- counters that contradict each other ----------------------------------------------------------------------------


def contradicting() -> Shop:
    """The line's total is the feeder's, its good the bagger's; 10 pieces were made, 40 of them good."""
    shop = shop_of(total_from=("feeder",), good_from=("bagger",), reject_from=())
    for who in ("feeder", "bagger"):
        shop.say(who, RUNNING, at=0)
    shop.say("bagger", CountsReport(good=0), at=1)
    feed(shop, "feeder", (0, 1), (10, 60))
    shop.say("bagger", CountsReport(good=40), at=60)
    shop.wait(120)
    return shop


def test_more_good_pieces_than_pieces_are_flagged_and_quality_stays_a_share() -> None:
    told = contradicting().oee("shift")[-1]
    assert "counts_contradict" in told.flags
    assert told.quality == 1
    assert (told.total_count, told.good_count) == (10, 40)
    assert told.oee == pytest.approx(10 * 2.0 / told.planned_busy_seconds)


def test_production_of_contradicting_counters_is_estimated() -> None:
    assert qualities(contradicting())[-1].estimated


def test_more_rejects_than_pieces_are_flagged() -> None:
    shop = shop_of(total_from=("feeder",), good_from=(), reject_from=("bagger",))
    for who in ("feeder", "bagger"):
        shop.say(who, RUNNING, at=0)
    shop.say("bagger", CountsReport(reject=0), at=1)
    feed(shop, "feeder", (0, 1), (10, 60))
    shop.say("bagger", CountsReport(reject=40), at=60)
    shop.wait(120)
    told = shop.oee("shift")[-1]
    assert "counts_contradict" in told.flags
    assert told.quality == 0


def test_counters_that_agree_are_not_flagged() -> None:
    shop = shop_of()
    shop.say("bagger", RUNNING, at=0)
    shop.say("bagger", CountsReport(total=0, good=0), at=1)
    shop.say("bagger", CountsReport(total=10, good=10), at=60)
    shop.wait(120)
    assert "counts_contradict" not in shop.oee("shift")[-1].flags
    assert not qualities(shop)[-1].estimated


def test_pieces_of_a_window_that_was_down_throughout_contradict_its_state() -> None:
    """OEE is more than 0 then, though availability is 0: either the counts are wrong, or the state is."""
    shop = Shop()
    shop.say("bagger", CountsReport(total=0, good=0), at=0)
    shop.say("bagger", StateReport(state="fault"), at=0)
    for at in range(10, 5_000, 10):
        shop.say("bagger", CountsReport(total=at, good=at), at=at)
    shop.wait(7_300)
    hour = [each for each in shop.oee("hour") if each.closed][-1]
    assert hour.total_count > 0
    assert (hour.availability, hour.performance) == (0, None)
    assert hour.oee is not None
    assert hour.oee > 0
    assert "counts_contradict" in hour.flags


def test_a_window_that_was_down_without_a_piece_contradicts_nothing() -> None:
    shop = Shop()
    shop.say("bagger", CountsReport(total=0, good=0), at=0)
    shop.say("bagger", StateReport(state="fault"), at=0)
    shop.wait(3_700)
    assert all("counts_contradict" not in each.flags for each in shop.oee("hour"))
