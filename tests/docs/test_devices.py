"""docs/devices.md is true: its examples are reports, and its tables have the fields, forms and limits in force."""

import inspect
import json
import re
import shlex
from pathlib import Path

import pytest

from bridge.cli.demo import demo
from bridge.contract import schemas
from bridge.domain.line.equipment.packml import STATES
from bridge.domain.report_fields import MULTILINE_FIELDS
from bridge.domain.reports import BODY_OF, COMMAND_KINDS, CommonFields, Disposition
from bridge.domain.strict_json import MAX_INTEGER, MIN_INTEGER
from bridge.ingest.native import decode
from bridge.settings.settings import Settings
from tests.contract.test_demo_plant import DEMO
from tests.docs.field_forms import documented, rows, stated

DOCUMENT = (Path(__file__).parents[2] / "docs" / "devices.md").read_text()
EXAMPLES = re.findall(r"^```\n(report/\S+)\n(\{.*\})\n```$", DOCUMENT, re.MULTILINE)
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
SCHEMAS = schemas.payload_schemas()
KINDS = [kind for kind in BODY_OF if kind != "quality"]  # accepted as a command only


@pytest.mark.parametrize(("topic", "payload"), EXAMPLES)
def test_every_example_is_a_report_of_the_demo_plant_without_unknown_fields(topic: str, payload: str) -> None:
    report = decode(topic, payload.encode(), received_at=0, cause="document", retained=False)
    assert not isinstance(report, Disposition), report
    assert report.unknown_fields == 0
    line = next(candidate for candidate in DEMO.lines if candidate.id == report.place.line)
    assert DEMO.place_of(line) == report.place.with_equipment(None)
    assert report.place.equipment is None or line.find_equipment(report.place.equipment) is not None


def test_the_report_by_hand_is_one_for_the_demos_broker() -> None:
    (command,) = re.findall(r"^mosquitto_pub (.*)$", DOCUMENT, re.MULTILINE)
    words = shlex.split(command)
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert options.keys() == {"-h", "-p", "-q", "-t", "-m"}
    assert (options["-q"], int(options["-p"])) == ("1", inspect.signature(demo).parameters["broker_port"].default)
    topic = options["-t"].removeprefix(f"{Settings.model_fields['root'].default}/")
    report = decode(topic, options["-m"].encode(), received_at=0, cause="document", retained=False)
    assert not isinstance(report, Disposition), report
    line = next(candidate for candidate in DEMO.lines if candidate.id == report.place.line)
    assert report.place.equipment is not None
    assert line.find_equipment(report.place.equipment) is not None


def test_every_kind_has_a_section_and_an_example() -> None:
    assert set(KINDS) <= set(SECTIONS)
    assert {topic.rpartition("/")[2] for topic, _ in EXAMPLES} == set(KINDS)
    assert "quality" in COMMAND_KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_section_names_exactly_the_fields_of_its_kind(kind: str) -> None:
    own = [name for name in BODY_OF[kind].__struct_fields__ if name not in CommonFields.__struct_fields__]
    documented = re.findall(r"^\| `(\w+)` \|", SECTIONS[kind], re.MULTILINE)
    assert sorted(documented) == sorted(own)


def test_the_common_fields_are_named() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", SECTIONS["Fields of every report"], re.MULTILINE)
    assert sorted(documented) == sorted(CommonFields.__struct_fields__)


COMMON = "Fields of every report"


@pytest.mark.parametrize("kind", KINDS)
def test_the_forms_and_limits_of_a_section_are_those_of_the_schema(kind: str) -> None:
    schema = SCHEMAS[f"report.{kind}"]
    fields = dict(schema["properties"])
    if "packml" in fields:
        fields |= {f"packml.{name}": field for name, field in schema["$defs"]["PackmlState"]["properties"].items()}
    table = [*rows(SECTIONS[COMMON]), *rows(SECTIONS.get(kind, ""))]
    assert {name: documented(form) for name, form, _ in table} == {name: stated(fields[name]) for name in fields}


@pytest.mark.parametrize("kind", KINDS)
def test_the_required_fields_of_a_section_are_those_of_the_schema(kind: str) -> None:
    schema = SCHEMAS[f"report.{kind}"]
    required = set(schema["required"])
    if "$defs" in schema:
        required |= {f"packml.{name}" for name in schema["$defs"]["PackmlState"]["required"]}
    table = list(rows(SECTIONS[kind]))
    assert {name for name, _, requirement in table if requirement == "required"} == required
    of_action = {requirement.split("`")[1] for _, _, requirement in table if requirement.startswith("required with")}
    condition = schema.get("if", {"properties": {"action": {"const": None}}})["properties"]["action"]["const"]
    assert of_action == {condition} - {None}
    needed = [rule["required"][0] for rule in schema.get("then", {"allOf": []})["allOf"]]
    assert [name for name, _, requirement in table if requirement.startswith("required with")] == needed


def test_the_ranges_that_hold_for_all_values_are_named() -> None:
    assert f"between {MIN_INTEGER} and {MAX_INTEGER}" in SECTIONS["Values"]
    assert set(re.findall(r"`(\w+)`", re.findall("only (.*) may have tabs", SECTIONS["Values"])[0])) == MULTILINE_FIELDS
    numbers = {dialect: (int(low), int(high)) for dialect, low, high in re.findall(r"`(\w+)` (\d+) to (\d+)", DOCUMENT)}
    assert numbers == {dialect: (min(states), max(states)) for dialect, states in STATES.items()}


def test_the_actions_on_a_call_are_those_that_need_no_type() -> None:
    listed = re.findall(r"only where `call_id` names a call that is there \((.*?)\)", SECTIONS["andon"])[0]
    for action in ("raise", "acknowledge", "arrive", "resolve", "cancel"):
        payload = json.dumps({"action": action, "call_id": "L1.call.1"}).encode()
        result = decode("report/s/a/l/e/andon", payload, received_at=0, cause="document", retained=False)
        assert isinstance(result, Disposition) == (f"`{action}`" not in listed), action
