"""Disturbances of the broker and of the bridge, and the messages that the broker keeps meanwhile."""

import json

import pytest

from tests.device_sim.disturbances.disturbed_rehearsals import L1, of, run
from tests.device_sim.sample_plants import MINUTE, START


@pytest.mark.parametrize(("mqtt", "again"), [("5", False), ("3.1.1", True)])
def test_leftovers_arrive_at_the_first_subscription_or_with_mqtt_3_1_1_at_each(mqtt: str, again: bool) -> None:  # noqa: FBT001
    left = {"kind": "leftovers", "devices": ["Bagger-1", "Case-Packer-1", "Andon-L1"]}
    _, arrivals = run(left, {"kind": "bridge-link-loss", "first_minutes": 20, "seconds": [5, 5]}, mqtt=mqtt)
    old = [arrival for arrival in arrivals if arrival.retained]
    assert len([arrival for arrival in old if arrival.at < START + MINUTE]) == 4 + 4 + 2
    assert any(arrival.at > START + MINUTE for arrival in old) == again
    assert {"boot_id" in json.loads(arrival.payload) for arrival in old} == {False}
    _, arrivals = run(left | {"boot_id": True})
    assert {"boot_id" in json.loads(arrival.payload) for arrival in arrivals if arrival.retained} == {True}


def test_a_lost_session_delivers_retained_messages_again() -> None:
    cut = {"kind": "broker-cut", "first_minutes": 20, "seconds": [30, 30], "session_lost_ratio": 1}
    rehearsal, arrivals = run({"kind": "retain-flag"}, cut, lines="L1 L2 L3 L4", minutes=25)
    assert all(not arrival.retained for arrival in arrivals if arrival.at < START + 20 * MINUTE)
    assert any(arrival.retained for arrival in arrivals)
    assert [outage.queued for outage in rehearsal.truth.bridge] == [False]
    assert "session lost" in {report.fate for report in rehearsal.truth.said}


def test_a_broker_cut_leaves_no_wills_and_keeps_the_queue() -> None:
    rehearsal, arrivals = run({"kind": "broker-cut", "first_minutes": 20, "seconds": [60, 60]})
    assert rehearsal.truth.extras == []
    (away,) = rehearsal.truth.bridge
    assert (away.reason, away.queued, away.broker) == ("link", True, True)
    assert not [arrival for arrival in arrivals if away.since < arrival.at < away.until]
    assert {report.fate for report in rehearsal.truth.actions} == {"arrived"}
    assert all(len(of(arrivals, device, "birth")) == 2 for device in L1)


def test_the_broker_queues_up_to_its_limit_while_the_bridge_is_offline() -> None:
    cut = {"kind": "bridge-cut", "first_minutes": 20, "seconds": [600, 600]}
    rehearsal, arrivals = run(cut)
    (away,) = rehearsal.truth.bridge
    assert away.reason == "crash"
    assert {report.fate for report in rehearsal.truth.said} <= {"arrived", "superseded"}
    burst = [arrival for arrival in arrivals if away.until <= arrival.at < away.until + 3_000]
    assert len(burst) > 100
    rehearsal, _ = run(cut, queue_limit=50)
    assert sum(report.fate == "queue full" for report in rehearsal.truth.said) > 50


def test_unacknowledged_messages_are_redelivered_first_with_their_identifiers() -> None:
    rehearsal, arrivals = run({"kind": "bridge-cut", "mean_minutes_between": 2, "seconds": [2, 5]}, minutes=120)
    again = [arrival for arrival in arrivals if arrival.redelivered]
    assert again
    identifiers: dict[int, int] = {}
    repeated = 0
    for arrival in arrivals:
        if arrival.redelivered and arrival.number in identifiers:
            assert identifiers[arrival.number or 0] == arrival.packet_id
            repeated += 1
        if arrival.number is not None:
            identifiers[arrival.number] = arrival.packet_id
    assert repeated
    assert {report.fate for report in rehearsal.truth.actions} == {"arrived"}


def test_overlapping_absences_of_the_bridge_are_one() -> None:
    rehearsal, _ = run(
        {"kind": "bridge-link-loss", "first_minutes": 20, "seconds": [120, 120]},
        {"kind": "bridge-cut", "first_minutes": 21, "seconds": [120, 120]},
    )
    (away,) = rehearsal.truth.bridge
    assert away.reason == "crash"
    assert 180_000 <= away.until - away.since <= 190_000


def test_a_power_cut_of_the_broker_loses_pending_wills() -> None:
    loss = {"kind": "link-loss", "devices": ["Bagger-1"], "first_minutes": 20, "seconds": [60, 60]}
    cut = {"kind": "broker-cut", "first_minutes": 20.1, "seconds": [10, 10]}
    _, arrivals = run(loss | {"notice_seconds": [200, 200]}, cut)
    assert len(of(arrivals, "Bagger-1", "birth")) == 2
    assert of(arrivals, "Bagger-1", "death") == []
