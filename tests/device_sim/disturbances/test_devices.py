"""Disturbances of devices and of their links: each does what its description says, and nothing else."""

import json
from itertools import pairwise
from typing import Literal

import pytest

from device_sim.devices.device import SimulatedDevice
from device_sim.reports import ReportMessage
from device_sim.seeded_random import SeededRandom
from device_sim.truth.truth import Truth
from tests.device_sim.disturbances.disturbed_rehearsals import L1, Disturbed, of, profile, run
from tests.device_sim.sample_plants import MINUTE, SHIPPED, START


def test_a_power_cut_stands_the_machine_begins_a_boot_and_may_lose_the_counters() -> None:
    cut = {"kind": "power-cut", "devices": ["Bagger-1"], "first_minutes": 20, "seconds": [120, 120]}
    rehearsal, arrivals = run(cut | {"counters_lost_ratio": 1})
    truth = rehearsal.truth
    (off,) = [each for each in truth.stretches if each.condition == "off"]
    assert (off.device, off.until and off.until - off.since) == ("Bagger-1", 120_000)
    assert len({body["boot_id"] for body in of(arrivals, "Bagger-1", "birth")}) == 2
    (lost,) = [each for each in truth.registers if each.device == "Bagger-1"]
    assert (lost.what, lost.shown["total"]) == ("power", 0)
    assert lost.real["total"] == lost.made["total"] > 0
    totals = [body["total"] for body in of(arrivals, "Bagger-1", "counts")]
    assert [after < before for before, after in pairwise(totals)].count(True) == 1
    assert [what for *_, what in truth.extras] == ["will"]

    kept, arrivals = run(cut)
    assert "power" not in {each.what for each in kept.truth.registers}
    totals = [body["total"] for body in of(arrivals, "Bagger-1", "counts")]
    assert totals == sorted(totals)


def test_an_orderly_shutdown_says_goodbye_and_leaves_no_will() -> None:
    cut = {"kind": "power-cut", "devices": ["Bagger-1"], "first_minutes": 20, "seconds": [120, 120], "orderly": True}
    rehearsal, arrivals = run(cut)
    assert len(of(arrivals, "Bagger-1", "death")) == 1
    assert rehearsal.truth.extras == []


def test_a_lost_link_keeps_presses_supersedes_states_and_the_machine_runs_on() -> None:
    rehearsal, arrivals = run({"kind": "link-loss", "first_minutes": 20, "seconds": [600, 600], "together": "plant"})
    fates = {said.fate for said in rehearsal.truth.said}
    assert fates == {"arrived", "superseded"}
    assert {said.fate for said in rehearsal.truth.actions} == {"arrived"}
    gap = [said for said in rehearsal.truth.actions if 21 * MINUTE < said.at - START < 29 * MINUTE]
    assert gap
    numbers = {said.number for said in gap}
    assert all(each.at > START + 30 * MINUTE for each in arrivals if each.number in numbers)
    made = rehearsal.truth.made["Bagger-1"]
    assert any(21 * MINUTE < at - START < 29 * MINUTE for at in made.at)
    assert [what for *_, what in rehearsal.truth.extras] == ["will"] * len(L1)


def test_store_and_forward_keeps_everything_with_its_time() -> None:
    loss = {"kind": "link-loss", "devices": ["Bagger-1"], "first_minutes": 20, "seconds": [600, 600]}
    rehearsal, arrivals = run(loss, {"kind": "store-and-forward"})
    assert {said.fate for said in rehearsal.truth.said} == {"arrived"}
    late = [
        each for each in arrivals if each.number is not None and each.at - rehearsal.truth.said[each.number].at > MINUTE
    ]
    assert len(late) > 10
    assert max(each.at for each in late) - min(each.at for each in late) < 5_000, "a burst"
    for each in late:
        said = rehearsal.truth.said[each.number or 0]
        assert json.loads(each.payload)["ts"] == said.at


def test_a_gateway_keeps_numbers_and_order_and_speaks_for_its_line() -> None:
    rehearsal, arrivals = run({"kind": "gateway", "lines": ["L1"], "first_minutes": 20, "seconds": [600, 600]})
    assert {said.fate for said in rehearsal.truth.said} <= {"arrived", "superseded"}
    assert [each.topic.split("/")[-1] for each in arrivals if "/L1/_/" in each.topic] == ["birth", "death", "birth"]
    for device in L1:
        bodies = of(arrivals, device)
        assert len({body["boot_id"] for body in bodies}) == 1
        numbers = [body["seq"] for body in bodies]
        assert list(dict.fromkeys(numbers)) == list(range(len(set(numbers))))
    assert not of(arrivals, "Bagger-1", "death")


def test_a_resent_report_is_the_same_bytes_and_only_of_devices_with_an_identity() -> None:
    rehearsal, arrivals = run(
        {"kind": "resend", "ratio": 0.2},
        {"kind": "no-boot-id", "devices": ["Bagger-1"]},
        {"kind": "no-ts", "devices": ["Bagger-1"]},
    )
    twice = [said for said in rehearsal.truth.said if said.arrived > 1]
    assert 0.1 < len(twice) / len(rehearsal.truth.said) < 0.3
    assert "Bagger-1" not in {said.device for said in twice}
    for said in twice[:20]:
        assert len({each.payload for each in arrivals if each.number == said.number}) == 1
    assert not any(each.redelivered for each in arrivals), "the broker takes it for another message"


