"""Disturbances of device clocks."""

import pytest

from tests.device_sim.disturbances.disturbed_rehearsals import of, run
from tests.device_sim.sample_plants import MINUTE


def test_a_skewed_clock_is_off_and_drifts() -> None:
    skew = {
        "kind": "clock-skew",
        "devices": ["Bagger-1"],
        "seconds": [600, 600],
        "direction": "behind",
        "drift_ppm": 1000,
    }
    rehearsal, _ = run(skew)
    offsets = [said.ts - said.at for said in rehearsal.truth.said if said.device == "Bagger-1" and said.ts is not None]
    assert offsets[0] == pytest.approx(-600_000, abs=10)
    assert offsets[-1] - offsets[0] == pytest.approx(2_400, abs=100), "2.4 s in 40 minutes"
    assert {said.ts == said.at for said in rehearsal.truth.said if said.device == "Andon-L1"} == {True}


def test_a_standing_clock_says_the_same_for_ever() -> None:
    _, arrivals = run({"kind": "clock-stands", "devices": ["Bagger-1"]})
    assert {body["ts"] for body in of(arrivals, "Bagger-1")} == {0}


def test_a_clock_that_ticks_in_seconds_has_no_more() -> None:
    _, arrivals = run({"kind": "clock-seconds", "devices": ["Bagger-1"]})
    assert {body["ts"] % 1_000 for body in of(arrivals, "Bagger-1")} == {0}
    assert len({body["ts"] % 1_000 for body in of(arrivals, "Case-Packer-1")}) > 1


def test_a_clock_begins_in_1970_until_it_is_set_and_again_after_a_power_cut() -> None:
    cut = {"kind": "power-cut", "devices": ["Bagger-1"], "first_minutes": 20, "seconds": [30, 30]}
    rehearsal, _ = run({"kind": "clock-1970", "devices": ["Bagger-1"], "unset_seconds": [60, 120]}, cut)
    years = [
        said.ts < 10 * MINUTE for said in rehearsal.truth.said if said.device == "Bagger-1" and said.ts is not None
    ]
    assert [is_1970 for is_1970, before in zip(years, [None, *years], strict=False) if is_1970 != before] == [
        *(True, False, True, False)
    ]
