"""One contract: the JSON Schema of a payload and the decoder give the same verdict, but where a schema has no words."""

import json
import re
from functools import cache
from typing import Any, Final

import hypothesis
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.contract import schemas
from bridge.domain.reports import Disposition, Report
from bridge.domain.strict_json import MAX_BYTES, MAX_DEPTH
from bridge.ingest.native import decode
from tests.contract.generated_payloads import payloads, words_of
from tests.docs.test_devices import DOCUMENT, EXAMPLES, SECTIONS

SCHEMAS: Final = schemas.payload_schemas()
EXAMPLES_EACH: Final = 400  # 6,000 over all payloads, and see tests/conftest.py


@cache
def validator(name: str) -> Any:
    return jsonschema.Draft202012Validator(SCHEMAS[name])


@cache
def generated(name: str) -> st.SearchStrategy[str]:
    _, kind = name.split(".")
    return payloads(SCHEMAS[name], words_of(schema for key, schema in SCHEMAS.items() if key.endswith(f".{kind}")))


def is_valid(name: str, text: str | bytes) -> bool:
    return bool(validator(name).is_valid(json.loads(text)))


def decoded(name: str, text: str | bytes) -> Report | Disposition:
    channel, kind = name.split(".")
    payload = text if isinstance(text, bytes) else text.encode()
    return decode(f"{channel}/s/a/l/e/{kind}", payload, received_at=0, cause="contract", retained=False)


def is_decoded(name: str, text: str | bytes) -> bool:
    return isinstance(decoded(name, text), Report)


@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=EXAMPLES_EACH)
@given(data=st.data())
def test_schema_and_decoder_give_the_same_verdict(name: str, data: st.DataObject) -> None:
    text = data.draw(generated(name))
    assert is_valid(name, text) == is_decoded(name, text), decoded(name, text)


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_generated_payloads_lie_on_both_sides(name: str) -> None:
    outcomes: set[bool] = set()

    @settings(max_examples=40, database=None, phases=[hypothesis.Phase.generate], derandomize=True)
    @given(generated(name))
    def look(text: str) -> None:
        outcomes.add(is_decoded(name, text))

    look()
    assert outcomes == {True, False}


