"""A stop between breakdown and changeover, of which nobody watched a part: what held before it holds, and no more."""

from bridge.core.events import EventType
from bridge.core.reports import ChangeoverReport, StateReport
from tests.core.line.shopfloor import LEADER, Shop
from tests.core.line.test_absence import absent

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
