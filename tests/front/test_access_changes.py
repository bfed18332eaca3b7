"""A changed policy on living sockets: what is lost ends, what is new comes, and nobody else notices."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from bridge.domain.access.policy import Policy
from bridge.domain.access.revocations import Revocations
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommandRecord
from bridge.domain.steps import Steps
from bridge.front.access_changes import run_in_turns
from tests.front.memory_front import NOON, call, memory_front, status
from tests.support.tokens import token

OPERATOR = '[roles.operator]\nread = ["+/+/{line}/#"]\ncommand = ["+/+/{line}/#"]\n'
CALLS_ONLY = '[roles.operator]\nread = ["+/+/{line}/+/andon/#"]\n'
QUALITY_CALLS = '[roles.quality]\nread = ["+/+/{line}/+/andon/#"]\n'
QUALITY_ALL = '[roles.quality]\nread = ["+/+/{line}/#"]\n'
ADMIN = '[roles.admin]\nunscoped = true\nread = ["#"]\ncommand = ["#"]\n'
RAISE = {"type": "command", "id": "k1", "action": "andon.raise", "line_id": "L1", "andon_type": "quality"}


def policy(*roles: str) -> Policy:
    return Policy.parse("\n".join(roles))


async def test_what_is_lost_ends_what_is_new_comes_and_others_notice_nothing(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.authenticator.policy = policy(OPERATOR, QUALITY_CALLS, ADMIN)
        front.commit(status("L1"), call("C1"))
        narrowed = await front.join(user="eva", roles=["operator"], lines=["L1"])
        widened = await front.join(user="otto", roles=["quality"], lines=["L1"])
        others = [await front.join(user=f"user{number}") for number in range(2)]
        for board in (narrowed, widened, *others):
            await board.snapshot(id="all", subscription_type="line", target_id="L1")
            await board.receive("position")
        cohorts, sent = front.core.statistics()["cohorts"], [len(board.texts) for board in others]

        front.authenticator.policy = policy(CALLS_ONLY, QUALITY_ALL, ADMIN)
        assert await front.core.redecide() == 2

        revoked = await narrowed.receive("revoked")
        assert revoked["subscriptions"] == [{"id": "all", "effective": ["+/+/L1/+/andon/#"]}]
        assert (await widened.receive("widened"))["subscriptions"] == [{"id": "all", "effective": ["+/+/L1/#"]}]
        snapshot = await widened.receive_snapshot("all")
        assert [event["type"] for event in snapshot] == ["line_status_update", "andon_event"]
        assert [len(board.texts) for board in others] == sent
        assert front.core.statistics()["cohorts"] == cohorts

        front.commit(status("L1", state="stopped"))
        front.commit(call("C2"))
        for board in (narrowed, widened, *others):
            await board.receive("andon_event", subject="C2")
        states = [board.types.count("line_status_update") for board in (narrowed, widened, *others)]
        assert states == [1, 2, 2, 2], "before the change; in the snapshot of the change; in both"
        assert [board.types.count("auth_ok") for board in (narrowed, widened)] == [1, 1]


async def test_a_command_that_is_no_longer_granted_is_forbidden(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.answer = lambda _topic, body: CommandRecord(
            user="eva", command_id=body["id"], outcome="applied", reason=None, event_ids=(), at=NOON
        )
        front.authenticator.policy = policy(OPERATOR)
        board = await front.join(roles=["operator"], lines=["L1"])
        assert (await board.ask(RAISE, "command_result"))["outcome"] == "applied"
        front.authenticator.policy = policy(OPERATOR.replace('command = ["+/+/{line}/#"]', ""))
        assert await front.core.redecide() == 1
        assert (await board.ask({**RAISE, "id": "k2"}, "error"))["code"] == "FORBIDDEN"
        assert len(front.commands) == 1
        assert {"revoked", "widened"}.isdisjoint(board.types)


async def test_a_user_does_not_wait_until_all_sockets_of_another_are_decided_about(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.authenticator.policy = policy(OPERATOR)
        boards = [await front.join(user="mallory", roles=["operator"], lines=["L1", "L2"]) for _ in range(20)]
        boards.append(await front.join(user="eva", roles=["operator"], lines=["L1"]))
        for board in boards:
            await board.snapshot(id="all", subscription_type="line", target_id="L1")
        front.authenticator.policy = policy(CALLS_ONLY)
        order: list[int] = []

        def note(number: int, _text: str) -> None:
            order.append(number)

        for number, board in enumerate(boards):
            board.socket.on_write = partial(note, number)
        assert await front.core.redecide() == len(boards)
        assert order.index(len(boards) - 1) < 3 * order.count(0), "after the first of the other's"


async def test_a_policy_that_says_the_same_in_other_words_changes_nothing(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.authenticator.policy = policy(OPERATOR)
        board = await front.join(roles=["operator"], lines=["L1"])
        await board.snapshot(subscription_type="andon")
        front.authenticator.policy = policy("# another comment", QUALITY_ALL, OPERATOR)
        assert await front.core.redecide() == 0
        assert {"revoked", "widened"}.isdisjoint(board.types)


async def test_a_dashboard_that_has_not_asked_yet_gets_nothing_before_its_first_answer(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.authenticator.policy = policy(OPERATOR)
        board = front.connect(offered_token=token(roles=["operator"], lines=["L1"]))
        stranger = front.connect()
        front.authenticator.policy = policy(CALLS_ONLY)
        assert await front.core.redecide() == 1
        front.commit(call("C1"))
        assert (board.frames, stranger.frames) == ([], [])
        confirmed = await board.ask("subscribe", "subscription_confirmed", subscription_type="line", target_id="L1")
        assert confirmed["effective"] == ["+/+/L1/+/andon/#"]
        assert board.types[0] == "subscription_confirmed"
        front.commit(call("C2"))
        await board.receive("andon_event", subject="C2")


async def test_a_token_that_expands_to_too_many_grants_now_ends_its_connection(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.authenticator.policy = policy(OPERATOR)
        lines = [f"L{number}" for number in range(250)]
        board, other = await front.join(roles=["operator"], lines=lines), await front.join(user="otto", roles=[])
        reads = ", ".join(f'"+/+/{{line}}/E{number}/#"' for number in range(5))
        front.authenticator.policy = policy(f"[roles.operator]\nread = [{reads}]")
        assert await front.core.redecide() == 1
        assert (await board.closed())[0] == 1008
        await other.ask("ping", "pong")


async def test_a_refresh_after_the_change_is_decided_by_the_present_policy(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.authenticator.policy = policy(OPERATOR)
        board = await front.join(roles=["operator"], lines=["L1"])
        front.authenticator.policy = policy(CALLS_ONLY)
        await front.core.redecide()
        assert (await board.ask("auth", "auth_ok", token=token(roles=["operator"], lines=["L1"])))["command"] == []
        front.authenticator.revocations = Revocations(users=frozenset({"eva"}))
        assert await front.core.close_revoked() == 1
        assert await front.core.redecide() == 0, "it has ended"


async def test_a_fault_at_one_dashboard_does_not_keep_another_from_losing_access(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with memory_front(tmp_path) as front:
        front.authenticator.policy = policy(OPERATOR)
        faulty, other = [await front.join(user=user, roles=["operator"], lines=["L1"]) for user in ("eva", "otto")]
        await other.snapshot(subscription_type="line", target_id="L1")
        readmit = front.authenticator.readmit

        def fail_for_eva(viewer: Viewer) -> Steps[Viewer]:
            if viewer.user_id == "eva":
                raise LookupError("test")
            return readmit(viewer)

        monkeypatch.setattr(front.authenticator, "readmit", fail_for_eva)
        front.authenticator.policy = policy(CALLS_ONLY)
        await front.core.redecide()
        assert (await faulty.closed())[0] == 1012
        await other.receive("revoked")
        assert front.core.statistics()["faults"] == 1


async def test_decisions_take_a_turn_of_the_loop_at_most_and_use_it() -> None:
    now, done, seen = 0.0, 0, [0]

    def steps() -> Steps[str]:
        nonlocal now, done
        for _ in range(20):
            now, done = now + 0.25, done + 1
            yield
        return "done"

    def look() -> None:
        seen.append(done)
        if done < 20:
            asyncio.get_running_loop().call_soon(look)

    asyncio.get_running_loop().call_soon(look)
    assert await run_in_turns(steps(), turn_ms=2.0, clock=lambda: now) == "done"
    assert seen == [0, 8, 16]
