"""Each disturbance does what its description says, and nothing else; all of them repeat themselves by seed."""

import json
from itertools import islice, pairwise
from typing import Any, Literal

import pytest

from device_sim.chance import Chance
from device_sim.device import Device
from device_sim.disturbance import targets
from device_sim.incident import Incident
from device_sim.messages import Message
from device_sim.profile import Profile
from device_sim.rehearsal import Arrival, BridgeAway, Rehearsal, rehearse
from device_sim.truth import Truth
from tests.sim.plants import MINUTE, SHIPPED, START

L1 = ("Basket-Loader-1", "Bagger-1", "Case-Packer-1", "Andon-L1")
Disturbed = dict[str, Any]


def profile(*disturbances: Disturbed, **more: Any) -> Profile:
    return Profile.model_validate({"disturbances": disturbances, **more})


def run(*disturbances: Disturbed, minutes: float = 60, mqtt: Any = "5", **more: Any) -> tuple[Rehearsal, list[Arrival]]:
    """Rehearse with these disturbances; return the rehearsal, with its truth, and what arrived."""
    rehearsal = rehearse(
        SHIPPED, profile(*disturbances, **more), seed=3, start=START, duration=round(minutes * MINUTE), mqtt=mqtt
    )
    return rehearsal, [each for each in rehearsal if isinstance(each, Arrival)]


def of(arrivals: list[Arrival], device: str, *kinds: str) -> list[Any]:
    """Return the decoded payloads of a device, of these kinds or of all."""
    found = []
    for each in arrivals:
        who, kind = each.topic.split("/")[-2:]
        if who == device and (not kinds or kind in kinds):
            found.append(json.loads(each.payload))
    return found


def incidents(disturbance: Disturbed, count: int) -> list[Incident]:
    return list(islice(profile(disturbance).incidents(SHIPPED, seed=1, start=START), count))


def test_patterns_and_shares_choose_devices() -> None:
    everybody = targets(SHIPPED)
    chosen = profile({"kind": "no-ts", "devices": ["*-1", "Andon-L2"]}).traits(SHIPPED, seed=1)
    assert {name for name, traits in chosen.items() if not traits.ts} == {
        *("Basket-Loader-1", "Bagger-1", "Case-Packer-1", "Andon-L2")
    }
    some = profile({"kind": "no-ts", "share": 0.5}).traits(SHIPPED, seed=1)
    assert 0 < sum(not traits.ts for traits in some.values()) < len(everybody)


def test_adding_a_disturbance_changes_no_other_ones_luck() -> None:
    cut = {"kind": "power-cut", "mean_minutes_between": 30}
    alone = list(islice(profile(cut).incidents(SHIPPED, seed=1, start=START), 20))
    beside = profile(cut, {"kind": "bridge-cut", "mean_minutes_between": 5}).incidents(SHIPPED, seed=1, start=START)
    assert [each for each in islice(beside, 200) if type(each) is type(alone[0])][:20] == alone


@pytest.mark.parametrize("kind", ["power-cut", "link-loss", "broker-cut", "bridge-cut", "bridge-link-loss"])
def test_incidents_are_in_order_and_one_at_a_time_for_each_that_has_them(kind: str) -> None:
    planned = incidents({"kind": kind, "mean_minutes_between": 2, "seconds": [10, 300]}, 300)
    assert [each.at for each in planned] == sorted(each.at for each in planned)
    last: dict[Any, int] = {}
    for each in planned:
        whose = getattr(each, "device", getattr(each, "uplink", None))
        assert last.get(whose, 0) < each.at
        assert 10_000 <= each.until - each.at <= 300_000
        last[whose] = each.until


def test_by_the_clock_it_comes_first_and_then_again() -> None:
    planned = incidents({"kind": "bridge-cut", "first_minutes": 5, "every_minutes": 60, "seconds": [1, 2]}, 3)
    assert [round((each.at - START) / MINUTE) for each in planned] == [5, 65, 125]
    assert len(incidents({"kind": "bridge-cut", "first_minutes": 5, "seconds": [1, 2]}, 9)) == 1


@pytest.mark.parametrize("fields", [{}, {"mean_minutes_between": 1, "first_minutes": 1}])
def test_when_it_comes_is_said_once(fields: Disturbed) -> None:
    with pytest.raises(ValueError, match="one of them"):
        profile({"kind": "bridge-cut", **fields})


def test_together_strikes_a_line_at_once() -> None:
    planned = incidents({"kind": "power-cut", "devices": list(L1), "together": "line", "first_minutes": 9}, 9)
    assert {each.device for each in planned} == set(L1)  # type: ignore[attr-defined]
    assert len({(each.at, each.until) for each in planned}) == 1


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
    assert [what for *_, what in rehearsal.truth.extras] == ["will"] * 15


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
    others = [body["seq"] for body in of(arrivals, "Packer-2")]
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


