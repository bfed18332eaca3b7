"""The choice of places that the probe tries: bounded, of each site, and in time all."""

import pytest

from bridge.domain.place import Place
from bridge.wiring.probe_places import MAX_KEPT, MAX_PLACES, ProbePlaces


def plant(**lines: int) -> list[Place]:
    """Return the places of sites with so many lines, of two machines each."""
    return [
        Place(site, "A1", f"{site}-L{line}", equipment)
        for site, count in lines.items()
        for line in range(count)
        for equipment in (None, "E1", "E2")
    ]


def test_a_plant_without_places_has_none() -> None:
    assert ProbePlaces([]).next() == []


@pytest.mark.parametrize("lines", [{"S1": 1}, {"S1": 1_000, "S2": 1}, {f"S{number}": 3 for number in range(8)}])
def test_each_site_is_tried_in_every_round_and_no_more_than_the_bound(lines: dict[str, int]) -> None:
    places = plant(**lines)
    choice = ProbePlaces(places)
    for _ in range(20):
        round_ = choice.next()
        assert len(round_) == len(set(round_)) <= MAX_PLACES
        assert {place.site for place in round_} == set(lines)
        assert set(round_) <= set(places)
        choice.keep(place for place in round_ if place.site == "S1")


@pytest.mark.parametrize("lines", [{"S1": 100}, {"S1": 40, "S2": 3}, {f"S{number}": 2 for number in range(40)}])
def test_in_time_every_place_is_tried(lines: dict[str, int]) -> None:
    places = plant(**lines)
    choice = ProbePlaces(places)
    tried = {place for _ in range(len(places)) for place in choice.next()}
    assert tried == set(places)


def test_each_start_has_an_order_of_its_own() -> None:
    places = plant(S1=1_000)
    assert ProbePlaces(places).next() != ProbePlaces(places).next()


def test_a_bounded_number_of_places_comes_again_and_leaves_room_for_others() -> None:
    choice = ProbePlaces(plant(S1=100))
    first = choice.next()
    choice.keep([Place("of", "no", "plant"), *first])
    second = choice.next()
    assert second[:MAX_KEPT] == first[:MAX_KEPT]
    assert len(second) == MAX_PLACES
    assert not set(second[MAX_KEPT:]) & set(first)
    choice.keep([])
    assert not set(choice.next()) & set(first)
