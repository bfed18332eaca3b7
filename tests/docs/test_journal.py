"""docs/journal.md as an operator follows it: every command in it is run, in its order, on a journal."""

import re
import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

from bridge.journal.sqlite.schema import TABLES, create_tables
from tests.support.command_line import ROOT, floor, write_config
from tests.support.full_journal import full_journal

DOCUMENT = ROOT / "docs" / "journal.md"


def shown() -> list[list[str]]:
    blocks = re.findall(r"^```sh\n(.*?)^```$", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    return [line for line in lines if line[0] == "floor"]


def test_every_command_of_the_document_does_what_it_is_for(tmp_path: Path) -> None:
    write_config(tmp_path, more='[journal]\npath = "journal.db"')
    full_journal(tmp_path / "journal.db")
    (tmp_path / "backup").mkdir()
    outputs = {}
    for _, *arguments in shown():
        words = [_here(word, tmp_path) for word in arguments]
        options = ("--wait", "0") if words[1] == "replay" else ()  # no bridge runs here
        ended = floor(tmp_path, *words, *options)
        assert ended.returncode == 0, f"{words}: {ended.stdout}{ended.stderr}"
        outputs[" ".join(arguments[:2])] = ended.stdout + ended.stderr
    assert set(outputs) == {
        *(f"journal {name}" for name in ("backup", "verify", "restore", "export", "stats")),
        *(f"quarantine {name}" for name in ("list", "show", "replay", "drop")),
    }
    assert "is intact" in outputs["journal verify"]
    assert "11 requested" in outputs["quarantine replay"]
    assert "2 dropped" in outputs["quarantine drop"]


def _here(word: str, folder: Path) -> str:
    """Replace the document's example names by existing ones."""
    if word.startswith("journal.db.replaced-"):
        (replaced,) = (path for path in folder.glob("journal.db.replaced-*Z"))
        return replaced.name
    places = {"4711": "24", "4712": "33", "report/+/+/L1/#": "report/+/+/bagger-1/#"}
    return places.get(word, word.replace("/backup/", f"{folder}/backup/"))


def test_the_document_names_every_exit_code_and_command() -> None:
    text = DOCUMENT.read_text()
    for name in ("backup", "verify", "restore", "export", "stats"):
        assert f"floor journal {name}" in text
    assert re.findall(r"^\| (\d) \|", text, re.MULTILINE) == ["0", "1", "2"]


def test_the_document_lists_every_table_and_column() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| (`.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    listed = {table: re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", columns)) for table, columns in rows}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        create_tables(connection, epoch="", stream="")
        columns = {
            table: [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")] for table in TABLES
        }
    assert {table: [*names, "checksum"] for table, names in listed.items()} == columns
