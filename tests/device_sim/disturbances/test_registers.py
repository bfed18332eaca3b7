"""Disturbances of count registers."""

import pytest

from tests.device_sim.disturbances.disturbed_rehearsals import Disturbed, of, run


@pytest.mark.parametrize(("to", "kind"), [((0, 0), "reset"), ((500, 600), "preset")])
def test_registers_are_set_and_count_on(to: tuple[int, int], kind: str) -> None:
    reset = {"kind": "register-reset", "devices": ["Bagger-1"], "first_minutes": 20, "to": to}
    rehearsal, _ = run(reset)
    (record,) = [record for record in rehearsal.truth.registers if record.device == "Bagger-1"]
    assert record.what == kind
    assert to[0] <= record.shown["total"] <= to[1]
    for report in rehearsal.truth.said:
        if report.device == "Bagger-1" and report.kind == "counts" and report.at > record.at:
            assert report.made is not None
            assert report.body["total"] == record.shown["total"] + report.made["total"] - record.made["total"]


def test_registers_near_their_wrap_wrap() -> None:
    rehearsal, arrivals = run({"kind": "near-wrap", "devices": ["Press-3", "Bagger-1"], "pieces": 50}, lines="L1 L3")
    assert {record.device for record in rehearsal.truth.registers if record.what == "wrap"} >= {"Press-3", "Bagger-1"}
    totals = [body["total"] for body in of(arrivals, "Press-3", "counts")]
    assert max(totals) > 65_400
    assert totals[-1] < 1_000
    totals = [body["total"] for body in of(arrivals, "Bagger-1", "counts")]
    assert min(totals) < -(2**31) + 10_000


@pytest.mark.parametrize(
    ("disturbance", "kind"),
    [({"kind": "glitch", "ratio": 0.1}, "glitch"), ({"kind": "dip", "ratio": 0.1, "pieces": 3}, "dip")],
)
def test_single_readings_are_wrong_and_the_next_is_right(disturbance: Disturbed, kind: str) -> None:
    rehearsal, _ = run(disturbance)
    wrong = {(record.device, record.at): record for record in rehearsal.truth.registers if record.what == kind}
    assert len(wrong) > 10
    for report in rehearsal.truth.said:
        if report.kind != "counts" or report.device != "Bagger-1" or report.payload == b"":
            continue
        assert report.made is not None
        record = wrong.get((report.device, report.at))
        if record is None:
            assert report.body["total"] == report.made["total"]
        elif kind == "glitch":
            assert set(record.shown.values()) == {0}
        else:
            assert {record.real[name] - record.shown[name] for name in record.real} <= {1, 2, 3}
