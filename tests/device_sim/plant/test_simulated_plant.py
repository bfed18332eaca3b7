"""The plant is repeatable, and behaves so that every event type has a cause within the demo's first minute."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_sim.plant.simulated_plant import SimulatedPlant
from tests.device_sim.plant.event_causes import first_causes
from tests.device_sim.sample_plants import MINUTE, SHIPPED, START, encoded, live

EVENT_TYPES = {
    "line_status_update", "production_update", "oee_update", "downtime_event", "andon_event", "escalation_update",
    "job_assigned", "job_started", "job_completed", "job_cancelled", "quality_alert", "changeover_started",
    "changeover_completed",
}  # fmt: skip


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert encoded(live(4, 12)) == encoded(live(4, 12))


def test_another_seed_gives_other_reports() -> None:
    assert encoded(live(4, 12)) != encoded(live(5, 12))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 90_000), min_size=1, max_size=12))
def test_how_it_is_stepped_makes_no_difference(steps: list[int]) -> None:
    plant = SimulatedPlant(SHIPPED, seed=2, start=START)
    stepped = [message for end in _sums(steps) for message in plant.step(START + end)]
    at_once = SimulatedPlant(SHIPPED, seed=2, start=START).step(START + sum(steps))
    assert stepped == at_once


def _sums(steps: list[int]) -> list[int]:
    return [sum(steps[: count + 1]) for count in range(len(steps))]


@pytest.mark.parametrize(
    "seed", [*range(1, 6), *(pytest.param(seed, marks=pytest.mark.proof) for seed in range(6, 21))]
)
def test_every_event_type_has_a_cause_within_45_simulated_minutes(seed: int) -> None:
    causes = first_causes(live(seed, 45))
    assert set(causes) == EVENT_TYPES


def test_the_default_seed_needs_a_third_of_the_demos_minute_at_scale_60() -> None:
    causes = first_causes(live(1, 45))
    assert max(causes.values()) - START <= 20 * MINUTE


def test_the_rate_of_messages_stays_sane() -> None:
    """At scale 60 a simulated minute is a real second; no burst of ten seconds passes 150 messages a second either."""
    messages = live(1, 45)
    assert 30 <= len(messages) / 45 <= 150
    bursts = Counter(message.at // (10 * MINUTE) for message in messages)
    assert max(bursts.values()) <= 10 * 150


def test_messages_come_in_order_of_time_and_name_their_device() -> None:
    messages = live(3, 20)
    assert [message.at for message in messages] == sorted(message.at for message in messages)
    for message in messages:
        root, site, _, _, device, kind = message.topic.split("/")
        assert (root, site, device, kind) == ("report", "plant1", message.device, message.kind)


def test_every_device_reports_and_has_a_birth_and_a_death() -> None:
    plant = SimulatedPlant(SHIPPED, seed=1, start=START)
    devices = {message.device for message in plant.step(START + 45 * MINUTE)}
    assert len(plant.devices) == 15
    assert devices == set(plant.devices)
    for device in plant.devices:
        first, *others = plant.birth_messages(device)
        assert first.kind == "birth"
        assert {message.kind for message in others} <= {"state", "counts", "andon"}
        assert plant.death_message(device).topic == first.topic.replace("/birth", "/death")


def test_the_signed_counter_of_the_basket_loader_wraps() -> None:
    totals = [
        message.body["total"]
        for message in live(1, 30)
        if (message.device, message.kind) == ("Basket-Loader-1", "counts")
    ]
    numbers = [total for total in totals if isinstance(total, int)]
    assert max(numbers) > 32_600
    assert min(numbers) < -32_600
    steps = [(after - before) % 65_536 for before, after in pairwise(numbers)]
    assert max(steps) < 100


def test_faults_and_information_of_the_bagger_are_bits_of_a_64_bit_word() -> None:
    words = {
        str(message.body["fault_bits"])
        for seed in range(1, 4)
        for message in live(seed, 45)
        if (message.device, message.kind) == ("Bagger-1", "state")
    }
    assert {len(word) for word in words} == {16}
    set_bits = {bit for word in words for bit in range(64) if int(word, 16) >> bit & 1}
    assert set_bits & {29, 43, 47, 48, 57, 58, 59}
    assert set_bits & {0, 3, 5, 8, 12, 33, 40}
