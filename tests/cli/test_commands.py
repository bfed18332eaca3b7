"""Commands of `floor` that return a verdict: their output and exit codes."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from bridge.journal.sqlite.schema import SCHEMA
from bridge.journal.sqlite.writer import SqliteJournal
from tests.support.brokers import RunningBroker
from tests.support.command_line import ROOT, floor, floor_program, write_config
from tests.support.journal_samples import make_schema_1

COMMANDS = ("demo", "run", "check", "token", "watch", "schema", "explain-access", "journal", "quarantine", "revoke")


def test_help_names_every_command_and_what_to_start_with(tmp_path: Path) -> None:
    ended = floor(tmp_path, "--help")
    assert ended.returncode == 0
    assert re.findall(r"^│ ([a-z-]+) +[A-Z]", ended.stdout, re.MULTILINE) == list(COMMANDS)
    assert "Start with floor demo" in ended.stdout


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    ended = floor(tmp_path, "--version")
    assert (ended.returncode, ended.stdout) == (0, f"floor-bridge {version('floor-bridge')}\n")


def test_a_broker_that_refuses_connections_is_named_with_the_reason(tmp_path: Path) -> None:
    write_config(tmp_path)
    ended = floor(tmp_path, "check")
    assert "127.0.0.1:1 without a user name: Connection refused\n" in ended.stdout


def test_a_token_that_is_not_accepted_is_explained_in_words(tmp_path: Path) -> None:
    write_config(tmp_path)
    ended = floor(tmp_path, "explain-access", "andon", "--token", "abc")
    assert ended.stderr == "the token is not valid: not three segments of ASCII\n"


def test_a_token_beside_options_of_a_user_is_refused(tmp_path: Path) -> None:
    options = ("--line", "L1", "--user", "eva", "--role", "admin", "--area", "packing", "--site", "plant1")
    ended = floor(tmp_path, "explain-access", "andon", "--token", "abc", *options)
    message = "--user, --role, --site, --area, --line cannot be combined with --token"
    assert (ended.returncode, ended.stderr) == (2, f"{message}\n")


def test_explaining_the_access_of_nobody_names_the_roles(tmp_path: Path) -> None:
    write_config(tmp_path)
    ended = floor(tmp_path, "explain-access", "andon")
    assert ended.returncode == 3
    assert ended.stderr.startswith("a token with these options gives no access without --role, one of: admin, ")


def test_a_folder_for_the_schemas_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "docs").write_text("")
    ended = floor(tmp_path, "schema", "--write", "docs")
    assert (ended.returncode, ended.stderr) == (1, "docs/schemas: Not a directory\n")


@pytest.mark.parametrize("command", ["run", "check", "token --user a", "watch", "explain-access line"])
def test_missing_settings_are_named_by_every_command(tmp_path: Path, command: str) -> None:
    ended = floor_program(tmp_path, *command.split())
    assert ended.returncode == 1
    assert "no settings file: name one with --config, or start `floor demo`" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("command", "text", "message"),
    [
        ("run", "xx [", "floor.toml: Expected '='"),
        ("check", '[token]\nsecret = "short"', "floor.toml: token: "),
        ("watch", 'rooot = "x"\n[token]\nsecret = "a-secret-of-the-tests-that-is-long-enough"', "floor.toml: rooot: "),
    ],
    ids=["no TOML", "short secret", "unknown setting"],
)
def test_wrong_settings_are_named_with_their_place(tmp_path: Path, command: str, text: str, message: str) -> None:
    (tmp_path / "floor.toml").write_text(text)
    ended = floor(tmp_path, command)
    assert ended.returncode == 1
    assert message in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_check_is_content_with_a_valid_configuration_and_leaves_no_journal(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    write_config(tmp_path, broker_port=mosquitto.port)
    ended = floor(tmp_path, "check")
    assert ended.returncode == 0, ended.stdout
    assert ended.stdout.endswith("all checks passed\n")
    assert "FAIL" not in ended.stdout
    assert ended.stderr == ""
    assert not (tmp_path / ".floor").exists()


def test_the_settings_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    config = write_config(tmp_path).rename(tmp_path / "elsewhere.toml")
    ended = floor(tmp_path, "check", "--offline", FLOOR_CONFIG=str(config), FLOOR_TOKEN="a.b.c")
    assert ended.returncode == 0, ended.stdout
    assert "elsewhere.toml" in ended.stdout


def test_check_names_each_fault_and_continues_to_the_next(tmp_path: Path) -> None:
    config = write_config(tmp_path, more='[journal]\npath = "damaged.db"')
    (tmp_path / "damaged.db").write_bytes(b"no database" * 1_000)
    (tmp_path / "plant.toml").write_text('name = "x"\nareas = []\nlines = []')
    (tmp_path / "policy.toml").write_text('[roles.admin]\nread = ["a/#/b"]')
    text = re.sub(r'plant_file = "[^"]*"', 'plant_file = "plant.toml"\npolicy_file = "policy.toml"', config.read_text())
    config.write_text(text.replace('secret = "a-secret-of-the-tests-that-is-long-enough"', 'secret_file = "away"'))
    ended = floor(tmp_path, "check")
    assert ended.returncode == 1
    verdicts = dict(re.findall(r"^(?:ok  |FAIL) (\w+) +(.*)$", ended.stdout, re.MULTILINE))
    assert "plant.toml: areas" in verdicts["plant"]
    assert "policy.toml: roles.admin.read" in verdicts["policy"]
    assert "away: No such file" in verdicts["tokens"]
    assert "damaged.db: the journal is damaged" in verdicts["journal"]
    assert "127.0.0.1:1" in verdicts["broker"]
    assert "5 of 8 checks failed" in ended.stdout
    assert ended.stderr == "", "the verdict says it all"


def test_check_reports_a_journal_that_a_bridge_owns(tmp_path: Path) -> None:
    write_config(tmp_path)
    journal = SqliteJournal.open(tmp_path / ".floor" / "journal.db", stream="main")
    try:
        ended = floor(tmp_path, "check", "--offline")
    finally:
        journal.close()
    assert ended.returncode == 0
    assert "in use by a running bridge" in ended.stdout
    assert "connect:" not in ended.stdout


@pytest.mark.parametrize("left", ["-wal", ".lock"])
def test_check_reports_a_missing_journal_like_a_start(tmp_path: Path, left: str) -> None:
    write_config(tmp_path)
    path = tmp_path / ".floor" / "journal.db"
    SqliteJournal.open(path, stream="main").close()
    path.with_name("journal.db-wal").touch()
    for suffix in {"", "-wal", ".lock"} - {left}:
        path.with_name("journal.db" + suffix).unlink()
    ended = floor(tmp_path, "check", "--offline")
    assert ended.returncode == 1
    assert f"the file is missing, its {left}" in ended.stdout


def test_check_leaves_an_older_journal_to_the_next_start(tmp_path: Path) -> None:
    """A check must not prevent the return to the older version."""
    write_config(tmp_path)
    path = tmp_path / ".floor" / "journal.db"
    make_schema_1(path)
    before = path.read_bytes()
    ended = floor(tmp_path, "check", "--offline")
    assert ended.returncode == 0
    assert f"journal.db: schema 1; the next start migrates it to {SCHEMA}" in ended.stdout
    assert path.read_bytes() == before


def test_a_token_is_all_that_stdout_holds(tmp_path: Path) -> None:
    write_config(tmp_path)
    ended = floor(tmp_path, "token", "--user", "eva", "--role", "operator", "--line", "L1")
    assert ended.returncode == 0
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", ended.stdout)
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "gives no access without --role, one of: admin,"),
        (("--role", "amdin"), "unknown role amdin; the policy has admin,"),
        (("--role", "operator"), "operator may read +/+/{line}/#; give --line"),
    ],
    ids=["no role", "unknown role", "no line"],
)
def test_a_token_that_would_show_nothing_comes_with_the_reason(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    write_config(tmp_path)
    ended = floor(tmp_path, "token", "--user", "eva", *options)
    assert ended.returncode == 0
    assert message in ended.stderr
    assert ended.stdout.count(".") == 2, "still made: what the policy says may change"


def test_no_token_is_made_that_the_bridge_would_refuse(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    ended = floor(tmp_path, "token", "--user", "")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "the token is not valid" in ended.stderr
    config.write_text('[token]\nalgorithm = "RS256"\npublic_key_file = "key.pem"\n')
    ended = floor(tmp_path, "token", "--user", "eva", "--role", "admin")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "tokens can be issued with HS256 only" in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("line:L1", "--role", "admin"), 0, {"effective": ["+/+/L1/#"], "narrowed": False}),
        (("andon", "--role", "operator", "--line", "L2"), 0, {"effective": ["+/+/L2/+/andon/#"], "narrowed": True}),
        (("+/+/L1/#", "--filter", "--role", "operator", "--line", "L1"), 0, {"effective": ["+/+/L1/#"]}),
        (("line:L1", "--role", "operator", "--line", "L2"), 3, {"allowed": False}),
    ],
    ids=["whole", "narrowed", "filter", "refused"],
)
def test_explain_access_lists_the_visible_topics(
    tmp_path: Path, arguments: tuple[str, ...], code: int, expected: dict[str, object]
) -> None:
    write_config(tmp_path)
    ended = floor(tmp_path, "explain-access", *arguments)
    assert ended.returncode == code, ended.stderr
    explanation = json.loads(ended.stdout)
    assert {name: explanation[name] for name in expected} == expected
    assert explanation["allowed"] == (code == 0)
    assert explanation["reason"] if code else explanation["grants"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("banana",), "'banana' is none of line, equipment, job"),
        (("a/#/b", "--filter"), "'#' in level 1"),
        (("line", "--token", "a.b.c"), "the token is not valid"),
    ],
)
def test_explain_access_refuses_what_is_no_question(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    write_config(tmp_path)
    ended = floor(tmp_path, "explain-access", *arguments)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert message in ended.stderr


def test_schema_prints_the_document_that_ships_and_writes_it(tmp_path: Path) -> None:
    shipped = json.loads((ROOT / "docs" / "asyncapi.json").read_text())
    assert json.loads(floor(tmp_path, "schema").stdout) == shipped
    ended = floor(tmp_path, "schema", "--write", "out")
    assert ended.returncode == 0
    assert json.loads((tmp_path / "out" / "asyncapi.json").read_text()) == shipped
    assert len(ended.stdout.splitlines()) == 1 + len(list((tmp_path / "out" / "schemas").iterdir()))


def test_schema_names_a_folder_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ended = floor(tmp_path, "schema", "--write", "file")
    assert ended.returncode == 1
    assert "file/schemas" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [("schema",), ("--version",), ("token", "--user", "ann", "--role", "admin")])
def test_a_full_disk_behind_stdout_is_one_sentence(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    write_config(tmp_path)
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "bridge", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr.endswith("stdout: No space left on device\n")
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
