"""Claims of a payload about its place and its operator."""

from typing import Any

import pytest

from bridge.domain.reports import (
    BODY_OF,
)
from bridge.ingest import native
from tests.ingest.native_payloads import MINIMAL, USER, decoded, reason, report, why


@pytest.mark.parametrize(
    ("field", "true_claim"),
    [
        ("site", "plant1"), ("site_id", "plant1"),
        ("area", "packing"), ("area_id", "packing"),
        ("line", "L1"), ("line_id", "L1"),
        ("equipment", "BAGGER-1"), ("equipment_id", "BAGGER-1"), ("equipment_code", "BAGGER-1"),
        ("device", "BAGGER-1"), ("device_id", "BAGGER-1"), ("station", "BAGGER-1"), ("station_id", "BAGGER-1"),
    ],
)  # fmt: skip
def test_a_payload_may_agree_with_its_topic_and_not_contradict_it(field: str, true_claim: str) -> None:
    assert report("state", {"state": "running", field: true_claim}).unknown_fields == 0
    assert report("state", {"state": "running", field: None}).unknown_fields == 0
    assert report("state", {"state": "running", field: ""}).unknown_fields == 0
    wrong: list[Any] = ["L2", true_claim.swapcase(), 0, 1, True, [true_claim], [], {}]
    for claim in wrong:
        assert why("state", {"state": "running", field: claim}) == "identity_mismatch"


def test_a_line_level_topic_accepts_no_equipment() -> None:
    payload = {"state": "running", "equipment_code": "BAGGER-1"}
    assert reason(decoded("report/plant1/packing/L1/_/state", payload)) == "identity_mismatch"


def test_no_claim_is_also_a_field_of_a_kind() -> None:
    fields = {field for body in BODY_OF.values() for field in body.__struct_fields__}
    assert not fields & native.IDENTITY_FIELDS.keys()


def test_an_operator_in_a_report_stays_a_claim() -> None:
    result = report("andon", {**MINIMAL["andon"], "operator": "anna", "user": USER, "id": "c1"})
    assert result.actor is None
    assert result.command_id is None
    assert result.body.operator == "anna"
