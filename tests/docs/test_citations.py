"""Citations of the form `domain.md, «Time» and «Status»`: each names a heading of a document that exists."""

import re
from pathlib import Path

import pytest

from tests.support.command_line import ROOT

FOLDERS = ("bridge", "device_sim", "docs", "mosquitto", "tests")
SUFFIXES = {".conf", ".css", ".html", ".js", ".md", ".py", ".service", ".toml", ".yml"}
FILES = sorted(
    path
    for place in (*(ROOT / folder for folder in FOLDERS), ROOT)
    for path in (place.iterdir() if place == ROOT else place.rglob("*"))
    if path.suffix in SUFFIXES and path.is_file()
)
CITATION = re.compile(r"\b([a-z]+\.md),? ?((?:«[^»]+»(?:,? and |, )?)+)")


def citations(path: Path) -> list[tuple[str, str]]:
    """Return document and heading of each citation; one may continue on the next line of a comment."""
    text = re.sub(r"\s+(?:# )?", " ", path.read_text())
    return [
        (document, heading)
        for document, headings in CITATION.findall(text)
        for heading in re.findall(r"«([^»]+)»", headings)
    ]


def headings(document: str) -> set[str]:
    """Return the headings of a document in docs/, without backticks; none if there is no such document."""
    path = ROOT / "docs" / document
    text = path.read_text() if path.exists() else ""
    return {heading.replace("`", "") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


CITING = [path for path in FILES if citations(path)]


def test_there_are_citations() -> None:
    assert len(CITING) > 50


@pytest.mark.parametrize("path", CITING, ids=lambda path: str(path.relative_to(ROOT)))
def test_cited_headings_exist(path: Path) -> None:
    missing = [(document, heading) for document, heading in citations(path) if heading not in headings(document)]
    assert missing == []