BY: Final = '"id": "c", "user": {"id": "u", "roles": []}'
CASES: Final[list[tuple[str, str, bool]]] = [
    ("report.counts", '{"total": 18230.0}', True),
    ("report.counts", '{"total": 1e3}', True),
    ("report.counts", '{"total": -0.0}', True),
    ("report.counts", '{"total": 18230.5}', False),
    ("report.counts", '{"total": true}', False),
    ("report.counts", '{"total": "12"}', False),
    ("report.counts", '{"total": ""}', False),
    ("report.counts", '{"total": -9223372036854775808, "good": 18446744073709551615}', True),
    ("report.counts", '{"total": 18446744073709551616}', False),
    ("report.counts", '{"total": 1e30}', False),
    ("report.counts", '{"total": null}', False),
    ("report.counts", '{"total": null, "good": 1}', True),
    ("report.counts", '{"total": 1, "modulus": 65536.0}', True),
    ("report.counts", '{"total": 1, "unheard_of": true}', True),
    ("report.birth", '{"boot_id": 5.0}', True),
    ("report.birth", '{"boot_id": 5.5}', False),
    ("report.birth", '{"boot_id": -1}', False),
    ("report.birth", '{"boot_id": true}', False),
    ("report.birth", '{"boot_id": ""}', True),
    ("report.birth", '{"ts": 1767600012.0}', True),
    ("report.birth", '{"ts": "yesterday"}', True),  # no report is lost for its time: it gets that of its receipt
    ("report.birth", '{"ts": 1000000000000000000000000000000}', True),
    ("report.birth", '{"historical": 1}', False),
    ("report.birth", '{"operator": null, "historical": null, "source_quality": null}', True),
    ("report.birth", '{"operator": ""}', True),
    ("report.birth", json.dumps({"operator": "\U0001f600" * 64}), True),  # characters are counted, not bytes
    ("report.birth", json.dumps({"operator": "\U0001f600" * 65}), False),
    ("report.birth", '{"operator": "Eve\\nINFO all well"}', False),
    ("report.birth", "[]", False),
    ("report.state", "{}", False),
    ("report.state", '{"state": "running", "planned_stop": null}', True),
    ("report.state", '{"state": "running", "planned_stop": 0}', False),
    ("report.state", '{"state": "Running  "}', True),
    ("report.state", '{"state": " running"}', True),
    ("report.state", '{"state": "dancing"}', False),
    ("report.state", '{"state": "running", "speed": 1e300}', True),
    ("report.state", '{"state": "running", "speed": "12"}', False),
    ("report.state", '{"state": "running", "product": "a/b"}', False),
    ("report.state", '{"state": "running", "product": "P1\\n"}', False),
    ("report.state", '{"state": "running", "product": ""}', True),
    ("report.state", '{"state": "running", "fault_bits": ""}', True),
    ("report.state", '{"state": "running", "fault_bits": "0x"}', False),
    ("report.state", '{"state": "running", "fault_bits": "00_FF"}', False),
    ("report.state", json.dumps({"state": "running", "fault_bits": "0x" + "f" * 64}), True),
    ("report.state", json.dumps({"state": "running", "fault_bits": "f" * 65}), False),
    ("report.state", '{"state": "running", "fault_bits": [0.0, 255]}', True),
    ("report.state", '{"state": "running", "fault_bits": [256]}', False),
    ("report.state", '{"state": "running", "fault_bits": [null]}', False),
    ("report.state", '{"state": "running", "fault_codes": [""]}', False),
    ("report.state", '{"state": null, "packml": {"dialect": "tmc", "state": "Execute", "mode": null}}', True),
    ("report.state", '{"packml": {"dialect": "tr88", "state": 6.0}}', True),
    ("report.state", '{"packml": {"dialect": "tr88", "state": 0}}', False),
    ("report.state", '{"packml": {"dialect": "tmc", "state": 0}}', True),
    ("report.state", '{"packml": {"dialect": "tmc", "state": null}}', False),
    ("report.state", '{"packml": {"dialect": "tmc", "state": ""}}', False),
    ("report.state", '{"state": "running", "packml": {"dialect": "tr88", "state": 6}}', False),
    ("report.state", '{"state": "", "packml": {"dialect": "tr88", "state": 6}}', True),
    ("report.measurement", '{"parameter": "ph", "value": 7, "unit": ""}', True),
    ("report.measurement", '{"parameter": "ph", "value": null, "unit": ""}', False),
    ("report.inspection", '{"inspected": 1e6, "defects": 0}', True),
    ("report.inspection", '{"inspected": 1000001, "defects": 0}', False),
    ("report.andon", '{"action": "raise", "andon_type": "stop"}', True),
    ("report.andon", '{"action": "raise", "andon_type": "stop", "input": null}', True),
    ("report.andon", '{"action": "raise", "input": true, "andon_type": "stop"}', False),
    ("report.andon", '{"action": "raise", "call_id": "L1.call.1"}', False),
    ("report.andon", '{"input": true, "call_id": "L1.call.1"}', False),
    ("report.andon", '{"action": "acknowledge"}', False),
    ("report.andon", '{"action": "acknowledge", "call_id": "L1.call.1", "andon_type": null}', True),
    ("report.andon", '{"action": "escalate", "call_id": "L1.call.1"}', False),
    ("report.andon", '{"action": "raise", "andon_type": "stop", "description": "torn\\nagain", "notes": ""}', True),
    ("command.andon", f'{{{BY}, "action": "escalate", "call_id": "L1.call.1"}}', True),
    ("command.andon", f'{{{BY}, "input": true, "andon_type": "stop"}}', False),
    ("command.andon", f'{{{BY}, "action": "raise", "andon_type": "stop", "input": null}}', True),
    ("command.quality", '{"id":"c","user":{"id":"u","roles":[],"name":""}, "action":"clear", "alert_id":"A"}', True),
    ("command.quality", '{"id": "c", "user": {"id": "u"}, "action": "clear", "alert_id": "A"}', False),
    ("command.quality", '{"id": null, "user": {"id": "u", "roles": []}, "action": "clear", "alert_id": "A"}', False),
    ("report.job", '{"action": "start", "job_id": "J1"}', True),
    ("report.job", '{"action": "assign", "job_id": "J1", "target_quantity": 5}', False),
    ("report.job", '{"action": "assign", "job_id": "J1", "product": "", "target_quantity": 5}', False),
    ("report.job", '{"action": "assign", "job_id": "J1", "product": "P1", "target_quantity": 5.0}', True),
    ("report.job", '{"action": "assign", "job_id": "J1", "product": "P1", "target_quantity": 9007199254740993}', False),
    ("report.changeover", '{"action": "start"}', False),
    ("report.changeover", '{"action": "complete"}', True),
    ("report.downtime", '{"action": "classify", "downtime_id": "D"}', False),
    ("report.downtime", '{"action": "confirm", "downtime_id": "D"}', True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "accepted"), CASES)
