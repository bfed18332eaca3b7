"""The simulator's truth as the loss ledger counts it."""

from device_sim.truth.truth import Fate, TrueReport, Truth
from tests.faults.simulator_truth import PLACES, PlayedTruth

DEVICE = next(iter(PLACES))


def said(number: int, *, sent: int) -> TrueReport:
    """Return a report of a device without numbers and clock: all have the same bytes."""
    fate: Fate = "published" if sent else "no power"
    return TrueReport(number, number, DEVICE, "state", {}, payload=b"{}", fate=fate, sent=sent)


def test_equal_reports_are_sent_each_and_a_resent_one_once() -> None:
    truth = Truth(1, "old-plc", 0, 1, traits={DEVICE: {"qos0": []}})
    truth.said = [said(0, sent=1), said(1, sent=3), said(2, sent=0)]
    truth.extras = [(0, "report/x", b"garbage", "not JSON")]
    report = PlayedTruth.report(truth.said[0])
    played = PlayedTruth(truth, frozenset({report}))
    assert played.acknowledged == [report, report]
    assert played.sent == [report, report, ("report/x", b"garbage")]
