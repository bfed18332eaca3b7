"""`floor quarantine …`: what an operator sees of garbage, and what becomes of it."""

import json
from pathlib import Path

import pytest

from bridge.domain.reports import quarantined
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch
from tests.support.command_line import floor, write_config
from tests.support.journal_samples import applied

HOSTILE = b'{"description": "\x1b]0;owned\x07\x1b[2J\xc2\x9b31m", "\xe2\x80\xae": 1}\r\nnext'
TOPIC = "report/plant/packing/L1/plc/state"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_config(tmp_path, more='[journal]\npath = "journal.db"')
    journal = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    syntax, place = quarantined("syntax"), quarantined("unknown_place")
    journal.commit(
        Batch(
            entries=[
                applied(1, topic=TOPIC, disposition=syntax, payload=HOSTILE, reached_core=False),
                applied(2, topic=TOPIC, payload=b"{}"),
                applied(3, topic=TOPIC, disposition=place, payload=b'{"state": "running"}'),
                applied(
                    4, topic="report/a/b/L2/c/\x1b[31m", disposition=syntax, payload=b"\xff\xfe", reached_core=False
                ),
                applied(
                    5, topic=TOPIC, disposition=quarantined("too_large"), payload=b"x" * 70_000, reached_core=False
                ),
            ]
        )
    )
    journal.close()
    return tmp_path


def listed(folder: Path, *options: str) -> dict[int, str]:
    ended = floor(folder, "quarantine", "list", "--json", *options)
    assert (ended.returncode, ended.stderr) == (0, "")
    return {entry["number"]: entry["state"] for entry in json.loads(ended.stdout)["inputs"]}


def test_the_list_is_newest_first_and_safe_to_look_at(folder: Path) -> None:
    ended = floor(folder, "quarantine", "list")
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == [5, 4, 3, 1]
    assert lines[0].split()[2:] == ["waiting", "too_large", "65536+", TOPIC]
    assert lines[1].endswith("report/a/b/L2/c/\\x1b[31m")
    assert listed(folder, "--reason", "syntax") == {4: "waiting", 1: "waiting"}
    assert listed(folder, "--topic", "report/+/+/L1/#") == {5: "waiting", 3: "waiting", 1: "waiting"}
    assert list(listed(folder, "--limit", "2")) == [5, 4]
    assert "there are older ones: --limit 4" in floor(folder, "quarantine", "list", "--limit", "2").stdout
    refused = floor(folder, "quarantine", "list", "--topic", "a/#/b")
    assert (refused.returncode, refused.stdout) == (2, "")


def test_a_reason_without_its_field_is_that_of_every_field(tmp_path: Path) -> None:
    write_config(tmp_path, more='[journal]\npath = "journal.db"')
    journal = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    reasons = ("bad_format:state", "bad_format:ts", "bad_formats", "missing_field:state", "bad_format")
    of = enumerate(map(quarantined, reasons), start=1)
    entries = [applied(number, topic=TOPIC, disposition=reason, reached_core=False) for number, reason in of]
    journal.commit(Batch(entries=entries))
    journal.close()
    assert list(listed(tmp_path, "--reason", "bad_format")) == [5, 2, 1]
    assert list(listed(tmp_path, "--reason", "bad_format:state")) == [1]
    assert list(listed(tmp_path, "--reason", "bad_format:")) == []
    assert floor(tmp_path, "quarantine", "drop", "--reason", "bad_format").returncode == 0
    assert listed(tmp_path)[4] == "waiting"
    assert listed(tmp_path)[2] == "dropped"


def test_bytes_are_shown_with_nothing_a_terminal_would_obey(folder: Path) -> None:
    ended = floor(folder, "quarantine", "show", "1")
    assert ended.returncode == 0
    assert all(character.isprintable() or character == "\n" for character in ended.stdout)
    assert "\\x1b]0;owned\\x07\\x1b[2J\\x9b31m" in ended.stdout
    assert "\\u202e" in ended.stdout
    assert "}\\r\nnext\n" in ended.stdout
    assert "00000000  ff fe" in floor(folder, "quarantine", "show", "4").stdout
    assert "7b 22 73 74" in floor(folder, "quarantine", "show", "3", "--hex").stdout
    long = floor(folder, "quarantine", "show", "5").stdout
    assert len(long) < 3_000
    assert "65536 bytes kept of a longer payload" in long
    assert "63,488 more bytes: --whole" in long
    missing = floor(folder, "quarantine", "show", "2")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "no quarantined input 2 is held" in missing.stderr


def test_a_replay_is_requested_of_a_stopped_bridge_and_a_dropped_payload_is_gone(folder: Path) -> None:
    ended = floor(folder, "quarantine", "replay", "3", "4", "5", "2", "--wait", "0")
    assert ended.returncode == 1
    assert "5: its payload was not kept completely" in ended.stdout
    assert "2: not in quarantine" in ended.stdout
    assert "2 requested, no outcome yet" in ended.stdout
    assert listed(folder) == {5: "waiting", 4: "asked", 3: "asked", 1: "waiting"}
    assert floor(folder, "quarantine", "list").stdout.count("  replay requested  ") == 2
    assert "replay requested, 20 bytes" in floor(folder, "quarantine", "show", "3").stdout
    again = floor(folder, "quarantine", "replay", "3", "--wait", "0")
    assert (again.returncode, again.stdout) == (1, "3: replay requested\n")
    ended = floor(folder, "quarantine", "drop", "4", "--path", "journal.db")
    assert (ended.returncode, ended.stdout) == (0, "1 dropped\n")
    ended = floor(folder, "quarantine", "drop", "--reason", "syntax")
    assert (ended.returncode, ended.stdout) == (0, "1 dropped\n")
    assert listed(folder) == {5: "waiting", 4: "dropped", 3: "asked", 1: "dropped"}
    assert "syntax, dropped, 0 bytes" in floor(folder, "quarantine", "show", "1").stdout
    assert floor(folder, "journal", "verify").returncode == 0


def test_what_cannot_be_dropped_is_counted_once(folder: Path) -> None:
    ended = floor(folder, "quarantine", "drop", "2", "7")
    assert (ended.returncode, ended.stdout) == (1, "2: not in quarantine\n7: not in quarantine\n")
    assert ended.stderr == "0 of 2 dropped\n"


@pytest.mark.parametrize("command", ["replay", "drop"])
def test_nothing_that_waits_is_reported_by_both_commands(folder: Path, command: str) -> None:
    ended = floor(folder, "quarantine", command, "--reason", "unknown_line")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "no waiting input matches\n", "")


@pytest.mark.parametrize("arguments", [(), ("1", "--all"), ("--all", "--reason", "syntax")])
@pytest.mark.parametrize("command", ["replay", "drop"])
def test_inputs_are_chosen_in_one_way(folder: Path, command: str, arguments: tuple[str, ...]) -> None:
    ended = floor(folder, "quarantine", command, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "either numbers, --reason or --all" in ended.stderr


@pytest.mark.parametrize("number", ["99999999999999999999999", "0", "9" * 5_000])
@pytest.mark.parametrize("command", [("show",), ("replay",), ("drop",), ("list", "--limit")])
def test_a_number_that_no_input_has_is_refused(folder: Path, command: tuple[str, ...], number: str) -> None:
    ended = floor(folder, "quarantine", *command, number)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Traceback" not in ended.stderr
