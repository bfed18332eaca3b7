"""docs/devices.md is true: each of its examples is a report, and it names every field and every word."""

import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from bridge.core.event_data import AndonType
from bridge.core.reports import BODY_OF, COMMAND_KINDS, Common, Disposition
from bridge.ingest.native import decode
from tests.contract.test_demo_plant import DEMO

DOCUMENT = (Path(__file__).parents[2] / "docs" / "devices.md").read_text()
EXAMPLES = re.findall(r"^```\n(report/\S+)\n(\{.*\})\n```$", DOCUMENT, re.MULTILINE)
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
KINDS = [kind for kind in BODY_OF if kind != "quality"]  # accepted as a command only


@pytest.mark.parametrize(("topic", "payload"), EXAMPLES)
def test_every_example_is_a_report_of_the_demo_plant_without_unknown_fields(topic: str, payload: str) -> None:
    report = decode(topic, payload.encode(), received_at=0, cause="document", retained=False)
    assert not isinstance(report, Disposition), report
    assert report.unknown_fields == 0
    line = next(each for each in DEMO.lines if each.id == report.place.line)
    assert DEMO.place_of(line) == report.place.whole_line()
    assert report.place.equipment is None or line.find(report.place.equipment) is not None


def test_every_kind_has_a_section_and_an_example() -> None:
    assert set(KINDS) <= set(SECTIONS)
    assert {topic.rpartition("/")[2] for topic, _ in EXAMPLES} == set(KINDS)
    assert "quality" in COMMAND_KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_section_names_exactly_the_fields_of_its_kind(kind: str) -> None:
    own = [name for name in BODY_OF[kind].__struct_fields__ if name not in Common.__struct_fields__]
    documented = re.findall(r"^\| `(\w+)` \|", SECTIONS[kind], re.MULTILINE)
    assert sorted(documented) == sorted(own)


def test_the_common_fields_are_named() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", SECTIONS["Fields of every report"], re.MULTILINE)
    assert sorted(documented) == sorted(Common.__struct_fields__)


@pytest.mark.parametrize("kind", ["andon", "job", "changeover", "downtime"])
def test_the_actions_of_a_kind_are_the_words_its_table_lists(kind: str) -> None:
    row = next(line for line in SECTIONS[kind].splitlines() if line.startswith("| `action` |"))
    listed = set(re.findall(r"`(\w+)`", row.split("|")[2]))
    schema: Any = msgspec.json.schema(BODY_OF[kind])
    known = set(
        re.findall(r"'enum': \[([^\]]*)\]", str(schema["$defs"][BODY_OF[kind].__name__]["properties"]["action"]))
    )
    words = {word for group in known for word in re.findall(r"'(\w+)'", group)}
    assert listed == words - {"escalate"}  # a user's deed, not a station's


def test_the_types_of_call_are_all_listed() -> None:
    row = next(line for line in SECTIONS["andon"].splitlines() if line.startswith("| `andon_type` |"))
    assert set(re.findall(r"`(\w+)`", row.split("|")[2])) == set(get_args(AndonType))
