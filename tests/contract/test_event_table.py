"""The event table of domain.md: required and optional (`?`) data fields of each event type."""

import json
import re
from pathlib import Path
from typing import Final, NamedTuple

import pytest
from msgspec.structs import fields

from bridge.domain.envelope import encode_event
from bridge.domain.events import DATA_OF, Event, EventType, Priority
from bridge.domain.place import Place
from tests.contract.test_schemas import DATA

DOMAIN: Final = Path(__file__).parents[2] / "docs" / "domain.md"
HEADER: Final = "| type | where · subject | data |"
ASIDE: Final = re.compile(r"\([^()]*\)|\[[^][]*\]|\{[^{}]*\}")  # values and remarks, innermost first


class EventTableRow(NamedTuple):
    """Required and optional data fields of an event type."""

    always: frozenset[str]
    sometimes: frozenset[str]


def read_row(data: str) -> EventTableRow:
    """Read the fields of a row: `a, b?, c (remark), d [values], e_at/by?` has a, c, d, and perhaps b, e_at, e_by."""
    while (shorter := ASIDE.sub("", data)) != data:
        data = shorter
    always, sometimes = set[str](), set[str]()
    for field in data.split(","):
        first, *others = field.replace("?", "").split()[0].split("/")
        names = [first, *(f"{first.rpartition('_')[0]}_{other}" for other in others)]
        (sometimes if "?" in field else always).update(names)
    return EventTableRow(frozenset(always), frozenset(sometimes))


def read_table(text: str) -> list[tuple[str, EventTableRow]]:
    """Return each event type of the table in domain.md, in its order, with its fields."""
    lines = text.split(HEADER)[1].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return [(name, read_row(data)) for names, _, data in rows for name in names.split(", ")]


TABLE: Final = read_table(DOMAIN.read_text(encoding="utf-8"))


def test_the_table_has_each_event_type_once() -> None:
    assert [name for name, _ in TABLE] == [event_type.value for event_type in EventType]


def test_a_row_marks_the_optional_fields() -> None:
    row = read_row("a, b?, c (x, y?), d? [{e, f?}], raised_at/by, done_at/by?")
    assert row.always == {"a", "c", "raised_at", "raised_by"}
    assert row.sometimes == {"b", "d", "done_at", "done_by"}


@pytest.mark.parametrize("event_type", EventType)
def test_an_event_has_the_fields_of_the_table_and_no_others(event_type: EventType) -> None:
    always, sometimes = dict(TABLE)[event_type]
    shape = DATA_OF[event_type]
    assert set(shape.__struct_fields__) == always | sometimes
    assert {field.name for field in fields(shape) if field.required} == always


def test_the_quality_of_data_always_names_the_clock_and_whether_it_is_an_estimate() -> None:
    """protocol.md: `data_quality`: {clock, estimated, …}, also where there is nothing to doubt."""
    event = Event(
        type=EventType.JOB_ASSIGNED,
        place=Place("plant1", "packing", "L1"),
        subject="J1",
        priority=Priority.MEDIUM,
        revision=1,
        timestamp=1,
        data=DATA[EventType.JOB_ASSIGNED],
    )
    envelope = json.loads(encode_event(event, stream="main", epoch="e1", offset=1))
    assert envelope["data_quality"] == {"clock": "receive", "estimated": False}
