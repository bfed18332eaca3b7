"""A rehearsal repeats itself, is in order of time, and its truth accounts for every report and every piece."""

from collections import Counter
from dataclasses import dataclass

import pytest

from device_sim import profile
from device_sim.rehearsal import BridgeOutage, ReceivedPublish, RehearsalStep, rehearse
from device_sim.truth.truth import Truth
from tests.device_sim.sample_plants import MINUTE, SHIPPED, START

HOUR = 60 * MINUTE
MOST_AN_HOUR = 12_500  # steps, so that tests can afford many hours


@dataclass(frozen=True, slots=True)
class PlayedRehearsal:
    """A rehearsal of an hour, played to its end."""

    name: str
    truth: Truth
    steps: tuple[RehearsalStep, ...]

    @property
    def arrivals(self) -> list[ReceivedPublish]:
        return [arrival for arrival in self.steps if isinstance(arrival, ReceivedPublish)]


def play(name: str, *, seed: int = 1, hours: float = 1) -> PlayedRehearsal:
    rehearsal = rehearse(SHIPPED, profile.load(name), seed=seed, start=START, duration=round(hours * HOUR))
    return PlayedRehearsal(name, rehearsal.truth, tuple(rehearsal))


@pytest.fixture(scope="module", params=profile.NAMES)
def played(request: pytest.FixtureRequest) -> PlayedRehearsal:
    return play(request.param)


@pytest.mark.parametrize("name", profile.NAMES)
def test_the_same_seed_gives_the_same_steps_and_the_same_truth(name: str) -> None:
    once, again = play(name, hours=0.25), play(name, hours=0.25)
    assert again.steps == once.steps
    assert list(again.truth.records()) == list(once.truth.records())


def test_another_seed_gives_others() -> None:
    assert play("wifi", seed=1, hours=0.2).steps != play("wifi", seed=2, hours=0.2).steps


def test_steps_come_in_order_and_nothing_arrives_while_the_bridge_is_away(played: PlayedRehearsal) -> None:
    now, back = START, START
    for step in played.steps:
        match step:
            case ReceivedPublish(at=at):
                assert at >= max(now, back)
                now = at
            case BridgeOutage(since=since, until=until):
                assert since >= max(now, back)
                back = until


def test_every_arrival_is_accounted_for(played: PlayedRehearsal) -> None:
    reports = played.truth.reports
    copies = Counter(
        arrival.number for arrival in played.arrivals if arrival.number is not None and not arrival.retained
    )
    for report in reports:
        assert copies[report.number] == report.arrived
        assert (report.fate == "arrived") == (report.arrived > 0)
    extras = Counter((topic, payload) for _, topic, payload, _ in played.truth.extras)
    for arrival in played.arrivals:
        if arrival.number is not None:
            assert arrival.payload == reports[arrival.number].payload
        elif not arrival.topic.endswith(("/_/birth", "/_/death")):
            assert extras[arrival.topic, arrival.payload] > 0


@pytest.mark.parametrize("played", ["clean"], indirect=True)
def test_on_the_clean_profile_everything_arrives_once_and_registers_only_count(played: PlayedRehearsal) -> None:
    truth = played.truth
    assert all(not arrival.retained and not arrival.redelivered for arrival in played.arrivals)
    assert {report.fate for report in truth.reports} <= {"arrived", "superseded", "on the way"}
    assert {report.arrived for report in truth.actions if report.fate == "arrived"} == {1}
    assert {record.what for record in truth.registers} <= {"wrap"}
    assert truth.bridge == []


def test_an_hour_stays_a_matter_of_a_second(played: PlayedRehearsal) -> None:
    assert len(played.steps) < MOST_AN_HOUR
