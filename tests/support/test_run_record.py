"""The record of runs: one run's section is replaced, the others stay as they are."""

from pathlib import Path

import pytest

from tests.support import run_record


def test_a_run_replaces_its_own_section_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = tmp_path / "proof.md"
    monkeypatch.setattr(run_record, "DOCUMENT", document)
    for run, text in (("attack", "first\n"), ("faults", "| a |\n"), ("attack", "second\n\n| b |\n")):
        run_record.write_section(run, text)
    head, *sections = document.read_text().split("\n## ")
    assert head == run_record.HEAD
    assert sections == ["`make faults`\n\n| a |\n", "`make attack`\n\nsecond\n\n| b |\n"]


def test_the_document_begins_as_the_next_run_would_write_it() -> None:
    assert run_record.DOCUMENT.read_text().startswith(run_record.HEAD)
