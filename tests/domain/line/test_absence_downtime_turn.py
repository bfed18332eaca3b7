"""A stop between breakdown and changeover, of which nobody watched a part: what held before it holds, and no more."""

import msgspec
import pytest

from bridge.domain.events import EventType
from bridge.domain.reports import ChangeoverReport, StateReport
from tests.domain.line.test_absence import absent
from tests.support.packing_line import LEADER, T0, Shop, equipment, line_spec, plant_file

STARVED = StateReport(state="idle", upstream_stop=True)
FAULT = StateReport(state="fault")
RUNNING = StateReport(state="running", speed=90.0)


def changed_over(shop: Shop, at: float) -> None:
    shop.say(None, ChangeoverReport(action="start", to_product="nuts"), at=at, actor=LEADER)


def test_machines_that_are_lost_together_carry_their_fault_on() -> None:
    """At no instant of it the bagger is known and the feeder is not."""
    shop = Shop()
    for name in ("feeder", "bagger"):
        shop.say(name, RUNNING, at=0)
    shop.say("feeder", FAULT, at=100)
    shop.say("bagger", STARVED, at=110)
    changed_over(shop, 120)
    absent(shop, 200, 330)
    shop.say("feeder", FAULT, at=331)
    shop.say("bagger", STARVED, at=332)
    shop.wait(409)
    assert not shop.of(EventType.ANDON_EVENT, "feeder")
    shop.wait(411)
    assert shop.of(EventType.ANDON_EVENT, "feeder"), "its call stays due while the fault lasts"


def test_a_machine_lost_together_with_the_one_worked_on_is_not_left_standing_without_a_cause() -> None:
    """Nobody is called for it: people worked on the feeder when it was last known to stand."""
    shop = Shop()
    for name in ("feeder", "bagger"):
        shop.say(name, RUNNING, at=0)
    shop.say("feeder", StateReport(state="maintenance"), at=100)
    shop.say("bagger", StateReport(state="stopped"), at=110)
    absent(shop, 200, 330)
    shop.say("feeder", RUNNING, at=331)
    shop.wait(1_000)
    (downtime,) = {each.downtime_id: each for each in shop.downtimes()}.values()
    assert (downtime.status, downtime.cause_equipment) == ("open", "feeder")
    assert not shop.of(EventType.ANDON_EVENT, "bagger")


def test_a_fault_that_was_seen_for_seconds_is_no_downtime_of_its_own() -> None:
    """The changeover's downtime is not split where nobody watched any more."""
    shop = Shop()
    shop.say("bagger", RUNNING, at=0)
    changed_over(shop, 99)
    shop.say("bagger", StateReport(state="setup"), at=100)
    shop.say("bagger", FAULT, at=290)
    absent(shop, 300, 500)
    shop.say("bagger", RUNNING, at=501)
    shop.wait(600)
    last = {each.downtime_id: each for each in shop.downtimes()}
    assert [(each.category, each.status) for each in last.values()] == [("changeover", "closed")]


@pytest.mark.parametrize("began", [303, 305])
@pytest.mark.parametrize("begun", [STARVED, StateReport(state="stopped")], ids=["starved", "stopped"])
def test_a_stop_after_an_absence_becomes_a_changeover_as_one_that_is_watched(begun: StateReport, began: float) -> None:
    """The changeover has not run from the beginning of the stop that is gone through."""
    found = []
    for away in (True, False):
        shop = Shop()
        for name in ("feeder", "bagger"):
            shop.say(name, RUNNING, at=0)
        if away:
            absent(shop, 100, 300)
            shop.say("feeder", RUNNING, at=301)
        shop.say("bagger", begun, at=302)
        shop.say("feeder", FAULT, at=303)
        changed_over(shop, began)
        shop.say("bagger", StateReport(state="setup"), at=305)
        shop.wait(1_000)
        last = {each.downtime_id: each for each in shop.downtimes()}
        calls = [each.timestamp for each in shop.of(EventType.ANDON_EVENT, "feeder")]
        found.append(([(each.category, each.cause_equipment, each.started_at) for each in last.values()], calls))
    assert found[0] == found[1]
    assert found[0][0][0][1] == "feeder"


def test_what_was_seen_before_people_changed_over_is_of_the_breakdown_before() -> None:
    """They began while no machine was heard: the downtime is split before anybody knows what the machines did."""
    shop = Shop(plant_file(line_spec(equipment=equipment(clock="device"))))
    shop.say("bagger", StateReport(state="fault", ts=T0), at=0)
    absent(shop, 100, 300)
    changed_over(shop, 301)
    for index, (at, state) in enumerate(((200, FAULT), (250, StateReport(state="stopped")), (310, STARVED))):
        shop.say("bagger", msgspec.structs.replace(state, ts=T0 + at * 1_000), at=320 + index / 100)
    shop.wait(600)
    last = {each.downtime_id: each for each in shop.downtimes()}
    assert [(each.category, each.cause) for each in last.values()] == [
        ("unplanned", "internal"),
        ("changeover", "upstream"),
    ]
