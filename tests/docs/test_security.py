"""docs/security.md and docs/security-standards.md: each row of their maps has tests that run, or says why not."""

import ast
import re
from collections import Counter
from functools import cache
from typing import Final, NamedTuple

import pytest

from tests.support.command_line import ROOT

TABLE: Final = re.compile(r"^\| (?:id|section) \|.*\| shown by \|\n\|[ |-]+\n((?:\|.*\n)+)", re.MULTILINE)
LINK: Final = re.compile(r"\[([a-z0-9 ]+)\]\(\.\./(tests/[\w/]*test_\w+\.py)\)")
REASONS: Final = ("not met: ", "the plant's: ", "does not apply: ")
NOT_RUN: Final = {"skip", "skipif", "xfail"}

ASVS: Final = (5, 4, 7, 4, 4, 8, 6, 4, 2, 7, 7, 3, 4, 3, 4, 5, 3)
"""Sections of each chapter of OWASP ASVS 5.0.0, V1 to V17."""

IEC: Final = (
    *(f"CCSC {number}" for number in range(1, 5)),
    *(f"CR 1.{number}" for number in (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 14)),
    *("CR 2.1", "CR 2.2", "CR 2.3", "SAR 2.4", *(f"CR 2.{number}" for number in range(5, 13))),
    *("CR 3.1", "SAR 3.2", *(f"CR 3.{number}" for number in range(3, 10))),
    *(f"CR 4.{number}" for number in range(1, 4)),
    *("CR 5.1", "CR 6.1", "CR 6.2"),
    *(f"CR 7.{number}" for number in (1, 2, 3, 4, 6, 7, 8)),
)
"""Requirements of IEC 62443-4-2:2019 for a software application."""


class Row(NamedTuple):
    """A row of a map: what it is about, in ids, and what shows it."""

    ids: tuple[str, ...]
    text: str
    shown_by: str


def rows(document: str, heading: str = "") -> list[Row]:
    """Return the rows of all maps of a document, or of those below a heading of the second level."""
    text = (ROOT / "docs" / document).read_text()
    if heading:
        (text,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    cells = [line.strip("| ").split(" | ") for table in TABLE.findall(text) for line in table.splitlines()]
    return [Row(tuple(ids.split(", ")), about, shown_by) for ids, about, shown_by in cells]


MAPS: Final = (*rows("security.md"), *rows("security-standards.md"))


@cache
def functions_of(path: str) -> dict[str, bool]:
    """Return the names of a file's test functions, and whether they are run."""
    module = ast.parse((ROOT / path).read_text())
    return {
        node.name: not NOT_RUN & {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
        for node in module.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_threat_and_fault_is_in_the_map_once() -> None:
    threats = re.findall(r"^\| ([A-Z]\d+) \|", (ROOT / "docs" / "threats.md").read_text(), re.MULTILINE)
    mapped = Counter(identifier for row in rows("security.md") for identifier in row.ids)
    past = [identifier for identifier in mapped if identifier.startswith("E")]
    assert len(threats) == len(set(threats)) > 90
    assert mapped == Counter([*threats, *past])
    assert past == [f"E{number}" for number in range(1, 17)]


@pytest.mark.parametrize("row", MAPS, ids=lambda row: row.ids[0])
def test_a_row_names_tests_that_are_run_or_says_why_there_are_none(row: Row) -> None:
    links = LINK.findall(row.shown_by)
    assert links or row.shown_by.startswith(REASONS)
    assert "test" not in re.sub(r"not tested|untested", "", LINK.sub("", row.shown_by)), "each of them is a link"
    missing = [(path, name) for name, path in links if not functions_of(path).get(f"test_{name.replace(' ', '_')}")]
    assert missing == []


def test_every_section_of_asvs_is_in_the_map_once() -> None:
    sections = [f"V{chapter}.{number}" for chapter, most in enumerate(ASVS, 1) for number in range(1, most + 1)]
    mapped = [identifier for row in rows("security-standards.md", "OWASP ASVS 5.0") for identifier in row.ids]
    whole = tuple(f"{identifier}." for identifier in mapped if "." not in identifier)
    assert sorted(identifier for identifier in mapped if "." in identifier) == sorted(
        section for section in sections if not section.startswith(whole)
    )
    assert all(any(section.startswith(chapter) for section in sections) for chapter in whole)


def test_a_row_of_asvs_is_about_requirements_of_its_sections() -> None:
    for row in rows("security-standards.md", "OWASP ASVS 5.0"):
        assert {f"V{section}" for section in re.findall(r"\b(\d+\.\d+)\.\d+\b", row.text)} <= set(row.ids), row.ids


def test_every_requirement_of_iec_62443_4_2_is_in_the_map_once() -> None:
    mapped = [identifier for row in rows("security-standards.md", "IEC 62443-4-2") for identifier in row.ids]
    assert tuple(mapped) == IEC
