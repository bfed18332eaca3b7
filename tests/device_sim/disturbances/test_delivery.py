"""Disturbed delivery: reports stored, repeated, reordered, late, and lost with QoS 0."""

import json

from tests.device_sim.disturbances.disturbed_rehearsals import of, run
from tests.device_sim.sample_plants import MINUTE


def test_store_and_forward_keeps_everything_with_its_time() -> None:
    loss = {"kind": "link-loss", "devices": ["Bagger-1"], "first_minutes": 20, "seconds": [600, 600]}
    rehearsal, arrivals = run(loss, {"kind": "store-and-forward"})
    assert {report.fate for report in rehearsal.truth.said} == {"arrived"}
    late = [
        arrival
        for arrival in arrivals
        if arrival.number is not None and arrival.at - rehearsal.truth.said[arrival.number].at > MINUTE
    ]
    assert len(late) > 10
    assert max(arrival.at for arrival in late) - min(arrival.at for arrival in late) < 5_000, "a burst"
    for arrival in late:
        report = rehearsal.truth.said[arrival.number or 0]
        assert json.loads(arrival.payload)["ts"] == report.at


def test_a_resent_report_is_the_same_bytes_and_only_of_devices_with_an_identity() -> None:
    rehearsal, arrivals = run(
        {"kind": "resend", "ratio": 0.2},
        {"kind": "no-boot-id", "devices": ["Bagger-1"]},
        {"kind": "no-ts", "devices": ["Bagger-1"]},
    )
    twice = [report for report in rehearsal.truth.said if report.arrived > 1]
    assert 0.1 < len(twice) / len(rehearsal.truth.said) < 0.3
    assert "Bagger-1" not in {report.device for report in twice}
    for report in twice[:20]:
        assert len({arrival.payload for arrival in arrivals if arrival.number == report.number}) == 1
    assert not any(arrival.redelivered for arrival in arrivals), "the broker takes it for another message"


def test_reordered_reports_are_overtaken() -> None:
    _, arrivals = run({"kind": "reorder", "ratio": 0.1, "devices": ["Bagger-1"]})
    numbers = [body["seq"] for body in of(arrivals, "Bagger-1")]
    assert numbers != sorted(numbers)
    assert sorted(numbers) == list(range(len(numbers)))
    others = [body["seq"] for body in of(arrivals, "Case-Packer-1")]
    assert others == sorted(others)


def test_jitter_is_late_in_order() -> None:
    rehearsal, arrivals = run({"kind": "jitter", "milliseconds": [100, 900]})
    delays = [
        arrival.at - rehearsal.truth.said[arrival.number].at for arrival in arrivals if arrival.number is not None
    ]
    assert min(delays) >= 100
    numbers = [body["seq"] for body in of(arrivals, "Bagger-1")]
    assert numbers == sorted(numbers)


def test_qos_0_is_lost_with_the_connection_and_has_no_packet_identifier() -> None:
    rehearsal, arrivals = run(
        {"kind": "qos-0"}, {"kind": "link-loss", "mean_minutes_between": 2, "seconds": [2, 5]}, minutes=120
    )
    lost = [report for report in rehearsal.truth.said if report.fate == "qos 0"]
    assert {report.kind for report in lost} <= {"state", "counts", "measurement", "inspection"}
    assert len(lost) > 5
    assert {arrival.packet_id == 0 for arrival in arrivals if arrival.topic.endswith("/counts")} == {True}
    assert {arrival.packet_id == 0 for arrival in arrivals if arrival.topic.endswith("/andon")} == {False}