def test_reordered_reports_are_overtaken() -> None:
    _, arrivals = run({"kind": "reorder", "ratio": 0.1, "devices": ["Bagger-1"]})
    numbers = [body["seq"] for body in of(arrivals, "Bagger-1")]
    assert numbers != sorted(numbers)
    assert sorted(numbers) == list(range(len(numbers)))
    others = [body["seq"] for body in of(arrivals, "Case-Packer-1")]
    assert others == sorted(others)


def test_jitter_is_late_in_order() -> None:
    rehearsal, arrivals = run({"kind": "jitter", "milliseconds": [100, 900]})
    delays = [each.at - rehearsal.truth.said[each.number].at for each in arrivals if each.number is not None]
    assert min(delays) >= 100
    numbers = [body["seq"] for body in of(arrivals, "Bagger-1")]
    assert numbers == sorted(numbers)


def test_qos_0_is_lost_with_the_connection_and_has_no_packet_identifier() -> None:
    rehearsal, arrivals = run(
        {"kind": "qos-0"}, {"kind": "link-loss", "mean_minutes_between": 2, "seconds": [2, 5]}, minutes=120
    )
    lost = [said for said in rehearsal.truth.said if said.fate == "qos 0"]
    assert {said.kind for said in lost} <= {"state", "counts", "measurement", "inspection"}
    assert len(lost) > 5
    assert {each.mid == 0 for each in arrivals if each.topic.endswith("/counts")} == {True}
    assert {each.mid == 0 for each in arrivals if each.topic.endswith("/andon")} == {False}


def test_a_late_will_comes_after_the_next_birth() -> None:
    late = {"kind": "late-will", "ratio": 1, "seconds": [30, 60]}
    _, arrivals = run(late, {"kind": "link-loss", "devices": ["Bagger-1"], "first_minutes": 20, "seconds": [2, 2]})
    births = [each.at for each in arrivals if each.topic.endswith("/Bagger-1/birth")]
    (death,) = [each for each in arrivals if each.topic.endswith("/Bagger-1/death")]
    assert death.at > births[1]
    assert json.loads(death.payload)["boot_id"] == of(arrivals, "Bagger-1", "birth")[0]["boot_id"]


def test_a_foreign_will_has_an_older_boot_id() -> None:
    _, arrivals = run({"kind": "foreign-will", "devices": ["Bagger-1"], "mean_minutes_between": 5})
    deaths = of(arrivals, "Bagger-1", "death")
    assert deaths
    assert all(body["boot_id"] < START for body in deaths)


def test_malformed_payloads_are_extras_and_take_no_number() -> None:
    rehearsal, arrivals = run({"kind": "malformed", "devices": ["Bagger-1"], "mean_minutes_between": 2})
    garbage = [each for each in arrivals if each.number is None]
    assert len(garbage) > 10
    assert {what for *_, what in rehearsal.truth.extras} == {"malformed"}
    seqs = [said.seq for said in rehearsal.truth.said if said.device == "Bagger-1"]
    assert seqs == list(range(len(seqs)))


def test_long_repairs_take_long_and_may_be_done_with_the_power_off() -> None:
    rehearsal, _ = run({"kind": "long-repairs", "ratio": 1, "minutes": [30, 40], "lock_out_ratio": 1}, minutes=180)
    off = [each for each in rehearsal.truth.stretches if each.condition == "off"]
    assert off
    assert all(each.faults for each in off)
    assert max((each.until or 0) - each.since for each in off) > 20 * MINUTE


def test_busy_people_leave_calls_alone() -> None:
    def answered(*disturbances: Disturbed) -> int:
        rehearsal, _ = run(*disturbances, minutes=120)
        return sum(said.body.get("action") == "acknowledge" for said in rehearsal.truth.actions)

    assert answered({"kind": "busy-people", "forget_ratio": 1, "forget_minutes": [30, 40]}) < answered()


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
    said = [each for each in rehearsal.truth.said if each.device == "Bagger-1"]
    assert [each.position for each in said] == list(range(len(said)))
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
        for said in reports:
            device.build_packet(said, "t")
        assert [said.seq for said in reports] == [*range(2**bits), 0, 1]


def test_boot_ids_repeat_after_a_power_cut() -> None:
    cut = {"kind": "power-cut", "devices": ["Bagger-1"], "first_minutes": 10, "every_minutes": 10, "seconds": [30, 30]}
    _, arrivals = run({"kind": "repeated-boot-id", "devices": ["Bagger-1"]}, cut)
    assert {body["boot_id"] for body in of(arrivals, "Bagger-1", "birth")} == {1}
    assert len(of(arrivals, "Bagger-1", "birth")) > 3


def test_a_press_that_waits_for_the_connection_is_lost_with_the_power() -> None:
    loss = {"kind": "link-loss", "devices": ["Andon-*"], "first_minutes": 20, "seconds": [900, 900]}
    cut = {"kind": "power-cut", "devices": ["Andon-*"], "first_minutes": 30, "seconds": [10, 10]}
    rehearsal, arrivals = run(loss, cut)
    waiting = [said for said in rehearsal.truth.actions if 21 * MINUTE < said.at - START < 30 * MINUTE]
    stations = [said for said in waiting if said.device.startswith("Andon-")]
    assert stations
    assert {said.fate for said in stations} == {"no power"}
    assert not {said.number for said in stations} & {each.number for each in arrivals}
