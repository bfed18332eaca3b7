"""`floor revoke`: what it writes is what the bridge revokes, for every text that may be a user or a token."""

import asyncio
import json
import os
import stat
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from bridge.domain.access.claims import Claims
from bridge.domain.access.revocations import Revocations
from bridge.ports.clock import wall_ms
from tests.support.command_line import floor, write_config
from tests.support.tokens import token

WITH_LIST = {"FLOOR_TOKEN__REVOKED_FILE": "revoked.json"}


def revoke(folder: Path, *arguments: str) -> CompletedProcess[str]:
    return floor(folder, "revoke", *arguments, **WITH_LIST)


def done(folder: Path, *arguments: str) -> str:
    ended = revoke(folder, *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with settings and an empty list."""
    write_config(tmp_path)
    done(tmp_path, "init")
    return tmp_path


def revocations(folder: Path) -> Revocations:
    return Revocations.parse((folder / "revoked.json").read_bytes(), source="")


def claims(subject: str = "otto", *, token_id: str | None = None, issued_at: int | None = None) -> Claims:
    return Claims(subject, "floor", 2**60, token_id, {}, issued_at)


def test_without_a_list_every_command_says_what_to_do(tmp_path: Path) -> None:
    write_config(tmp_path)
    for arguments in (["init"], ["user", "eva"], ["list"]):
        ended = floor(tmp_path, "revoke", *arguments)
        assert (ended.returncode, ended.stdout) == (1, "")
        assert "set token.revoked_file" in ended.stderr
    ended = revoke(tmp_path, "user", "eva")
    assert (ended.returncode, "`floor revoke init`" in ended.stderr) == (1, True)
    assert not (tmp_path / "revoked.json").exists(), "an empty list in place of a lost one would readmit everybody"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    write_config(tmp_path)
    for arguments in (["init"], ["user", "eva"], ["list"]):
        ended = floor(tmp_path, "revoke", *arguments, FLOOR_TOKEN__REVOKED_FILE="absent/revoked.json")
        assert (ended.returncode, ended.stderr) == (1, "absent/revoked.json: the folder absent does not exist\n")


def test_a_list_that_exists_is_not_emptied(folder: Path) -> None:
    done(folder, "user", "eva")
    ended = revoke(folder, "init")
    assert (ended.returncode, ended.stderr) == (1, "revoked.json exists already\n")
    assert revocations(folder).users == {"eva"}


@pytest.mark.parametrize(
    "subject", ["name#EXT#@tenant", "first last", " eva", "eva ", '"', "-eva", "x" * 255, "é", "\U0001f600"]
)
def test_a_user_is_revoked_exactly_and_readmitted(folder: Path, subject: str) -> None:
    assert done(folder, "user", "--note", "left", "--", subject).endswith("revoked.json has 1 entry\n")
    assert revocations(folder).users == {subject}
    assert f"user   {json.dumps(subject, ensure_ascii=False)}  note left\n" in done(folder, "list")
    assert done(folder, "user", "--undo", "--", subject).endswith("revoked.json has 0 entries\n")
    assert len(revocations(folder)) == 0


@pytest.mark.parametrize("subject", ["", "a\nb", "x" * 256])
def test_a_user_that_no_token_may_name_is_refused(folder: Path, subject: str) -> None:
    ended = revoke(folder, "user", subject)
    assert (ended.returncode, "no token may name such a user" in ended.stderr) == (2, True)


def test_tokens_issued_before_a_time_are_revoked_for_one_user_or_for_all(folder: Path) -> None:
    before = wall_ms()
    done(folder, "user", "eva", "--issued-before", "2026-01-06T13:00:00.001+01:00")
    assert revocations(folder).users_before == {"eva": 1_767_700_800_001}
    done(folder, "all", "--issued-before", "now")
    assert before <= revocations(folder).all_before <= wall_ms()
    done(folder, "user", "eva", "--issued-before", "2026-01-06T12:00:00.001Z", "--undo")
    assert revocations(folder).users_before == {}


def test_a_token_is_revoked_by_its_id_or_by_itself(folder: Path) -> None:
    done(folder, "token", "9f3bXk2")
    (folder / "stolen.jwt").write_text(token(jti="a\n#b", ttl=3_600) + "\n")
    printed = done(folder, "token", "--from", "stolen.jwt")
    assert printed.startswith("token a\\n#b: revoked; "), "escaped"
    assert revocations(folder).tokens == {"9f3bXk2", "a\n#b"}
    listed = done(folder, "list")
    assert '  token  "9f3bXk2"\n' in listed
    assert '  token  "a\\n#b"  until 2' in listed, "the token's expiry"


def test_a_token_without_an_id_is_revoked_by_its_user(folder: Path) -> None:
    (folder / "stolen.jwt").write_text(token())
    ended = revoke(folder, "token", "--from", "stolen.jwt")
    assert (ended.returncode, "--issued-before now" in ended.stderr) == (2, True)
    (folder / "stolen.jwt").write_text("no token")
    assert revoke(folder, "token", "--from", "stolen.jwt").stderr == "stolen.jwt: not a token\n"
    assert revoke(folder, "token").returncode == 2


def test_undo_takes_back_exactly_one_entry(folder: Path) -> None:
    done(folder, "user", "eva")
    done(folder, "user", "eva", "--issued-before", "2026-01-06T12:00:00Z")
    done(folder, "user", "eva", "--note", "again")
    assert len(done(folder, "list").splitlines()) == 2, "the same again replaces it"
    for arguments in (["user", "Eva"], ["token", "eva"], ["all", "--issued-before", "2026-01-06T12:00:00Z"]):
        ended = revoke(folder, *arguments, "--undo")
        assert (ended.returncode, "there is no such entry" in ended.stderr) == (3, True)
    done(folder, "user", "eva", "--undo")
    assert revocations(folder).users_before.keys() == {"eva"}


def test_entries_whose_tokens_have_expired_are_removed(folder: Path) -> None:
    done(folder, "user", "eva", "--until", "2026-01-06T12:00:00Z")
    assert revocations(folder).users == {"eva"}
    done(folder, "user", "otto")
    assert revocations(folder).users == {"otto"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["user", "eva", "--note", "x" * 201], "revocations[0].note: "),
        (["user", "eva", "--note", "\udcff"], "an id or a note is not text in UTF-8\n"),
        (["token", "9f3bXk2\udcff"], "an id or a note is not text in UTF-8\n"),
        (["user", "eva", "--until", "tomorrow"], "--until: tomorrow is no time such as"),
        (["all", "--issued-before", "yesterday"], "--issued-before: yesterday is no time such as"),
    ],
)
def test_what_the_bridge_would_refuse_is_not_written(folder: Path, arguments: list[str], message: str) -> None:
    before = (folder / "revoked.json").read_bytes()
    ended = revoke(folder, *arguments)
    assert ended.returncode in (1, 2)
    assert message in ended.stderr
    assert (folder / "revoked.json").read_bytes() == before


async def test_revocations_at_the_same_time_are_all_written(folder: Path) -> None:
    users = [f"user{number}" for number in range(8)]
    await asyncio.gather(*(asyncio.to_thread(done, folder, "user", user) for user in users))
    assert revocations(folder).users == set(users)


def test_owner_mode_and_link_of_the_list_stay(folder: Path) -> None:
    path = (folder / "revoked.json").rename(folder / "elsewhere.json")
    (folder / "revoked.json").symlink_to(path)
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12_345, 12_346)
    before = path.stat()
    done(folder, "user", "eva")
    after = path.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (before.st_uid, before.st_gid, 0o640)
    assert after.st_ino != before.st_ino
    assert revocations(folder).users == {"eva"}
    assert (folder / "revoked.json").is_symlink()
