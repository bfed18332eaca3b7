"""A message becomes a report, or goes to quarantine under one of a bounded set of reasons; it never raises."""

import json
import re
from typing import Any

import pytest

from bridge.domain.line.equipment.packml import STATE_MEANING
from bridge.domain.line.equipment.status import STATUS_OF_WORD
from bridge.domain.place import Place
from bridge.domain.report_fields import STATE_WORDS
from bridge.domain.reports import (
    BODY_OF,
    AndonReport,
    CountsReport,
    DeathReport,
    MeasurementReport,
    Report,
    StateReport,
)
from bridge.ingest.native import decode
from tests.ingest.native_payloads import HERE, MINIMAL, decoded, reason, report, why


def test_every_kind_has_a_minimal_payload_here() -> None:
    assert MINIMAL.keys() == BODY_OF.keys()


@pytest.mark.parametrize("kind", [kind for kind in BODY_OF if kind != "quality"])
def test_each_kind_is_decoded_from_its_least_payload(kind: str) -> None:
    result = report(kind, MINIMAL[kind])
    assert type(result.body) is BODY_OF[kind]
    assert result == Report(
        place=Place("plant1", "packing", "L1", "BAGGER-1"), body=result.body, received_at=1_000, cause="input:7"
    )


def test_a_report_carries_every_field() -> None:
    result = report("counts", {"total": 65_530, "good": 65_000, "modulus": 65_536, "ts": 1.5e9, "boot_id": 3, "seq": 9})
    assert result.body == CountsReport(total=65_530, good=65_000, modulus=65_536, ts=1.5e9, boot_id=3, seq=9)


def test_a_retained_message_is_marked() -> None:
    result = decode(f"report/{HERE}/birth", b"{}", received_at=1, cause="input:1", retained=True)
    assert isinstance(result, Report)
    assert result.retained


def test_the_whole_line_is_a_place_without_equipment() -> None:
    result = decoded("report/plant1/packing/L1/_/job", MINIMAL["job"])
    assert isinstance(result, Report)
    assert result.place == Place("plant1", "packing", "L1")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "report",
        f"report/{HERE}",
        f"report/{HERE}/state/more",
        f"event/{HERE}/state",
        f"Report/{HERE}/state",
        f"/report/{HERE}/state",
        "report/plant1/packing/L1//state",
        "report/_/packing/L1/B/state",
        "report/plant1/packing/L1/../state",
        "report/plant1/pack ing/L1/B/state",
        "report/plant1/packing/L1/B+/state",
        "report/plant1/packing/L1/B\n/state",
        "report/plant1/packing/L1/\ud800/state",
        f"report/plant1/packing/L1/{'B' * 65}/state",
        "report/plant1/packing/L\uff11/B/state",  # a full-width digit
        "/".join(["report"] * 60_000),
    ],
)
def test_a_topic_of_another_shape_is_quarantined(topic: str) -> None:
    assert reason(decoded(topic, MINIMAL["state"])) == "bad_topic"


