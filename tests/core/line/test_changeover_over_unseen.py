"""A changeover that is over while the machine that decides is not seen: what it held back begins at its end."""

from typing import Final

import msgspec
import pytest

from bridge.core.line.line import Line
from bridge.core.reports import ChangeoverReport, DeathReport, StateReport
from tests.core.line.shopfloor import T0, Shop, equipment, line_spec, plant_file
from tests.core.line.stopped_shop import FAULT, HOUR, RESOLVE, RUNNING, STARVED, STOPPED, Step, called
from tests.core.line.test_absence import absent
from tests.core.line.test_changeover_and_neighbours import culprits
from tests.core.line.test_downtime_turn import COMPLETE, START, parts

DIES: Final = DeathReport()
each_clock = pytest.mark.parametrize("clock", ["receive", "device"])


def shop_of(clock: str, *steps: Step, until: float, restarts: bool = False) -> Shop:
    """Let all machines run, then the steps; what a machine says has the time at which it is said."""
    shop = Shop(plant_file(line_spec(equipment=equipment(clock=clock))))
    for machine in ("feeder", "bagger", "packer"):
        shop.say(machine, RUNNING, at=0)
    number = 0
    for at, who, body in steps:
        if isinstance(body, StateReport):
            number += 1
            dated = msgspec.structs.replace(body, ts=T0 + round(at * 1_000), boot_id=1, seq=number)
            shop.say(who, dated, at=at)
        else:
            shop.say(who, body, at=at)
        if restarts:
            shop.line = Line.restore(shop.plant_file, shop.plant_file.lines[0], shop.line.checkpoint())
    shop.wait(until)
    return shop


@each_clock
@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("began", [5, 110])
@pytest.mark.parametrize(
    "back", [None, 598, 700, 1_100], ids=["stays away", "back just before", "back later", "back after the call"]
)
def test_a_line_that_is_left_standing_is_called_for_as_if_it_were_seen(
    back: float | None, began: float, clock: str, *, restarts: bool
) -> None:
    """The bagger was switched off for the changeover."""
    returns: list[Step] = [] if back is None else [(back, "bagger", STOPPED)]
    steps: list[Step] = [(began, None, START), (10, "bagger", STOPPED), (200, "bagger", DIES), (600, None, COMPLETE)]
    shop = shop_of(clock, *sorted([*steps, *returns], key=lambda step: step[0]), until=4 * HOUR, restarts=restarts)
    assert called(shop) == [(900, "bagger")]
    assert [category for category, _, _ in parts(shop)] == ["changeover"]


@each_clock
@pytest.mark.parametrize("dies", [150, 300])
@pytest.mark.parametrize("began", [50, 210], ids=["in the first minute", "later"])
@pytest.mark.parametrize(
    "back", [None, 898, 930, 1_000], ids=["stays away", "back just before", "back at once", "back later"]
)
def test_a_fault_that_was_carried_into_it_is_a_breakdown_from_its_end(
    back: float | None, began: float, dies: float, clock: str
) -> None:
    def story(*, away: bool) -> Shop:
        lost: list[Step] = [(dies, "bagger", DIES)] if away else []
        returns: list[Step] = [] if back is None or not away else [(back, "bagger", FAULT)]
        steps: list[Step] = [(10, "bagger", FAULT), (began, None, START), *lost]
        steps += [(400, "bagger", RESOLVE), (900, None, COMPLETE), *returns]
        return shop_of(clock, *sorted(steps, key=lambda step: step[0]), until=2 * HOUR)

    unseen, seen = story(away=True), story(away=False)
    assert parts(unseen) == parts(seen)
    assert parts(unseen)[-1] == ("unplanned", 900, None)
    assert culprits(unseen)[-1] == "bagger"
    assert called(unseen) == called(seen) == [(310, "bagger"), (1_200, "bagger")]


@each_clock
def test_a_repair_within_it_is_no_return_to_a_changeover_that_is_over(clock: str) -> None:
    """The bagger broke within the changeover, and was repaired a few seconds before it was lost."""
    steps: list[Step] = [(5, None, START), (10, "bagger", FAULT), (580, "bagger", STOPPED), (590, "bagger", DIES)]
    shop = shop_of(clock, *steps, (600, None, COMPLETE), until=2 * HOUR)
    assert parts(shop) == [("unplanned", 10, None)]


def test_a_fault_of_a_line_that_may_run_since_is_not_known_to_be_one_at_its_end() -> None:
    """The bridge was away: nobody knows whether the bagger stands, and yet somebody looks after it."""
    shop = shop_of("receive", (10, "bagger", FAULT), (210, None, START), until=300)
    absent(shop, 300, 320)
    shop.say("bagger", RESOLVE, at=400)
    shop.say(None, COMPLETE, at=900)
    shop.wait(2 * HOUR)
    assert parts(shop) == [("unplanned", 10, 210), ("changeover", 210, None)]
    assert called(shop) == [(310, "bagger"), (1_200, "bagger")]


def test_a_fault_that_is_heard_again_just_before_its_end_is_a_breakdown_from_its_end() -> None:
    """The bridge was away, and what the bagger kept meanwhile may still come."""
    shop = shop_of("device", (10, "bagger", FAULT), (210, None, START), (400, "bagger", RESOLVE), until=880)
    absent(shop, 880, 890)
    shop.say("bagger", msgspec.structs.replace(FAULT, ts=T0 + 898_000, boot_id=1, seq=2), at=898)
    shop.say(None, COMPLETE, at=900)
    shop.wait(2 * HOUR)
    assert parts(shop) == [("unplanned", 10, 210), ("changeover", 210, 900), ("unplanned", 900, None)]
    assert called(shop) == [(310, "bagger"), (1_200, "bagger")]


@each_clock
def test_a_further_changeover_that_nobody_sees_splits_the_breakdown_within_the_first(clock: str) -> None:
    first: list[Step] = [(5, None, START), (10, "bagger", FAULT), (300, "bagger", DIES), (600, None, COMPLETE)]
    further = ChangeoverReport(action="start", to_product="crisps")
    shop = shop_of(clock, *first, (700, None, further), until=2 * HOUR)
    assert parts(shop) == [("unplanned", 10, 700), ("changeover", 700, None)]


@each_clock
def test_a_machine_that_is_repaired_before_it_begins_is_not_called_for(clock: str) -> None:
    """The feeder is seen to run; the bagger, which waited for it, is not seen, and is left standing afterwards."""
    steps: list[Step] = [(10, "feeder", FAULT), (11, "bagger", STARVED), (100, "bagger", DIES)]
    steps += [(150, "feeder", RUNNING), (200, None, START)]
    assert called(shop_of(clock, *steps, until=HOUR)) == []
    shop = shop_of(clock, *steps, (900, None, COMPLETE), until=2 * HOUR)
    assert called(shop) == [(1_200, "bagger")]
    assert parts(shop) == [("unplanned", 11, 200), ("changeover", 200, None)]


@each_clock
def test_a_machine_that_is_repaired_within_it_is_no_breakdown_from_its_end(clock: str) -> None:
    steps: list[Step] = [(10, "feeder", FAULT), (11, "bagger", STARVED), (100, "bagger", DIES)]
    steps += [(200, None, START), (400, "feeder", RESOLVE), (500, "feeder", RUNNING)]
    shop = shop_of(clock, *steps, (900, None, COMPLETE), until=2 * HOUR)
    assert parts(shop) == [("unplanned", 11, 200), ("changeover", 200, None)]
    assert called(shop) == [(311, "feeder"), (1_200, "bagger")]
