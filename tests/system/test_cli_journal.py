"""`floor journal …` as an operator types it: what it prints, where, and its exit code."""

import json
from pathlib import Path

import pytest

from tests.command_line import floor, write_config
from tests.whole_journal import whole_journal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with settings and their journal, which no bridge runs."""
    write_config(tmp_path, more='[journal]\npath = "journal.db"')
    whole_journal(tmp_path / "journal.db")
    return tmp_path


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.index(b'"changeover_id":"s5"')
    data[at + 18] ^= 1
    path.write_bytes(data)


def test_verify_says_what_it_looked_at(folder: Path) -> None:
    ended = floor(folder, "journal", "verify")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "events         35 held, 1 to 35" in ended.stdout
    assert ended.stdout.endswith("journal.db is whole\n")
    ended = floor(folder, "journal", "verify", "--json", "--path", "journal.db")
    assert ended.returncode == 0
    said = json.loads(ended.stdout)
    assert said["whole"]
    assert said["position"]["offset"] == 35
    assert [part for part in said["parts"] if part["faults"]] == []


def test_verify_says_what_is_wrong_and_what_to_do(folder: Path) -> None:
    damage(folder / "journal.db")
    ended = floor(folder, "journal", "verify")
    assert ended.returncode == 1
    assert "FAIL events" in ended.stdout
    assert "does not match its seal" in ended.stdout
    assert "floor journal restore" in ended.stderr
    ended = floor(folder, "journal", "verify", "--json")
    assert ended.returncode == 1
    assert not json.loads(ended.stdout)["whole"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--path", "away.db"), "away.db: no such file"),
        (("--config", "away.toml"), "no settings file away.toml"),
    ],
)
def test_what_cannot_be_asked_ends_with_2(folder: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = floor(folder, "journal", "verify", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"{said}\n"