@pytest.mark.parametrize("kind", ["State", "states", "", "state ", "__class__", "event"])
def test_an_unknown_kind_is_quarantined(kind: str) -> None:
    assert why(kind, {}) == "unknown_kind"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", "empty"),
        (b" " * 65_537, "too_large"),
        (b'{"state":"\xff"}', "not_utf8"),
        (b"state=running", "not_json"),
        (b'{"speed":' * 200_000, "too_large"),
        (b'{"speed":' * 6_000, "too_deep"),
        (b'{"state":"running","state":"stopped"}', "duplicate_key"),
        (b'{"state":"running","speed":NaN}', "not_finite"),
        (b'{"state":"running","speed":Infinity}', "not_finite"),
        (b'{"state":"running","speed":1e400}', "number_out_of_range"),
        (b'{"state":"running","seq":18446744073709551616}', "wrong_type:seq"),  # a float: no integer of 64 bits
        (b'{"state":"running","seq":1.8446744073709552e19}', "wrong_type:seq"),
        (b'{"state":"running","boot_id":5.5}', "wrong_type:boot_id"),
        (b'{"state":"running","seq":' + b"9" * 5_000 + b"}", "number_out_of_range"),
        (b'{"state":"\\ud800"}', "lone_surrogate"),
        (b'{"state":"run\\u0000ning"}', "control_character"),
        (b'{"state":"running","anything":"\\u0000"}', "control_character"),
        (b'{"state":"running\\r\\nlevel=critical"}', "bad_format:state"),
        (b'{"state":"running","reason_code":"MECH\\r\\nlevel=critical"}', "control_character"),
        (b'{"state":"running","fault_codes":["E1\\t"]}', "control_character"),
        (b'{"state":"running","operator":"Eve\\nINFO all well"}', "control_character"),
        (b'{"state":"running","speed":"NaN"}', "wrong_type:speed"),
        (b'{"state":"running","speed":"12"}', "wrong_type:speed"),
        (b'{"state":"running","speed":true}', "wrong_type:speed"),
        (b'{"state":true}', "wrong_type:state"),
        (b'{"state":"dancing"}', "bad_format:state"),
        (b'{"state":" running\\u00a0"}', "bad_format:state"),
        (b'{"state":"running","seq":-1}', "out_of_range:seq"),
        (b'{"state":"running","product":"a/b"}', "bad_format:product"),
        (b'{"state":"running","product":"P1\\n"}', "bad_format:product"),
        (b'{"state":"running","historical":1}', "wrong_type:historical"),
        (b'{"state":"running","source_quality":"fine"}', "not_allowed:source_quality"),
        (b'{"state":"running","source_quality":", got ` - at `$.x"}', "not_allowed:source_quality"),
        (b'{"packml":{"dialect":"tr88"}}', "missing_field:packml.state"),
        (b'{"packml":{"dialect":"mine","state":1}}', "not_allowed:packml.dialect"),
        (b'{"packml":{"dialect":"tmc","state":1.5}}', "wrong_type:packml.state"),
        (b'{"packml":{"dialect":"tmc","state":null}}', "missing_field:packml.state"),
        (b'{"packml":{"dialect":"tmc","state":17}}', "out_of_range:packml.state"),
        (b'{"packml":{"dialect":"tr88","state":0}}', "out_of_range:packml.state"),
        (b'{"packml":{"dialect":"tr88","state":"dancing"}}', "bad_format:packml.state"),
        (b'{"state":"running","fault_bits":[1,256]}', "out_of_range:fault_bits"),
        (b'{"state":"running","fault_bits":"no hex"}', "bad_format:fault_bits"),
        (b'{"state":"running","fault_codes":["E1",5]}', "wrong_type:fault_codes"),
        (b"[]", "not_an_object"),
        (b'"running"', "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "needs_state_or_packml"),
        (b'{"state":"running","packml":{"dialect":"tr88","state":6}}', "needs_state_or_packml"),
    ],
)
def test_each_bad_payload_has_its_reason(payload: bytes, expected: str) -> None:
    assert why("state", payload) == expected


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        ("counts", {}, "needs_a_counter"),
        ("counts", {"modulus": 65_536}, "needs_a_counter"),
        ("counts", {"total": "12"}, "wrong_type:total"),
        ("counts", {"total": True}, "wrong_type:total"),
        ("counts", {"total": 1.5}, "wrong_type:total"),
        ("counts", {"good": 1, "modulus": 1}, "out_of_range:modulus"),
        ("measurement", {"parameter": "weight", "unit": "g"}, "missing_field:value"),
        ("measurement", {"parameter": "weight", "unit": "g", "value": None}, "missing_field:value"),
        ("measurement", {"parameter": "", "unit": "g", "value": 1}, "bad_format:parameter"),
        ("inspection", {"inspected": 10}, "missing_field:defects"),
        ("inspection", {"inspected": -1, "defects": 0}, "out_of_range:inspected"),
        ("andon", {"andon_type": "material"}, "needs_action_or_input"),
        ("andon", {"andon_type": "material", "action": "raise", "input": True}, "needs_action_or_input"),
        ("andon", {"action": "acknowledge"}, "missing_field:andon_type"),
        ("andon", {"input": True}, "missing_field:andon_type"),
        ("andon", {"action": "raise", "call_id": "L1.call.1"}, "missing_field:andon_type"),
        ("andon", {"action": "shout", "andon_type": "material"}, "not_allowed:action"),
        ("andon", {"action": "escalate", "andon_type": "material"}, "command_only:action"),
        ("andon", {**MINIMAL["andon"], "description": "x" * 501}, "out_of_range:description"),
        ("job", {"action": "start"}, "missing_field:job_id"),
        ("job", {"action": "assign", "job_id": "J1", "target_quantity": 0}, "out_of_range:target_quantity"),
        ("job", {"action": "assign", "job_id": "J1", "target_quantity": 5}, "missing_field:product"),
        ("job", {"action": "assign", "job_id": "J1", "product": "P1"}, "missing_field:target_quantity"),
        ("changeover", {"action": "start", "from_product": "P1"}, "missing_field:to_product"),
        ("downtime", {"action": "classify", "downtime_id": "L1.down.1"}, "missing_field:reason_code"),
        ("quality", MINIMAL["quality"], "command_only"),
    ],
)
def test_rules_of_a_kind_are_held(kind: str, payload: dict[str, Any], expected: str) -> None:
    assert why(kind, payload) == expected


