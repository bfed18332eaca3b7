"""Policy and revocations of a running process: in force as soon as they change, and as long as they are not valid."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.domain.access.policy import PolicyError
from bridge.wiring import access_files
from bridge.wiring.access_files import AccessFile, AccessFiles
from tests.support.brokers import until
from tests.support.in_process import settings_with
from tests.support.revocation_lists import revoke_users, write_whole

Logs = list[MutableMapping[str, Any]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "revoked.json"


@contextlib.asynccontextmanager
async def followed(path: Path) -> AsyncIterator[tuple[AccessFiles, list[frozenset[str]]]]:
    """Follow the list at `path`; yields the users that were revoked at each change."""
    files = AccessFiles(settings_with(token__revoked_file=path))
    changes: list[frozenset[str]] = []

    async def changed(names: Collection[AccessFile]) -> None:
        assert names == [AccessFile.REVOCATIONS]
        assert files.authenticator.revocations is not None
        changes.append(files.authenticator.revocations.users)

    following = asyncio.create_task(files.run(changed))
    yield files, changes
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following


def samples(files: AccessFiles) -> dict[str, float]:
    return {sample.labels.get("file", "in force"): sample.value for sample in files.samples()}


def write(path: Path, text: str | None) -> None:
    """Write a file; None: remove it."""
    path.unlink() if text is None else write_whole(path, text)


def events(logs: Logs) -> list[tuple[str, str]]:
    return [(entry["event"], entry["log_level"]) for entry in logs]


async def test_each_change_is_in_force_when_it_is_reported(path: Path) -> None:
    revoke_users(path)
    async with followed(path) as (files, changes):
        assert files.fault() is None
        for number in range(3):
            revoke_users(path, f"user{number}")
            await until(lambda: len(changes) > number, what="the change")  # noqa: B023 - awaited at once
    assert changes == [{"user0"}, {"user1"}, {"user2"}]


async def test_a_list_that_breaks_stays_in_force_and_is_a_fault_until_it_is_valid(path: Path) -> None:
    revoke_users(path, "eva")
    with capture_logs() as logs:
        async with followed(path) as (files, changes):
            write(path, "{")
            await until(lambda: files.fault() is not None, what="the fault")
            assert files.fault() == (
                "the revocation list cannot be used: revoked.json: not valid JSON "
                "(the format of the list is new: docs/authorization.md, «Revocation»)"
            )
            write(path, None)
            await until(lambda: "No such file" in (files.fault() or ""), what="the other fault")
            assert files.authenticator.revocations is not None
            assert files.authenticator.revocations.users == {"eva"}
            assert changes == []
            assert samples(files) == {"policy": 1, "revocations": 0, "in force": 1}
            revoke_users(path, "eva")
            await until(lambda: files.fault() is None, what="no fault")
    assert changes == []
    assert events(logs) == [
        ("access.reloaded", "info"),
        ("access.reload_failed", "error"),
        ("access.reload_failed", "error"),
        ("access.reloaded", "info"),  # it is the former one again
    ]


async def test_a_list_that_is_missing_at_the_start_is_in_force_when_it_comes(path: Path) -> None:
    async with followed(path) as (files, changes):
        assert files.fault() == "the revocation list cannot be used: No such file or directory"
        assert files.authenticator.revocations is None
        revoke_users(path, "eva")
        await until(lambda: changes == [{"eva"}], what="the list")
        assert files.fault() is None


async def test_a_list_that_is_not_read_any_more_is_a_fault(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revoke_users(path)
    monkeypatch.setattr(access_files, "HANGING_SECONDS", 0.05)
    files = AccessFiles(settings_with(token__revoked_file=path))
    await until(lambda: files.fault() == "the revocation list has not been read for 0 s", what="the fault")


def test_without_a_list_nothing_can_be_revoked_and_that_is_logged() -> None:
    with capture_logs() as logs:
        files = AccessFiles(settings_with())
    assert events(logs) == [("access.revocation_off", "info")]
    assert files.fault() is None
    assert files.authenticator.revocations is not None


async def test_a_changed_policy_is_in_force_and_an_invalid_one_is_no_reason_to_be_not_ready(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    write(path, '[roles.viewer]\nread = ["{site}/#"]')
    with capture_logs() as logs:
        files = AccessFiles(settings_with(policy_file=path))
        changes: list[list[str]] = []

        async def changed(names: Collection[AccessFile]) -> None:
            assert names == [AccessFile.POLICY]
            changes.append([role.value for role in files.authenticator.policy.roles])

        following = asyncio.create_task(files.run(changed))
        write(path, '[roles.operator]\nread = ["+/+/{line}/#"]')
        await until(lambda: changes == [["operator"]], what="the change")
        write(path, "[roles.operater]")
        await until(lambda: events(logs)[-1] == ("access.reload_failed", "error"), what="the fault")
        assert "roles.operater" in logs[-1]["reason"]
        count = len(logs)
        files.reload()
        await until(lambda: events(logs)[count:] == [("access.reload_failed", "error")], what="the refusal again")
        assert (files.fault(), changes) == (None, [["operator"]])
        write(path, '[roles.operator]\nread = ["+/+/{line}/#"]')
        await until(lambda: events(logs)[count + 1 :] == [("access.reloaded", "info")], what="the outcome")
        files.reload()
        await until(lambda: events(logs)[count + 2 :] == [("access.reloaded", "info")], what="the outcome again")
        assert len(changes) == 1, "it is the former one again"
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


def test_an_invalid_policy_at_the_start_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "policy.toml", "[roles.operater]")
    with pytest.raises(PolicyError, match=r"policy.toml: roles.operater"):
        AccessFiles(settings_with(policy_file=tmp_path / "policy.toml"))
