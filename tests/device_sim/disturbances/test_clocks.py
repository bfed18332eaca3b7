"""Disturbances of device clocks, `boot_id` and `seq`."""

from typing import Literal

import pytest

from device_sim.devices.device import SimulatedDevice
from device_sim.reports import ReportMessage
from device_sim.seeded_random import SeededRandom
from device_sim.truth.truth import Truth
from tests.device_sim.disturbances.disturbed_rehearsals import of, profile, run
from tests.device_sim.sample_plants import MINUTE, SHIPPED, START


def test_a_skewed_clock_is_off_and_drifts() -> None:
    skew = {
        "kind": "clock-skew",
        "devices": ["Bagger-1"],
        "seconds": [600, 600],
        "direction": "behind",
        "drift_ppm": 1000,
    }
    rehearsal, _ = run(skew)
    offsets = [
        report.ts - report.at
        for report in rehearsal.truth.said
        if report.device == "Bagger-1" and report.ts is not None
    ]
    assert offsets[0] == pytest.approx(-600_000, abs=10)
    assert offsets[-1] - offsets[0] == pytest.approx(2_400, abs=100), "2.4 s in 40 minutes"
    assert {report.ts == report.at for report in rehearsal.truth.said if report.device == "Andon-L1"} == {True}


def test_a_stopped_clock_repeats_one_timestamp() -> None:
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
        report.ts < 10 * MINUTE
        for report in rehearsal.truth.said
        if report.device == "Bagger-1" and report.ts is not None
    ]
    assert [is_1970 for is_1970, before in zip(years, [None, *years], strict=False) if is_1970 != before] == [
        *(True, False, True, False)
    ]


def test_without_boot_id_there_is_no_seq_unless_asked_for() -> None:
    _, arrivals = run({"kind": "no-boot-id", "devices": ["Bagger-1"]}, {"kind": "no-ts", "devices": ["Bagger-1"]})
    assert all(not {"boot_id", "seq", "ts"} & body.keys() for body in of(arrivals, "Bagger-1"))
    _, arrivals = run({"kind": "no-boot-id", "devices": ["Bagger-1"], "seq": True})
    assert all("seq" in body and "boot_id" not in body for body in of(arrivals, "Bagger-1"))


def test_a_short_sequence_wraps_within_a_boot_and_the_truth_knows_how_often() -> None:
    rehearsal, arrivals = run({"kind": "short-seq", "devices": ["Bagger-1"], "bits": 8}, minutes=100)
    numbers = [body["seq"] for body in of(arrivals, "Bagger-1")]
    assert len({body["boot_id"] for body in of(arrivals, "Bagger-1")}) == 1
    assert len(numbers) > 2 * 256
    assert numbers == [number % 256 for number in range(len(numbers))]
    reports = [report for report in rehearsal.truth.said if report.device == "Bagger-1"]
    assert [report.position for report in reports] == list(range(len(reports)))
    assert max(body["seq"] for body in of(arrivals, "Basket-Loader-1")) > 256


@pytest.mark.parametrize("bits", [8, 16])
def test_a_sequence_begins_anew_with_a_boot_and_wraps_at_its_width(bits: Literal[8, 16]) -> None:
    traits = profile({"kind": "short-seq", "devices": ["Packer-2"], "bits": bits}).traits(SHIPPED, seed=1)["Packer-2"]
    truth = Truth(1, "test", START, START)
    device = SimulatedDevice("Packer-2", traits, rng=SeededRandom(1, "D"), registers=None, start=START, truth=truth)
    for boot in (1, 2):
        device.boot(START + boot)
        reports = [
            device.record_report(ReportMessage(START, "Packer-2", "state", "t", {}), START) for _ in range(2**bits + 2)
        ]
        for report in reports:
            device.build_packet(report, "t")
        assert [report.seq for report in reports] == [*range(2**bits), 0, 1]


def test_boot_ids_repeat_after_a_power_cut() -> None:
    cut = {"kind": "power-cut", "devices": ["Bagger-1"], "first_minutes": 10, "every_minutes": 10, "seconds": [30, 30]}
    _, arrivals = run({"kind": "repeated-boot-id", "devices": ["Bagger-1"]}, cut)
    assert {body["boot_id"] for body in of(arrivals, "Bagger-1", "birth")} == {1}
    assert len(of(arrivals, "Bagger-1", "birth")) > 3
