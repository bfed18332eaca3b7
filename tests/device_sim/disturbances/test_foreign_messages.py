"""Messages that are no reports of a device's connection: Wills and malformed payloads."""

import json

from tests.device_sim.disturbances.disturbed_rehearsals import of, run
from tests.device_sim.sample_plants import START


def test_a_late_will_comes_after_the_next_birth() -> None:
    late = {"kind": "late-will", "ratio": 1, "seconds": [30, 60]}
    _, arrivals = run(late, {"kind": "link-loss", "devices": ["Bagger-1"], "first_minutes": 20, "seconds": [2, 2]})
    births = [arrival.at for arrival in arrivals if arrival.topic.endswith("/Bagger-1/birth")]
    (death,) = [arrival for arrival in arrivals if arrival.topic.endswith("/Bagger-1/death")]
    assert death.at > births[1]
    assert json.loads(death.payload)["boot_id"] == of(arrivals, "Bagger-1", "birth")[0]["boot_id"]


def test_a_foreign_will_has_an_older_boot_id() -> None:
    _, arrivals = run({"kind": "foreign-will", "devices": ["Bagger-1"], "mean_minutes_between": 5})
    deaths = of(arrivals, "Bagger-1", "death")
    assert deaths
    assert all(body["boot_id"] < START for body in deaths)


def test_malformed_payloads_are_extras_and_take_no_number() -> None:
    rehearsal, arrivals = run({"kind": "malformed", "devices": ["Bagger-1"], "mean_minutes_between": 2})
    garbage = [arrival for arrival in arrivals if arrival.number is None]
    assert len(garbage) > 10
    assert {kind for *_, kind in rehearsal.truth.extras} == {"malformed"}
    seqs = [report.seq for report in rehearsal.truth.said if report.device == "Bagger-1"]
    assert seqs == list(range(len(seqs)))
