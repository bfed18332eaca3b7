"""The table of subscription types in docs/design.md: every target in it becomes the filter beside it."""

import re

from bridge.domain.access.subscription_types import SubscriptionType, target_filter
from tests.support.command_line import ROOT

DOCUMENT = (ROOT / "docs" / "design.md").read_text()
EXAMPLES = {"site": "S", "area": "A", "line": "L", "equipment": "E", "job": "J", "escalation": "X", "priority": "P"}

TableRow = tuple[SubscriptionType, str, str]


def code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def read_rows() -> set[TableRow]:
    """Return (type, target, filter) of the document's table, in which a filter stands for each target of a row."""
    (table,) = re.findall(r"^\| subscription_type \|.*\n\|[ |-]+\n((?:\|.*\n)+)", DOCUMENT, re.MULTILINE)
    rows, types = set[TableRow](), set[str]()
    for line in table.splitlines():
        first, second, third = line.strip("| ").split(" | ")
        if first != "the same":
            types = set(code(first))
        targets = code(second)
        filters = code(third)[: len(targets)]
        for subscription_type in types:
            kind = next(kind for kind in SubscriptionType if kind.value == subscription_type)
            for target, text in zip(targets, filters, strict=True):
                rows.add((kind, target, text.replace("TYPE", subscription_type)))
    return rows


def test_every_target_becomes_the_filter_beside_it() -> None:
    for kind, target, text in read_rows():
        is_priority = kind is SubscriptionType.ESCALATION
        one, other = (re.sub(r"\bP\b", "high", part) if is_priority else part for part in (target, text))
        assert str(target_filter(kind, one)) == other, (kind, target)


def test_the_table_has_every_form_of_a_target() -> None:
    assert read_rows() == {
        (kind, form.target.format(**EXAMPLES), form.filter.format(type=kind.value, **EXAMPLES))
        for kind in SubscriptionType
        for form in kind.forms
    }
