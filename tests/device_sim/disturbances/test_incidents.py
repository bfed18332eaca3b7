"""Incidents: which devices they strike, when, and how often."""

from itertools import islice
from typing import Any

import pytest

from device_sim.disturbances.disturbance import build_targets
from tests.device_sim.disturbances.disturbed_rehearsals import L1, Disturbed, incidents, profile
from tests.device_sim.sample_plants import MINUTE, SHIPPED, START


def test_patterns_and_shares_choose_devices() -> None:
    everybody = build_targets(SHIPPED)
    chosen = profile({"kind": "no-ts", "devices": ["*-1", "Andon-L2"]}).traits(SHIPPED, seed=1)
    assert {name for name, traits in chosen.items() if not traits.ts} == {
        *("Basket-Loader-1", "Bagger-1", "Case-Packer-1", "Andon-L2")
    }
    affected = profile({"kind": "no-ts", "share": 0.5}).traits(SHIPPED, seed=1)
    assert 0 < sum(not traits.ts for traits in affected.values()) < len(everybody)


def test_adding_a_disturbance_changes_no_other_ones_luck() -> None:
    cut = {"kind": "power-cut", "mean_minutes_between": 30}
    alone = list(islice(profile(cut).incidents(SHIPPED, seed=1, start=START), 20))
    beside = profile(cut, {"kind": "bridge-cut", "mean_minutes_between": 5}).incidents(SHIPPED, seed=1, start=START)
    assert [incident for incident in islice(beside, 200) if type(incident) is type(alone[0])][:20] == alone


@pytest.mark.parametrize("kind", ["power-cut", "link-loss", "broker-cut", "bridge-cut", "bridge-link-loss"])
def test_incidents_are_in_order_and_one_at_a_time_for_each_that_has_them(kind: str) -> None:
    planned = incidents({"kind": kind, "mean_minutes_between": 2, "seconds": [10, 300]}, 300)
    assert [incident.at for incident in planned] == sorted(incident.at for incident in planned)
    last: dict[Any, int] = {}
    for incident in planned:
        whose = getattr(incident, "device", getattr(incident, "uplink", None))
        assert last.get(whose, 0) < incident.at
        assert 10_000 <= incident.until - incident.at <= 300_000
        last[whose] = incident.until


def test_by_the_clock_it_comes_first_and_then_again() -> None:
    planned = incidents({"kind": "bridge-cut", "first_minutes": 5, "every_minutes": 60, "seconds": [1, 2]}, 3)
    assert [round((incident.at - START) / MINUTE) for incident in planned] == [5, 65, 125]
    assert len(incidents({"kind": "bridge-cut", "first_minutes": 5, "seconds": [1, 2]}, 9)) == 1


@pytest.mark.parametrize("fields", [{}, {"mean_minutes_between": 1, "first_minutes": 1}])
def test_an_incident_has_an_interval_or_a_first_minute_not_both(fields: Disturbed) -> None:
    with pytest.raises(ValueError, match="either mean_minutes_between or first_minutes"):
        profile({"kind": "bridge-cut", **fields})


def test_together_strikes_a_line_at_once() -> None:
    planned = incidents({"kind": "power-cut", "devices": list(L1), "together": "line", "first_minutes": 9}, 9)
    assert {incident.device for incident in planned} == set(L1)  # type: ignore[attr-defined]
    assert len({(incident.at, incident.until) for incident in planned}) == 1
