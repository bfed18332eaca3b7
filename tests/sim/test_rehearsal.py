"""A rehearsal repeats itself, is in order of time, and its truth accounts for every report and every piece."""

from collections import Counter

import pytest

from device_sim import profile
from device_sim.rehearsal import Arrival, BridgeAway, Rehearsal, rehearse
from tests.sim.plants import MINUTE, SHIPPED, START

HOUR = 60 * MINUTE


def rehearsal(name: str, *, seed: int = 1, hours: float = 1) -> Rehearsal:
    return rehearse(SHIPPED, profile.load(name), seed=seed, start=START, duration=round(hours * HOUR))


@pytest.mark.parametrize("name", profile.NAMES)
def test_the_same_seed_gives_the_same_happenings_and_the_same_truth(name: str) -> None:
    first, second = rehearsal(name), rehearsal(name)
    assert list(first) == list(second)
    assert list(first.truth.records()) == list(second.truth.records())


def test_another_seed_gives_others() -> None:
    assert list(rehearsal("wifi", seed=1)) != list(rehearsal("wifi", seed=2))


@pytest.mark.parametrize("name", profile.NAMES)
def test_happenings_come_in_order_and_nothing_arrives_while_the_bridge_is_away(name: str) -> None:
    now, back = START, START
    for happening in rehearsal(name, hours=3):
        match happening:
            case Arrival(at=at):
                assert at >= max(now, back)
                now = at
            case BridgeAway(since=since, until=until):
                assert since >= max(now, back)
                back = until


@pytest.mark.parametrize("name", profile.NAMES)
def test_every_arrival_is_accounted_for(name: str) -> None:
    run = rehearsal(name, hours=3)
    arrivals = [each for each in run if isinstance(each, Arrival)]
    came = Counter(each.number for each in arrivals if each.number is not None and not each.retained)
    for said in run.truth.said:
        assert came[said.number] == said.arrived
        assert (said.fate == "arrived") == (said.arrived > 0)
    extras = Counter((topic, payload) for _, topic, payload, _ in run.truth.extras)
    for each in arrivals:
        if each.number is not None:
            assert each.payload == run.truth.said[each.number].payload
        elif not each.topic.endswith(("/_/birth", "/_/death")):
            assert extras[each.topic, each.payload] > 0


def test_on_the_clean_profile_everything_arrives_once_and_registers_only_count() -> None:
    run = rehearsal("clean", hours=2)
    assert all(not each.retained and not each.redelivered for each in run if isinstance(each, Arrival))
    assert {said.fate for said in run.truth.said} <= {"arrived", "superseded", "on the way"}
    assert {said.arrived for said in run.truth.actions if said.fate == "arrived"} == {1}
    assert {each.what for each in run.truth.registers} <= {"wrap"}
    assert run.truth.bridge == []


def test_a_mean_of_hours_stays_a_matter_of_seconds() -> None:
    """Eight simulated hours are less than half a million happenings, so that tests can afford many."""
    assert len(list(rehearsal("chaos", hours=8))) < 100_000