@pytest.mark.parametrize(("mqtt", "again"), [("5", False), ("3.1.1", True)])
def test_leftovers_come_at_the_first_subscription_and_with_3_1_1_at_each(mqtt: str, again: bool) -> None:  # noqa: FBT001
    left = {"kind": "leftovers", "devices": ["Bagger-1", "Maker-2", "Andon-L1"]}
    _, arrivals = run(left, {"kind": "bridge-link-loss", "first_minutes": 20, "seconds": [5, 5]}, mqtt=mqtt)
    old = [each for each in arrivals if each.retained]
    assert len([each for each in old if each.at < START + MINUTE]) == 4 + 4 + 2
    assert any(each.at > START + MINUTE for each in old) == again
    assert {"boot_id" in json.loads(each.payload) for each in old} == {False}
    _, arrivals = run(left | {"boot_id": True})
    assert {"boot_id" in json.loads(each.payload) for each in arrivals if each.retained} == {True}


def test_what_is_retained_comes_again_where_the_broker_lost_its_session() -> None:
    cut = {"kind": "broker-cut", "first_minutes": 20, "seconds": [30, 30], "session_lost_ratio": 1}
    rehearsal, arrivals = run({"kind": "retain-flag"}, cut)
    assert all(not each.retained for each in arrivals if each.at < START + 20 * MINUTE)
    assert any(each.retained for each in arrivals)
    assert [each.queued for each in rehearsal.truth.bridge] == [False]
    assert "session lost" in {said.fate for said in rehearsal.truth.said}


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
    assert offsets[-1] - offsets[0] == pytest.approx(3_600, abs=100), "3.6 s in an hour"
    assert {said.ts == said.at for said in rehearsal.truth.said if said.device == "Packer-2"} == {True}


def test_a_standing_clock_says_the_same_for_ever() -> None:
    _, arrivals = run({"kind": "clock-stands", "devices": ["Bagger-1"]})
    assert {body["ts"] for body in of(arrivals, "Bagger-1")} == {0}


def test_a_clock_that_ticks_in_seconds_has_no_more() -> None:
    _, arrivals = run({"kind": "clock-seconds", "devices": ["Bagger-1"]})
    assert {body["ts"] % 1_000 for body in of(arrivals, "Bagger-1")} == {0}
    assert len({body["ts"] % 1_000 for body in of(arrivals, "Packer-2")}) > 1


def test_a_clock_begins_in_1970_until_it_is_set_and_again_after_a_power_cut() -> None:
    cut = {"kind": "power-cut", "devices": ["Press-3"], "first_minutes": 20, "seconds": [30, 30]}
    rehearsal, _ = run({"kind": "clock-1970", "devices": ["Press-3"], "unset_seconds": [60, 120]}, cut)
    years = [said.ts < 10 * MINUTE for said in rehearsal.truth.said if said.device == "Press-3" and said.ts is not None]
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
    said = [each for each in rehearsal.truth.said if each.device == "Bagger-1"]
    assert [each.position for each in said] == list(range(len(said)))
    assert max(body["seq"] for body in of(arrivals, "Packer-2")) > 256


@pytest.mark.parametrize("bits", [8, 16])
def test_a_sequence_begins_anew_with_a_boot_and_wraps_at_its_width(bits: Literal[8, 16]) -> None:
    traits = profile({"kind": "short-seq", "devices": ["Packer-2"], "bits": bits}).traits(SHIPPED, seed=1)["Packer-2"]
    truth = Truth(1, "test", START, START)
    device = Device("Packer-2", traits, chance=Chance(1, "D"), registers=None, start=START, truth=truth)
    for boot in (1, 2):
        device.boot(START + boot)
        reports = [device.say(Message(START, "Packer-2", "state", "t", {}), START) for _ in range(2**bits + 2)]
        for said in reports:
            device.packet(said, "t")
        assert [said.seq for said in reports] == [*range(2**bits), 0, 1]


def test_boot_ids_repeat_after_a_power_cut() -> None:
    cut = {"kind": "power-cut", "devices": ["Press-3"], "first_minutes": 10, "every_minutes": 10, "seconds": [30, 30]}
    _, arrivals = run({"kind": "repeated-boot-id", "devices": ["Press-3"]}, cut)
    assert {body["boot_id"] for body in of(arrivals, "Press-3", "birth")} == {1}
    assert len(of(arrivals, "Press-3", "birth")) > 3


@pytest.mark.parametrize(("to", "what"), [((0, 0), "reset"), ((500, 600), "preset")])
def test_registers_are_set_and_count_on(to: tuple[int, int], what: str) -> None:
    reset = {"kind": "register-reset", "devices": ["Bagger-1"], "first_minutes": 20, "to": to}
    rehearsal, _ = run(reset)
    (record,) = [each for each in rehearsal.truth.registers if each.device == "Bagger-1"]
    assert record.what == what
    assert to[0] <= record.shown["total"] <= to[1]
    for said in rehearsal.truth.said:
        if said.device == "Bagger-1" and said.kind == "counts" and said.at > record.at:
            assert said.made is not None
            assert said.body["total"] == record.shown["total"] + said.made["total"] - record.made["total"]


