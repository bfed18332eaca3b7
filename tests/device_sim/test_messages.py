"""Reports are numbered as they are sent."""

import json

from device_sim.messages import ReportMessage, ReportNumbering

TOPIC = "report/s/a/l/D/counts"


def message(kind: str = "counts", number: int = 0) -> ReportMessage:
    return ReportMessage(1_000, "D", kind, TOPIC, {"number": number})


def test_a_stamp_counts_from_0_over_all_kinds() -> None:
    stamp = ReportNumbering(7)
    payloads = [json.loads(stamp.payload(message(kind))) for kind in ("birth", "state", "counts")]
    assert [(payload["boot_id"], payload["seq"]) for payload in payloads] == [(7, 0), (7, 1), (7, 2)]
    assert "ts" not in payloads[0]


def test_timestamps_are_the_simulated_milliseconds_where_asked_for() -> None:
    assert json.loads(ReportNumbering(7, timestamps=True).payload(message()))["ts"] == 1_000
