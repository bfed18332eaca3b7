"""Changes of access on a front with dashboards: no revocation waits for a policy that is decided about."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.domain.access.policy import Policy
from bridge.domain.access.revocations import Revocations
from bridge.domain.access.viewer import Viewer
from bridge.domain.steps import Steps
from bridge.ports.metrics import Metric
from bridge.wiring.access_files import AccessFile, AccessFiles
from tests.front.memory_front import MemoryFront, memory_front, status
from tests.support.brokers import until
from tests.support.dashboard import PATIENCE
from tests.support.in_process import settings_with
from tests.support.memory_dashboard import MemoryDashboard
from tests.support.revocation_lists import revoke_users, write_whole

WIDE = '[roles.operator]\nread = ["+/+/{line}/#"]\n'
NARROW = '[roles.operator]\nread = ["+/+/{line}/+/andon/#"]\n'
DASHBOARDS, SUBSCRIPTIONS = 20, 10


class Hold:
    """Decides again about everybody, but keeps the decision about eva from the front until it is released."""

    def __init__(self, authenticator: TokenAuthenticator) -> None:
        self.is_reached = self.is_released = False
        self._readmit = authenticator.readmit

    def readmit(self, viewer: Viewer) -> Steps[Viewer]:
        decided = yield from self._readmit(viewer)
        while viewer.user_id == "eva" and not self.is_released:
            self.is_reached = True
            yield
        return decided


def hold(authenticator: TokenAuthenticator, monkeypatch: pytest.MonkeyPatch) -> Hold:
    held = Hold(authenticator)
    monkeypatch.setattr(authenticator, "readmit", held.readmit)
    return held


async def join(front: MemoryFront, *users: str) -> list[MemoryDashboard]:
    boards = [await front.join(user=user, roles=["operator"], lines=["L1"]) for user in users]
    for board in boards:
        await board.snapshot(id="line", subscription_type="line", target_id="L1")
    return boards


@contextmanager
def counted_passes() -> Iterator[list[None]]:
    """Yield a list that gets longer with each pass of the event loop."""
    loop, passes = asyncio.get_running_loop(), list[None]()
    is_over = False

    def count() -> None:
        passes.append(None)
        if not is_over:
            loop.call_soon(count)

    loop.call_soon(count)
    yield passes
    is_over = True


async def test_revocations_and_newer_policies_do_not_wait_until_a_policy_is_decided_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, revoked = tmp_path / "policy.toml", tmp_path / "revoked.json"
    write_whole(policy, WIDE)
    revoke_users(revoked)
    files = AccessFiles(settings_with(policy_file=policy, token__revoked_file=revoked))
    held = hold(files.authenticator, monkeypatch)
    async with memory_front(tmp_path, authenticator=files.authenticator) as front:
        following = front.group.create_task(files.run(front.side.follow_access))
        anna, eva, otto, olga = await join(front, "anna", "eva", "otto", "olga")
        write_whole(policy, NARROW)
        await anna.receive("revoked")
        await until(lambda: held.is_reached, what="the decision about eva")
        revoke_users(revoked, "otto")
        assert (await otto.closed())[0] == 4403
        write_whole(policy, WIDE)
        await until(lambda: files.authenticator.policy == Policy.parse(WIDE), what="the last policy")
        assert [board.types.count("revoked") for board in (anna, eva, olga)] == [1, 0, 1]

        held.is_released = True
        await until(lambda: front.metric(Metric.DASHBOARD_REDECIDED) == 7, what="two of each, one of otto")
        for board in (anna, eva, olga):
            assert [board.types.count(kind) for kind in ("revoked", "widened")] == [1, 1]
        front.commit(status("L1"))
        for board in (anna, eva, olga):
            await board.receive("line_status_update")
        following.cancel()


async def test_of_two_changes_at_once_the_revocation_is_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with memory_front(tmp_path) as front:
        front.authenticator.policy = Policy.parse(WIDE)
        held = hold(front.authenticator, monkeypatch)
        eva, otto = await join(front, "eva", "otto")
        front.authenticator.policy = Policy.parse(NARROW)
        front.authenticator.revocations = Revocations(users=frozenset({"otto"}))
        async with asyncio.timeout(PATIENCE):
            await front.side.follow_access([AccessFile.POLICY, AccessFile.REVOCATIONS])
        assert (otto.close_code, otto.types.count("revoked")) == (4403, 0)
        assert (held.is_reached, front.metric(Metric.DASHBOARD_REVOKED)) == (False, 1)
        held.is_released = True
        await eva.receive("revoked")


async def test_a_stop_does_not_wait_until_a_policy_is_decided_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with memory_front(tmp_path) as front:
        held = hold(front.authenticator, monkeypatch)
        await join(front, "eva")
        async with asyncio.timeout(PATIENCE):
            await front.side.follow_access([AccessFile.POLICY])
        await until(lambda: held.is_reached, what="the decision about eva")
        front.side.cancel()
        await until(lambda: "policy" not in {task.get_name() for task in asyncio.all_tasks()}, what="its end")


async def test_many_dashboards_are_decided_about_in_few_passes_of_the_loop(tmp_path: Path) -> None:
    async with memory_front(tmp_path, turn_ms=1_000) as front:
        front.authenticator.policy = Policy.parse(WIDE)
        boards = await join(front, *(f"user{number}" for number in range(DASHBOARDS)))
        for board in boards:
            for number in range(1, SUBSCRIPTIONS):
                await board.snapshot(id=f"s{number}", subscription_type="line", target_id="L1")
        front.authenticator.policy = Policy.parse(NARROW)
        with counted_passes() as passes:
            assert await front.core.redecide() == DASHBOARDS
        assert len(passes) < DASHBOARDS
