"""docs/performance.md names the sections, the servers and the versions that the benchmark has."""

import re

from tests.bench.__main__ import SERVERS
from tests.bench.delivery import WS_VERSION
from tests.bench.node_red import NODE_RED_VERSION
from tests.bench.report import BEGIN, DOCUMENT
from tests.bench.sections import QUICK, SECTIONS

TEXT = DOCUMENT.read_text().partition(BEGIN)[0]


def first_cells(heading: str) -> list[str]:
    """Return the first column of the table with this heading."""
    (table,) = re.findall(rf"^\| {heading} \|.*\n\| ---.*\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [row.split("|")[1].strip().strip("`") for row in table.splitlines()]


def test_each_section_is_described_in_its_order() -> None:
    assert first_cells("section") == list(SECTIONS)
    assert set(QUICK) <= SECTIONS.keys()


def test_each_server_is_described() -> None:
    assert sorted(first_cells("server")) == sorted(SERVERS)


def test_the_versions_of_the_programs_to_compare_with_are_named() -> None:
    assert f"`ws` {WS_VERSION}" in TEXT
    assert f"`node-red` {NODE_RED_VERSION}" in TEXT
