"""`floor journal …` as an operator types it: output and exit codes."""

import json
from pathlib import Path

import pytest

from bridge.journal.sqlite.schema import SCHEMA
from tests.support.command_line import floor, write_config
from tests.support.full_journal import full_journal
from tests.support.journal_samples import forge_meta, make_schema_1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with settings and their journal, which no bridge runs."""
    write_config(tmp_path, more='[journal]\npath = "journal.db"')
    full_journal(tmp_path / "journal.db")
    return tmp_path


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.index(b'"changeover_id":"s5"')
    data[at + 18] ^= 1
    path.write_bytes(data)


def test_verify_lists_the_verified_parts(folder: Path) -> None:
    ended = floor(folder, "journal", "verify")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "events                35 held, 1 to 35" in ended.stdout
    assert ended.stdout.endswith("journal.db is intact\n")
    ended = floor(folder, "journal", "verify", "--json", "--path", "journal.db")
    assert ended.returncode == 0
    output = json.loads(ended.stdout)
    assert output["whole"]
    assert output["position"]["offset"] == 35
    assert [part for part in output["parts"] if part["faults"]] == []


def test_verify_states_what_is_wrong_and_what_to_do(folder: Path) -> None:
    damage(folder / "journal.db")
    ended = floor(folder, "journal", "verify")
    assert ended.returncode == 1
    assert "FAIL events" in ended.stdout
    assert "does not match its checksum" in ended.stdout
    assert "floor journal restore" in ended.stderr
    ended = floor(folder, "journal", "verify", "--json")
    assert ended.returncode == 1
    assert not json.loads(ended.stdout)["whole"]


def test_a_backup_is_made_once_and_restored(folder: Path) -> None:
    ended = floor(folder, "journal", "backup", "backup.db")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("backup.db: stream main, epoch ")
    nowhere = floor(folder, "journal", "backup", "nowhere/backup.db")
    assert (nowhere.returncode, nowhere.stderr) == (2, "nowhere: no such folder\n")
    again = floor(folder, "journal", "backup", "backup.db")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "backup.db: already exists; --force overwrites it\n"
    refused = floor(folder, "journal", "restore", "backup.db")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "journal.db: there is a journal; --replace moves it aside and keeps it" in refused.stderr
    ended = floor(folder, "journal", "restore", "backup.db", "--replace")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "kept: " in ended.stdout
    assert "in the new epoch" in ended.stdout
    foreign = floor(folder, "journal", "restore", "backup.db", "--replace", FLOOR_STREAM="other")
    assert foreign.returncode == 2
    assert "holds stream 'main', the settings say 'other'" in foreign.stderr


def test_a_damaged_journal_is_neither_backed_up_nor_restored(folder: Path) -> None:
    damage(folder / "journal.db")
    ended = floor(folder, "journal", "backup", "backup.db")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "no backup was made" in ended.stderr
    assert not (folder / "backup.db").exists()
    ended = floor(folder, "journal", "restore", "journal.db", "--path", "other.db")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "nothing was restored" in ended.stderr
    assert not (folder / "other.db").exists()


def test_stats_show_the_accounting_and_what_retention_would_take(folder: Path) -> None:
    ended = floor(folder, "journal", "stats")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (
        "received      changeover: 57 = 24 applied + 11 suppressed (duplicate) + 11 quarantined (syntax)"
        in ended.stdout
    )
    assert "total: 101; number of the last input: 101" in ended.stdout
    assert "events        35, from 1 to 35, 2026-01-06T12:00:00.000Z to" in ended.stdout
    assert "up to offset 33, 2 behind" in ended.stdout
    assert "1 replay requested, 1 dropped, 20 waiting" in ended.stdout
    assert "0 events and 0 inputs are due for deletion" in ended.stdout
    statistics = json.loads(floor(folder, "journal", "stats", "--json").stdout)
    for counts in statistics["received"].values():
        others = sum(counts["suppressed"].values()) + sum(counts["quarantined"].values())
        assert counts["received"] == counts["applied"] + others
    assert sum(counts["received"] for counts in statistics["received"].values()) == statistics["inputs"]["last"] == 101
    assert statistics["unaccounted"] == 0
    assert statistics["dedup_digests"] == {"count": 11, "acked_up_to": 0}
    assert [epoch["reason"] for epoch in statistics["epochs"]] == ["created", "plant"]
    assert statistics["bytes"]["parts"]["events"] > 20_000
    assert statistics["retention"] == {"offset": 0, "number": 0}


def test_stats_of_unaccounted_inputs_end_with_1(folder: Path) -> None:
    forge_meta(folder / "journal.db", last_number=103)
    ended = floor(folder, "journal", "stats")
    assert ended.returncode == 1
    assert "2 inputs are unaccounted for" in ended.stderr


def test_an_export_is_what_the_journal_holds(folder: Path) -> None:
    ended = floor(folder, "journal", "export")
    assert (ended.returncode, ended.stderr) == (0, "136 lines written\n")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    events = [line["event"] for line in lines if "event" in line]
    assert [event["offset"] for event in events] == list(range(1, 36))
    assert {"topic", "standing", "audience", "event"} == set(lines[0])
    inputs = [line for line in lines if "input" in line]
    assert [entry["input"] for entry in inputs] == list(range(1, 102))
    garbage = next(entry for entry in inputs if entry["reason"] == "syntax")
    assert garbage["payload"] == "{\x00\x1b[31m"
    assert garbage["event_count"] == 0
    ended = floor(folder, "journal", "export", "--only", "events", "--from", "30", "--to", "31", "--out", "some.jsonl")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert len((folder / "some.jsonl").read_text().splitlines()) == 2
    ended = floor(folder, "journal", "export", "--out", "some.jsonl")
    assert (ended.returncode, ended.stderr) == (2, "some.jsonl: File exists\n")
    noon = "2026-01-06T12:00:00"
    ended = floor(folder, "journal", "export", "--only", "inputs", "--from", f"{noon}.010Z", "--to", f"{noon}.019Z")
    assert [json.loads(line)["input"] for line in ended.stdout.splitlines()] == list(range(10, 20))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--from", "5"), "an offset or a number in --from or --to needs --only"),
        (("--from", "noon"), "noon is neither a number nor a time such as"),
        (("--from", "0001-01-01T00:00:00"), "0001-01-01T00:00:00 is neither a number nor a time such as"),
        (("--only", "events", "--from", "9" * 5_000), "a number is at most 9223372036854775807"),
        (("--out", "journal.db-wal"), "is a file of the journal"),
    ],
)
def test_an_export_of_no_bounds_is_refused(folder: Path, options: tuple[str, ...], message: str) -> None:
    ended = floor(folder, "journal", "export", *options)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert message in ended.stderr


def test_an_export_of_a_damaged_journal_states_what_is_not_in_it(folder: Path) -> None:
    damage(folder / "journal.db")
    ended = floor(folder, "journal", "export", "--only", "events")
    assert ended.returncode == 1
    assert len(ended.stdout.splitlines()) == 34
    *left_out, last = ended.stderr.splitlines()
    assert left_out == ["unreadable: event 16: event 16 does not match its checksum"]
    assert last == "incomplete: 34 lines written, 1 unreadable"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--path", "away.db"), "away.db: no such file"),
        (("--config", "away.toml"), "away.toml: no such settings file"),
    ],
)
def test_invalid_arguments_exit_with_2(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    ended = floor(folder, "journal", "verify", *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == f"{message}\n"


@pytest.mark.parametrize(
    "command", [("verify",), ("export",), ("stats",), ("backup", "copy.db")], ids=lambda command: command[0]
)
def test_a_journal_of_an_older_schema_is_refused_with_the_way_to_migrate_it(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    write_config(tmp_path)
    journal = tmp_path / ".floor" / "journal.db"
    make_schema_1(journal)
    ended = floor(tmp_path, "journal", *command)
    assert ended.returncode != 0
    assert f"journal.db: schema 1, but this version needs schema {SCHEMA}. " in ended.stderr
    assert "Start the bridge once (`floor run`)" in ended.stderr
    assert ended.stdout == ""
