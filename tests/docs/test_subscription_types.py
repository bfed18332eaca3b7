"""The tables of subscription types in the documents: what they say a target becomes, it becomes."""

import re
from pathlib import Path

import pytest

from bridge.domain.access.subscription_types import SubscriptionType, target_filter
from tests.support.command_line import ROOT

DESIGN, README = ROOT / "docs" / "design.md", ROOT / "README.md"
EXAMPLES = {"site": "S", "area": "A", "line": "L", "equipment": "E", "job": "J", "escalation": "X", "priority": "P"}

Row = tuple[SubscriptionType, str, str]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def read_rows(document: Path) -> set[Row]:
    """Return (type, target, filter) of the document's table, in which a filter stands for each target of a row."""
    (table,) = re.findall(
        r"^\| `?subscription_type`? \|.*\n\|[ |-]+\n((?:\|.*\n)+)", document.read_text(), re.MULTILINE
    )
    rows, types = set[Row](), set[str]()
    for line in table.splitlines():
        first, second, third = line.strip("| ").split(" | ")
        if first == "all others":
            types = {kind.value for kind in SubscriptionType} - types
        elif first != "the same":
            types = set(code(first))
        targets = code(second)
        filters = code(third)[: len(targets)]
        for each in types:
            kind = next(kind for kind in SubscriptionType if kind.value == each)
            for target, text in zip(targets, filters, strict=True):
                rows.add((kind, target, text.replace("TYPE", each)))
    return rows


@pytest.mark.parametrize("document", [DESIGN, README], ids=lambda path: path.name)
def test_every_target_in_a_document_becomes_the_filter_beside_it(document: Path) -> None:
    rows = read_rows(document)
    assert {kind for kind, _, _ in rows} == set(SubscriptionType)
    for kind, target, text in rows:
        is_priority = kind is SubscriptionType.ESCALATION
        one, other = (re.sub(r"\bP\b", "high", each) if is_priority else each for each in (target, text))
        assert str(target_filter(kind, one)) == other, (kind, target)


def test_the_design_lists_every_form_of_a_target_and_its_filter() -> None:
    assert read_rows(DESIGN) == {
        (kind, form.target.format(**EXAMPLES), form.filter.format(type=kind.value, **EXAMPLES))
        for kind in SubscriptionType
        for form in kind.forms
    }
