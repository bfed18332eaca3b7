"""A row says what an attack did: what is out of its bounds, and when it says nothing about the bridge."""

import math
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from tests.attack.attackers import Counts
from tests.attack.measurement import HEAD, AttackRow, Measurement, Phase, percentile_ms
from tests.attack.plant import QUICK, WHOLE
from tests.attack.probe import Visits
from tests.attack.shapes import all_shapes

MS = 1_000_000
BUDGET = 'ended_total{reason="x"}'
SHAPE = replace(all_shapes("some epoch")[0], budget=BUDGET)
COUNTS = Counts(open=4, opened=4, closed=0, refused=0, sent=2_000_000, received=9, cycles=30, cpu_seconds=0.1)
PHASE = Phase(
    latencies=Counter({10 * MS: 98, 20 * MS: 2}),
    expected=100,
    visits=Visits([0.01, 0.02], [0.05]),
    attackers=[COUNTS],
    cores={"bridge": 0.5, "broker": 0.1, "reader": 0.1},
    waited=0.0,
)
MEASUREMENT = Measurement(
    shape=SHAPE,
    baseline=PHASE,
    attack=PHASE,
    events_per_second=500.0,
    links_lost=0,
    dashboards_lost=0,
    has_ended=False,
    grown_bytes=1 << 20,
    descriptors=100,
    counters={BUDGET: 3},
)
ROW = AttackRow(measurement=MEASUREMENT, baselines=PHASE.latencies, bounds=WHOLE.bounds)


def row(*, budget: str = BUDGET, attack: Phase = PHASE, baseline: Phase = PHASE, **changes: object) -> AttackRow:
    shape = replace(SHAPE, budget=budget)
    measurement = replace(MEASUREMENT, shape=shape, attack=attack, baseline=baseline)
    return replace(ROW, measurement=replace(measurement, **changes))  # type: ignore[arg-type]


def test_a_row_within_its_bounds_has_passed() -> None:
    assert ROW.has_passed
    assert dict(zip(HEAD, ROW.cells(), strict=True)) == {
        "shape": "1. S: empty pings",
        "alarms, ms": "20",
        "times": "1.0",
        "came": "100 of 100",
        "links lost": "0",
        "readiness": "0.02 s",
        "newcomers": "1 of 1",
        "MiB more": "1",
        "descriptors": "100",
        "attackers": "2.0 MB, 30 cycles, 4 connections",
        "cores": "0.50",
        "budgets": 'ended_total{reason="x"} 3',
        "result": "passed",
    }


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (row(attack=replace(PHASE, latencies=Counter({10 * MS: 98, 31 * MS: 2}))), "alarms 1.6 times as late"),
        (row(attack=replace(PHASE, expected=101)), "1 alarms missing"),
        (row(attack=replace(PHASE, expected=98)), "2 alarms doubled"),
        (row(links_lost=4), "4 broker links lost"),
        (row(dashboards_lost=2), "2 dashboards lost"),
        (row(has_ended=True), "the bridge has ended"),
        (row(attack=replace(PHASE, visits=Visits([0.01, 1.0], [0.05]))), "readiness 1.00 s"),
        (row(attack=replace(PHASE, visits=Visits([math.inf], [0.05]))), "readiness none"),
        (row(attack=replace(PHASE, visits=Visits([0.01], [0.05, math.inf]))), "1 of 2 newcomers not served"),
        (row(grown_bytes=(128 << 20) + 1), "128 MiB more"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_out_of_its_bounds_fails(changed: AttackRow, fault: str) -> None:
    assert not changed.has_passed
    assert changed.result == f"failed: {fault}"
    assert replace(changed, again=True).result == f"failed: {fault} (again)"


def test_a_row_says_that_the_machine_was_busy() -> None:
    assert row(baseline=replace(PHASE, waited=0.2)).result == "passed (waited 20%)"


def test_alarms_that_never_came_are_late() -> None:
    changed = row(attack=replace(PHASE, latencies=Counter()))
    assert changed.result == "failed: alarms inf times as late, 100 alarms missing"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (row(events_per_second=449.0), "449 events a second"),
        (row(baseline=replace(PHASE, expected=101)), "alarms missing before the attack"),
        (row(attack=replace(PHASE, attackers=[replace(COUNTS, sent=0)])), "an attacker did nothing"),
        (row(attack=replace(PHASE, cores={"bridge": 1.0, "broker": 0.9})), "broker above 80% of a core"),
        (row(budget="delayed_total"), "delayed_total did not go up: the attack missed it"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_row_that_says_nothing_is_invalid(changed: AttackRow, reason: str) -> None:
    assert not changed.has_passed
    assert changed.result == f"invalid: {reason}"


def test_an_attack_that_sends_nothing_by_its_shape_is_no_idle_one() -> None:
    silent = replace(all_shapes("some epoch")[23], budget=BUDGET)
    idle = replace(COUNTS, sent=0, cycles=0)
    assert row(shape=silent, attack=replace(PHASE, attackers=[idle, idle])).result == "passed"
    stuck = replace(idle, opened=0)
    assert (
        row(shape=silent, attack=replace(PHASE, attackers=[stuck, idle])).result == "invalid: an attacker did nothing"
    )


def test_only_a_row_that_is_late_and_nothing_else_may_be_noise() -> None:
    late = replace(PHASE, latencies=Counter({40 * MS: 100}))
    assert row(attack=late).is_only_late
    assert not row(attack=late, links_lost=1).is_only_late
    assert not row(attack=late, events_per_second=1.0).is_only_late
    assert not ROW.is_only_late


def test_percentiles_are_the_nearest_rank() -> None:
    random = Random(1)
    for count in (1, 2, 99, 100, 101, 1_000):
        values = [random.randrange(50) * MS for _ in range(count)]
        for percent in (50, 95, 99):
            assert percentile_ms(Counter(values), percent) == sorted(values)[-(-count * percent // 100) - 1] / 1e6
    assert math.isinf(percentile_ms(Counter(), 99))


@pytest.mark.parametrize(
    ("changed", "is_fatal"),
    [
        (ROW, False),
        (row(links_lost=1), True),
        (row(events_per_second=449.0), False),
        (row(events_per_second=449.0, links_lost=1), False),
        (row(events_per_second=449.0, budget="delayed_total"), False),
        (row(budget="delayed_total"), True),
        (row(events_per_second=449.0, attack=replace(PHASE, attackers=[replace(COUNTS, sent=0)])), True),
    ],
)
def test_a_machine_that_is_too_slow_fails_the_whole_form_only(changed: AttackRow, *, is_fatal: bool) -> None:
    assert replace(changed, bounds=QUICK.bounds).has_failed is is_fatal
    assert changed.has_failed is not changed.has_passed
