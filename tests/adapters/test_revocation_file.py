import subprocess
import sys
from pathlib import Path

import pytest

from bridge.adapters.revocation_file import RevocationFile
from bridge.domain.access.revocations import Revocations, RevocationsError
from tests.support.command_line import ROOT
from tests.support.revocation_lists import revoke_users


def test_without_a_file_nobody_is_revoked() -> None:
    assert RevocationFile(None).current() == Revocations()


def test_follows_the_file_and_is_the_same_object_while_it_is_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "revoked"
    revoke_users(path, "eva")
    file = RevocationFile(path)
    before = file.current()
    assert before is file.current()
    revoke_users(path, "eva", "otto")
    assert file.current().users == {"eva", "otto"}


def test_the_last_good_list_stays_while_the_file_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "revoked"
    revoke_users(path, "eva")
    file = RevocationFile(path)
    path.write_text("user eva, otto\n")
    assert file.current().users == {"eva"}
    path.unlink()
    assert file.current().users == {"eva"}
    revoke_users(path, "otto")
    assert file.current().users == {"otto"}


def test_a_file_that_is_named_and_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RevocationsError, match="revoked"):
        RevocationFile(tmp_path / "revoked")


def test_an_edit_that_is_killed_leaves_the_former_list_or_the_new_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.adapters.killed_edit", str(tmp_path / "revoked.json")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    *killed, last = ended.stdout.splitlines()
    assert len(killed) > 4
    counts = [int(count) for count in killed]
    assert counts == sorted(counts), "never fewer"
    assert last == f"ended {counts[-1] + 1}"
