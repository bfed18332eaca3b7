import subprocess
import sys
from pathlib import Path

import pytest

from bridge.adapters import revocation_file
from bridge.domain.access.revocations import Revocations, RevocationsError
from tests.support.command_line import ROOT
from tests.support.revocation_lists import revoke_users


def test_without_a_file_nobody_is_revoked() -> None:
    assert revocation_file.load(None) == Revocations()


def test_a_list_is_read(tmp_path: Path) -> None:
    revoke_users(tmp_path / "revoked", "eva", "otto")
    assert revocation_file.load(tmp_path / "revoked").users == {"eva", "otto"}


@pytest.mark.parametrize("text", [None, "", "user eva"])
def test_a_file_that_is_missing_or_no_list_is_an_error_that_names_it(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "revoked").write_text(text)
    with pytest.raises(RevocationsError, match=f"^{tmp_path}/revoked: "):
        revocation_file.load(tmp_path / "revoked")


def test_an_edit_that_is_killed_leaves_the_former_list_or_the_new_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.adapters.killed_edit", str(tmp_path / "revoked.json")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    *killed, last = ended.stdout.splitlines()
    assert len(killed) > 4
    counts = [int(count) for count in killed]
    assert counts == sorted(counts), "never fewer"
    assert last == f"ended {counts[-1] + 1}"
