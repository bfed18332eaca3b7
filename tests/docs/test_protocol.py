"""docs/protocol.md: the states of a delivery, as a table and as a diagram, are those of the code."""

import re
from pathlib import Path

from bridge.contract.delivery_diagram import BEGIN, END, delivery_diagram, with_diagram, words
from bridge.contract.schemas import write_documents
from bridge.http.responses import STATUS_OF
from bridge.protocol.delivery_automaton import NEXT_STATE, DeliveryState
from bridge.protocol.error_codes import ErrorCode
from tests.support.command_line import ROOT

DOCUMENT = (ROOT / "docs" / "protocol.md").read_text()


def test_the_diagram_of_the_document_is_the_generated_one() -> None:
    """Run `floor schema --write docs` when this fails."""
    assert delivery_diagram() in DOCUMENT
    assert with_diagram(DOCUMENT) == DOCUMENT


def test_the_diagram_has_every_step_of_the_table_and_no_other() -> None:
    diagram = delivery_diagram()
    names = dict(re.findall(r'state "([a-z ]+)" as (\w+)', diagram))
    others = names.pop("any other state")
    assert set(names) == {words(state) for state in DeliveryState}
    drawn = re.findall(r"(\w+) --> (\w+): ([a-z ]+)", diagram)
    steps = {(source, step): target for source, target, step in drawn if source != others}
    steps |= {
        (source, step): target
        for by_all, target, step in drawn
        if by_all == others
        for source in names.values()
        if source != target
    }
    assert steps == {
        (names[words(state)], words(step)): names[words(target)] for (state, step), target in NEXT_STATE.items()
    }
    assert re.findall(r"\[\*\] --> (\w+)", diagram) == [names["greeting"]]


def test_the_table_of_the_states_has_each_of_them() -> None:
    (table,) = re.findall(r"^\| state \| sent \|\n\|[ |-]+\n((?:\|.*\n)+)", DOCUMENT, re.MULTILINE)
    assert re.findall(r"^\| ([a-z ]+) \|", table, re.MULTILINE) == [words(state) for state in DeliveryState]


def test_the_diagram_is_written_into_a_folder_that_has_the_document(tmp_path: Path) -> None:
    document = tmp_path / "protocol.md"
    document.write_text(f"before\n{BEGIN}an old one\n{END}after\n")
    assert document in write_documents(tmp_path)
    assert document.read_text() == f"before\n{BEGIN}{delivery_diagram()}{END}after\n"
    document.write_text("another\n")
    assert document not in write_documents(tmp_path)
    assert document.read_text() == "another\n"


def test_the_table_of_error_codes_has_each_with_its_status() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| [^|]* \| (\d+|-)", DOCUMENT, re.MULTILINE)
    of_frames_only = {ErrorCode.UNKNOWN_TYPE}
    assert rows == [(code.value, "-" if code in of_frames_only else str(STATUS_OF[code].value)) for code in ErrorCode]
