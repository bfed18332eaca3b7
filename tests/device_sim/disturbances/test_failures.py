"""Power cuts, lost connections and gateways: what is kept, lost and published meanwhile."""

from itertools import pairwise

from tests.device_sim.disturbances.disturbed_rehearsals import L1, of, run
from tests.device_sim.sample_plants import MINUTE, START


def test_a_power_cut_stands_the_machine_begins_a_boot_and_may_lose_the_counters() -> None:
    cut = {"kind": "power-cut", "devices": ["Bagger-1"], "first_minutes": 20, "seconds": [120, 120]}
    rehearsal, arrivals = run(cut | {"counters_lost_ratio": 1})
    truth = rehearsal.truth
    (off,) = [stretch for stretch in truth.stretches if stretch.condition == "off"]
    assert (off.device, off.until and off.until - off.since) == ("Bagger-1", 120_000)
    assert len({body["boot_id"] for body in of(arrivals, "Bagger-1", "birth")}) == 2
    (lost,) = [record for record in truth.registers if record.device == "Bagger-1"]
    assert (lost.what, lost.shown["total"]) == ("power", 0)
    assert lost.real["total"] == lost.made["total"] > 0
    totals = [body["total"] for body in of(arrivals, "Bagger-1", "counts")]
    assert [after < before for before, after in pairwise(totals)].count(True) == 1
    assert [kind for *_, kind in truth.extras] == ["will"]

    cut_power, arrivals = run(cut)
    assert "power" not in {record.what for record in cut_power.truth.registers}
    totals = [body["total"] for body in of(arrivals, "Bagger-1", "counts")]
    assert totals == sorted(totals)


def test_an_orderly_shutdown_publishes_deaths_and_leaves_no_will() -> None:
    cut = {"kind": "power-cut", "devices": ["Bagger-1"], "first_minutes": 20, "seconds": [120, 120], "orderly": True}
    rehearsal, arrivals = run(cut)
    assert len(of(arrivals, "Bagger-1", "death")) == 1
    assert rehearsal.truth.extras == []


def test_a_lost_link_keeps_presses_supersedes_states_and_the_machine_runs_on() -> None:
    rehearsal, arrivals = run({"kind": "link-loss", "first_minutes": 20, "seconds": [600, 600], "together": "plant"})
    fates = {report.fate for report in rehearsal.truth.said}
    assert fates == {"arrived", "superseded"}
    assert {report.fate for report in rehearsal.truth.actions} == {"arrived"}
    gap = [report for report in rehearsal.truth.actions if 21 * MINUTE < report.at - START < 29 * MINUTE]
    assert gap
    numbers = {report.number for report in gap}
    assert all(arrival.at > START + 30 * MINUTE for arrival in arrivals if arrival.number in numbers)
    made = rehearsal.truth.made["Bagger-1"]
    assert any(21 * MINUTE < at - START < 29 * MINUTE for at in made.at)
    assert [kind for *_, kind in rehearsal.truth.extras] == ["will"] * len(L1)


def test_a_gateway_keeps_numbers_and_order_and_reports_for_its_line() -> None:
    rehearsal, arrivals = run({"kind": "gateway", "lines": ["L1"], "first_minutes": 20, "seconds": [600, 600]})
    assert {report.fate for report in rehearsal.truth.said} <= {"arrived", "superseded"}
    assert [arrival.topic.split("/")[-1] for arrival in arrivals if "/L1/_/" in arrival.topic] == [
        "birth",
        "death",
        "birth",
    ]
    for device in L1:
        bodies = of(arrivals, device)
        assert len({body["boot_id"] for body in bodies}) == 1
        numbers = [body["seq"] for body in bodies]
        assert list(dict.fromkeys(numbers)) == list(range(len(set(numbers))))
    assert not of(arrivals, "Bagger-1", "death")


def test_a_press_that_waits_for_the_connection_is_lost_with_the_power() -> None:
    loss = {"kind": "link-loss", "devices": ["Andon-*"], "first_minutes": 20, "seconds": [900, 900]}
    cut = {"kind": "power-cut", "devices": ["Andon-*"], "first_minutes": 30, "seconds": [10, 10]}
    rehearsal, arrivals = run(loss, cut)
    waiting = [report for report in rehearsal.truth.actions if 21 * MINUTE < report.at - START < 30 * MINUTE]
    stations = [report for report in waiting if report.device.startswith("Andon-")]
    assert stations
    assert {report.fate for report in stations} == {"no power"}
    assert not {report.number for report in stations} & {arrival.number for arrival in arrivals}


def test_a_gateway_that_is_offline_keeps_the_death_of_a_device_that_is_switched_off() -> None:
    loss = {"kind": "gateway", "lines": ["L1"], "first_minutes": 20, "seconds": [600, 600]}
    cut = {"kind": "power-cut", "devices": ["Bagger-1"], "first_minutes": 22, "seconds": [60, 60], "orderly": True}
    rehearsal, arrivals = run(loss, cut)
    assert len(of(arrivals, "Bagger-1", "death")) == 1
    assert "death by gateway" not in {kind for *_, kind in rehearsal.truth.extras}