def test_registers_near_their_wrap_wrap() -> None:
    rehearsal, arrivals = run({"kind": "near-wrap", "devices": ["Press-3", "Bagger-1"], "pieces": 50})
    assert {record.device for record in rehearsal.truth.registers if record.what == "wrap"} >= {"Press-3", "Bagger-1"}
    totals = [body["total"] for body in of(arrivals, "Press-3", "counts")]
    assert max(totals) > 65_400
    assert totals[-1] < 1_000
    totals = [body["total"] for body in of(arrivals, "Bagger-1", "counts")]
    assert min(totals) < -(2**31) + 10_000


@pytest.mark.parametrize(
    ("disturbance", "what"),
    [({"kind": "glitch", "ratio": 0.1}, "glitch"), ({"kind": "dip", "ratio": 0.1, "pieces": 3}, "dip")],
)
def test_single_readings_are_wrong_and_the_next_is_right(disturbance: Disturbed, what: str) -> None:
    rehearsal, _ = run(disturbance)
    wrong = {(record.device, record.at): record for record in rehearsal.truth.registers if record.what == what}
    assert len(wrong) > 10
    for said in rehearsal.truth.said:
        if said.kind != "counts" or said.device != "Bagger-1" or said.payload == b"":
            continue
        assert said.made is not None
        record = wrong.get((said.device, said.at))
        if record is None:
            assert said.body["total"] == said.made["total"]
        elif what == "glitch":
            assert set(record.shown.values()) == {0}
        else:
            assert {record.real[name] - record.shown[name] for name in record.real} <= {1, 2, 3}


def test_a_broker_cut_leaves_no_wills_and_keeps_the_queue() -> None:
    rehearsal, arrivals = run({"kind": "broker-cut", "first_minutes": 20, "seconds": [60, 60]})
    assert rehearsal.truth.extras == []
    (away,) = rehearsal.truth.bridge
    assert (away.reason, away.queued, away.broker) == ("link", True, True)
    assert not [each for each in arrivals if away.since < each.at < away.until]
    assert {said.fate for said in rehearsal.truth.actions} == {"arrived"}
    assert all(len(of(arrivals, device, "birth")) == 2 for device in L1)


def test_while_the_bridge_is_away_the_broker_keeps_reports_up_to_its_limit() -> None:
    cut = {"kind": "bridge-cut", "first_minutes": 20, "seconds": [600, 600]}
    rehearsal, arrivals = run(cut)
    (away,) = rehearsal.truth.bridge
    assert away.reason == "crash"
    assert {said.fate for said in rehearsal.truth.said} <= {"arrived", "superseded"}
    burst = [each for each in arrivals if away.until <= each.at < away.until + 3_000]
    assert len(burst) > 100
    rehearsal, _ = run(cut, queue_limit=50)
    assert sum(said.fate == "queue full" for said in rehearsal.truth.said) > 50


def test_what_was_delivered_and_not_acknowledged_comes_again_first_with_its_identifier() -> None:
    rehearsal, arrivals = run({"kind": "bridge-cut", "mean_minutes_between": 2, "seconds": [2, 5]}, minutes=120)
    again = [each for each in arrivals if each.redelivered]
    assert again
    known: dict[int, int] = {}
    heard = 0
    for each in arrivals:
        if each.redelivered and each.number in known:
            assert known[each.number or 0] == each.mid
            heard += 1
        if each.number is not None:
            known[each.number] = each.mid
    assert heard
    assert {said.fate for said in rehearsal.truth.actions} == {"arrived"}


def test_overlapping_absences_of_the_bridge_are_one() -> None:
    rehearsal = rehearse(
        SHIPPED,
        profile(
            {"kind": "bridge-link-loss", "first_minutes": 20, "seconds": [120, 120]},
            {"kind": "bridge-cut", "first_minutes": 21, "seconds": [120, 120]},
        ),
        seed=1,
        start=START,
        duration=60 * MINUTE,
    )
    (away,) = [each for each in rehearsal if isinstance(each, BridgeAway)]
    assert away.reason == "crash"
    assert 180_000 <= away.until - away.since <= 190_000


def test_a_broker_that_loses_its_power_forgets_the_wills_it_had_to_publish() -> None:
    loss = {"kind": "link-loss", "devices": ["Bagger-1"], "first_minutes": 20, "seconds": [60, 60]}
    cut = {"kind": "broker-cut", "first_minutes": 20.1, "seconds": [10, 10]}
    _, arrivals = run(loss | {"notice_seconds": [200, 200]}, cut)
    assert len(of(arrivals, "Bagger-1", "birth")) == 2
    assert of(arrivals, "Bagger-1", "death") == []


def test_a_press_that_waits_for_the_connection_is_lost_with_the_power() -> None:
    loss = {"kind": "link-loss", "devices": ["Andon-*"], "first_minutes": 20, "seconds": [900, 900]}
    cut = {"kind": "power-cut", "devices": ["Andon-*"], "first_minutes": 30, "seconds": [10, 10]}
    rehearsal, arrivals = run(loss, cut)
    waiting = [said for said in rehearsal.truth.actions if 21 * MINUTE < said.at - START < 30 * MINUTE]
    stations = [said for said in waiting if said.device.startswith("Andon-")]
    assert stations
    assert {said.fate for said in stations} == {"no power"}
    assert not {said.number for said in stations} & {each.number for each in arrivals}
