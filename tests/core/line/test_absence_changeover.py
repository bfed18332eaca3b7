"""An absence in a stop that people change over: with a trusted clock, the same downtimes as if it were watched."""

from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from bridge.core.reports import DeathReport, StateReport
from tests.core.line.shopfloor import T0, Shop, equipment, line_spec, plant_file
from tests.core.line.stopped_shop import BLOCKED, FAULT, RUNNING, STARVED, called
from tests.core.line.test_absence import absent
from tests.core.line.test_changeover_and_neighbours import culprits
from tests.core.line.test_downtime_turn import START, Part, parts

MACHINES: Final = ("feeder", "bagger", "packer")
Story = tuple[list[Part], list[str | None], list[tuple[float, str | None]]]


class Dated:
    """A shop of devices with trusted clocks, each of which numbers what it says."""

    def __init__(self) -> None:
        every = tuple(each.model_copy(update={"clock": "device"}) for each in equipment())
        self.shop = Shop(plant_file(line_spec(equipment=every)))
        self.said = dict.fromkeys(MACHINES, 0)
        for machine in MACHINES:
            self.say(machine, RUNNING, at=0)

    def say(self, machine: str, state: StateReport, *, at: float, ts: float | None = None) -> None:
        self.said[machine] += 1
        happened = T0 + round((at if ts is None else ts) * 1_000)
        report = msgspec.structs.replace(state, ts=happened, boot_id=1, seq=self.said[machine])
        self.shop.say(machine, report, at=at)

    def go_on(self, since: int, until: int, **states: StateReport) -> None:
        for at in range(since, until, 50):
            for machine, state in states.items():
                self.say(machine, state, at=at)
        self.shop.wait(until)

    def result(self) -> Story:
        return parts(self.shop), culprits(self.shop), called(self.shop)


def both(story: Callable[..., Dated]) -> tuple[Story, Story]:
    return story(away=True).result(), story(away=False).result()


@pytest.mark.parametrize(("culprit", "waits"), [("packer", BLOCKED), ("feeder", STARVED), ("bagger", FAULT)])
def test_a_fault_that_stood_before_it_is_carried_into_it(culprit: str, waits: StateReport) -> None:
    """The stop was no downtime yet when nobody watched any more."""

    def story(*, away: bool) -> Dated:
        floor = Dated()
        floor.say(culprit, FAULT, at=256)
        floor.say("bagger", waits, at=257)
        floor.shop.say(None, START, at=277)
        if away:
            absent(floor.shop, 285, 297)
        floor.go_on(298, 1_000, **{**dict.fromkeys(MACHINES, RUNNING), "bagger": waits, culprit: FAULT})
        return floor

    unwatched, watched = both(story)
    assert unwatched == watched
    assert [category for category, _, _ in watched[0]] == ["changeover"]
    assert [machine for _, machine in watched[2]] == [culprit]


@pytest.mark.parametrize("heard", [340, 440], ids=["before its call is due", "after it"])
def test_a_fault_that_stood_before_it_unseen_is_carried_into_it(heard: int) -> None:
    """The packer was repaired and the feeder failed before it began; what the bagger waits for is known afterwards."""

    def story(*, away: bool) -> Dated:
        floor = Dated()
        floor.say("packer", FAULT, at=100)
        floor.say("bagger", BLOCKED, at=101)
        if away:
            floor.shop.say("bagger", DeathReport(), at=200)
        floor.say("feeder", FAULT, at=240)
        floor.say("packer", RUNNING, at=241)
        if not away:
            floor.say("bagger", STARVED, at=242)
        floor.shop.say(None, START, at=300)
        if away:
            floor.say("bagger", STARVED, at=heard, ts=242)
        floor.go_on(heard + 1, 1_500, feeder=FAULT, packer=RUNNING, bagger=STARVED)
        return floor

    (unwatched, culprits_of_it, calls), (watched, culprits_seen, calls_seen) = both(story)
    assert unwatched == watched == [("unplanned", 101, 300), ("changeover", 300, None)]
    assert culprits_of_it[-1] == culprits_seen[-1] == "feeder"
    assert [machine for _, machine in calls] == [machine for _, machine in calls_seen] == ["feeder"]
    assert heard > 400 or calls == calls_seen, "it is due when it would have been"