def test_a_call_is_named_by_its_type_or_its_id() -> None:
    assert report("andon", {"action": "resolve", "call_id": "L1.call.1"}).body == AndonReport(
        action="resolve", call_id="L1.call.1"
    )
    assert report("andon", {"input": False, "andon_type": "stop"}).body == AndonReport(input=False, andon_type="stop")


def test_a_description_may_have_lines() -> None:
    body = report("andon", {**MINIMAL["andon"], "description": "film torn\nagain"}).body
    assert isinstance(body, AndonReport)
    assert body.description == "film torn\nagain"


@pytest.mark.parametrize("kind", [kind for kind in BODY_OF if kind != "quality"])
def test_a_field_that_is_null_is_absent(kind: str) -> None:
    least = report(kind, MINIMAL[kind])
    for name in (field for field in BODY_OF[kind].__struct_fields__ if field not in MINIMAL[kind]):
        assert report(kind, {**MINIMAL[kind], name: None}) == least, name
    for name in MINIMAL[kind]:
        without = {key: value for key, value in MINIMAL[kind].items() if key != name}
        assert decoded(f"report/{HERE}/{kind}", {**without, name: None}) == decoded(f"report/{HERE}/{kind}", without)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("state", ["ts", "boot_id", "source_quality", "operator", "packml", "fault_bits", "reason_code", "product"]),
        ("andon", ["priority", "call_id", "description", "notes", "resolution_code", "operator"]),
        ("job", ["product", "assigned_to", "reason"]),
        ("inspection", ["parameter"]),
    ],
)
def test_an_optional_text_that_is_empty_is_absent(kind: str, fields: list[str]) -> None:
    least = report(kind, MINIMAL[kind])
    for name in fields:
        if name == "packml":
            assert why(kind, {**MINIMAL[kind], name: ""}) == "wrong_type:packml"  # no text is expected there
        else:
            assert report(kind, {**MINIMAL[kind], name: ""}) == least, name


def test_a_measurement_may_have_an_empty_unit() -> None:
    body = report("measurement", {"parameter": "ph", "value": 7, "unit": ""}).body
    assert body == MeasurementReport(parameter="ph", value=7, unit="")


@pytest.mark.parametrize("spelled", ["18230", "18230.0", "1.823e4", "1823000e-2"])
def test_a_counter_is_its_number_however_it_is_spelled(spelled: str) -> None:
    result = report("counts", f'{{"total":{spelled},"boot_id":{spelled},"seq":{spelled}}}'.encode())
    assert result.body == CountsReport(total=18_230, boot_id=18_230, seq=18_230)
    assert isinstance(result.body.boot_id, int)


@pytest.mark.parametrize("state", ["RUNNING", "Running", "running   "])
def test_a_state_name_is_known_in_any_case_and_padded(state: str) -> None:
    assert report("state", {"state": state}).body == StateReport(state=state)


def test_the_state_names_and_packml_names_are_those_of_the_core() -> None:
    assert set(STATE_WORDS) == STATUS_OF_WORD.keys()
    for name in STATE_MEANING:
        assert isinstance(report("state", {"packml": {"dialect": "tmc", "state": name.upper()}}).body, StateReport)


@pytest.mark.parametrize("bits", ["00ff", "0xFF00000000000000", "0X" + "f" * 64, [0, 63]])
def test_fault_bits_come_as_hex_or_as_numbers(bits: object) -> None:
    assert report("state", {"state": "fault", "fault_bits": bits}).body == StateReport(state="fault", fault_bits=bits)  # type: ignore[arg-type]


def test_unknown_fields_are_ignored_and_counted() -> None:
    result = report("state", {"packml": {"dialect": "tr88", "state": 6, "rung": 1}, "colour": "red", "x": {"y": 1}})
    assert result.unknown_fields == 3
    assert report("state", {"state": "running", "line": "L1", "id": 1, "user": {}, "y": None}).unknown_fields == 2


def test_the_size_limit_can_be_set() -> None:
    payload = json.dumps(MINIMAL["state"]).encode()
    result = decode(f"report/{HERE}/state", payload, received_at=1, cause="", retained=False, max_bytes=8)
    assert reason(result) == "too_large"


def test_a_will_of_the_least_kind_is_a_death() -> None:
    assert report("death", b'{"boot_id":"a1"}').body == DeathReport(boot_id="a1")


def test_no_reason_repeats_what_the_sender_wrote() -> None:
    for payload in ({"state": "running", "source_quality": "SECRET"}, {"state": "running", "product": "SEC RET"}):
        assert re.fullmatch(r"[a-z_]+:[a-z_.]+", why("state", payload) or "")