def test_each_rule_of_the_contract_in_schema_and_decoder(name: str, text: str, accepted: bool) -> None:  # noqa: FBT001 - a table's column
    assert (is_valid(name, text), is_decoded(name, text)) == (accepted, accepted), decoded(name, text)


@pytest.mark.parametrize(("topic", "payload"), EXAMPLES)
def test_every_example_of_the_document_is_accepted_by_both(topic: str, payload: str) -> None:
    name = f"report.{topic.rpartition('/')[2]}"
    assert is_valid(name, payload)
    assert is_decoded(name, payload)


RUNNING: Final = "s/a/l/e/state"
BEYOND_SCHEMAS: Final[dict[str, tuple[str, bytes]]] = {
    "empty": (f"report/{RUNNING}", b""),
    "too_large": (f"report/{RUNNING}", b'{"state":"running"}'.ljust(MAX_BYTES + 1)),
    "not_utf8": (f"report/{RUNNING}", b'{"state":"running","x":"\xff"}'),
    "not_json": (f"report/{RUNNING}", b'{"state":"running"} and more'),
    "too_deep": (f"report/{RUNNING}", b'{"state":"running","x":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}"),
    "duplicate_key": (f"report/{RUNNING}", b'{"state":"running","state":"stopped"}'),
    "not_finite": (f"report/{RUNNING}", b'{"state":"running","speed":NaN}'),
    "number_out_of_range": (f"report/{RUNNING}", b'{"state":"running","speed":1e400}'),
    "lone_surrogate": (f"report/{RUNNING}", b'{"state":"running","operator":"\\ud800"}'),
    "control_character": (f"report/{RUNNING}", b'{"state":"running","colour":"\\u0000"}'),
    "bad_topic": ("report/s/a/l", b'{"state":"running"}'),
    "unknown_kind": ("report/s/a/l/e/weather", b"{}"),
    "report_only": ("command/s/a/l/e/birth", b"{}"),
    "command_only": ("report/s/a/l/e/quality", b'{"action":"clear","alert_id":"A"}'),
    "identity_mismatch": (f"report/{RUNNING}", b'{"state":"running","line":"L9"}'),
}
"""Reasons that a payload's schema cannot give: they are of the text, or of the topic. For each, a message with it."""


@pytest.mark.parametrize("reason", BEYOND_SCHEMAS)
def test_a_payload_that_only_the_decoder_can_refuse_has_its_reason(reason: str) -> None:
    topic, payload = BEYOND_SCHEMAS[reason]
    refused = decode(topic, payload, received_at=0, cause="contract", retained=False)
    assert isinstance(refused, Disposition)
    assert refused.reason == reason


def test_the_document_lists_the_rules_that_a_schema_cannot_express() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", SECTIONS["What a schema cannot say"], re.MULTILINE)
    assert listed == list(BEYOND_SCHEMAS)
    assert f"at most {MAX_BYTES // 1024} KiB" in DOCUMENT


def test_digits_that_a_double_loses_are_the_decoders_only() -> None:
    """A schema is checked against doubles: 9007199254740993.5 looks to it like the integer next to it."""
    assert not is_decoded("report.counts", '{"total": 9007199254740993.5}')
    assert is_valid("report.counts", '{"total": 9007199254740993.5}')
    exact = decoded("report.counts", '{"total": 9007199254740993.0}')
    assert isinstance(exact, Report)
    assert getattr(exact.body, "total", None) == 2**53 + 1


def test_patterns_are_of_the_dialect_json_schema_names() -> None:
    assert r"\Z" not in json.dumps(SCHEMAS).replace("\\\\", "\\")
