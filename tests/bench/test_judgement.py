"""The judgement of rows: the processes beside the server, the server, what came, and percentiles of values."""

import pytest

from tests.bench.judgement import Judgement, judge, nearest_rank, percentiles


def test_a_row_is_invalid_if_what_measures_or_feeds_takes_most_of_a_core() -> None:
    assert judge({"front": 0.9, "reader": 0.8}, ["front"], waited=0.0) == Judgement()
    for part in ("reader", "publisher", "broker"):
        assert judge({"front": 0.9, part: 0.81}, ["front"], waited=0.0).words == "invalid"
    both = judge({"front": 0.9, "reader": 0.81, "broker": 0.9}, ["front"], waited=0.0)
    assert both.text == "invalid: reader and broker above 80% of a core"
    assert judge({}, ["front"], waited=0.0, delivered=1.001).invalid == "more was delivered than offered"


@pytest.mark.parametrize("full", ["pipeline", "front"])
def test_a_row_is_saturated_if_a_server_takes_a_core(full: str) -> None:
    cores = {"pipeline": 0.95, "front": 0.95}
    assert judge(cores, cores, waited=0.0).is_comparable
    assert judge({**cores, full: 0.96}, cores, waited=0.0).text == f"saturated: {full} above 95% of a core"


def test_a_row_is_saturated_if_less_than_98_percent_came_or_the_last_came_late() -> None:
    assert judge({}, [], waited=0.0, delivered=0.98, late_seconds=1.0).is_comparable
    assert judge({}, [], waited=0.0, delivered=0.979).words == "saturated"
    assert judge({}, [], waited=0.0, late_seconds=1.2).text == "saturated: the last event came 1.2 s late"


def test_a_row_says_that_its_server_waited_for_a_processor() -> None:
    assert not judge({}, [], waited=0.1).words
    waited = judge({}, [], waited=0.2, delivered=0.5)
    assert waited.words == "saturated, waited"
    assert waited.text == "saturated: 50.0% delivered, waited 20%"
    assert judge({}, [], waited=0.2).is_comparable


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(150, 0, -1)]
    assert [nearest_rank(values, percent) for percent in (1, 50, 99, 100)] == [2, 75, 149, 150]
    assert nearest_rank([7.0], 50) == 7.0
    assert percentiles("press", values) == {"press_p50_ms": 75, "press_p99_ms": 149}
    assert percentiles("press", values[:99]) == {"press_p50_ms": 101}
    assert percentiles("press", []) == {}
