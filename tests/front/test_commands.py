"""Commands of a dashboard's user: authorized, published, answered after the commit; and the same over HTTP."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bridge.domain.access.claims import TokenExpired
from bridge.domain.access.viewer import Viewer
from bridge.domain.events import Standing
from bridge.domain.records import CommandRecord
from bridge.ports.broker import BrokerUnavailable, PublishRefused
from bridge.ports.journal import Batch, RetentionLimits
from bridge.protocol.client_frames import InvalidFrame
from tests.front.journal_gate import JournalGate
from tests.front.memory_front import NOON, MemoryFront, assignment, call, data_of, memory_front, status
from tests.support.tokens import token

RAISE = {"type": "command", "id": "k1", "action": "andon.raise", "line_id": "L1", "andon_type": "quality"}


def applied(_topic: str, body: dict[str, Any]) -> CommandRecord:
    return CommandRecord(
        user=body["user"]["id"], command_id=body["id"], outcome="applied", reason=None, event_ids=("main:e:1",), at=NOON
    )


async def test_a_command_is_published_with_its_user_and_answered_after_the_commit(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.answer = applied
        board = await front.join(name="Eva")
        await board.send(RAISE, equipment_code="E1", description="torn bag", operator="somebody else")
        result = await board.receive("command_result")
        assert result == {"type": "command_result", "id": "k1", "outcome": "applied", "event_ids": ["main:e:1"]}
        user = {"id": "eva", "roles": ["admin"], "name": "Eva"}
        fields = {"granted_at": ["+"], "action": "raise", "andon_type": "quality", "description": "torn bag"}
        assert front.commands == [("command/S1/A1/L1/E1/andon", {"id": "k1", "user": user, **fields})]


async def test_the_same_command_again_is_answered_and_not_sent_again(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.answer = applied
        board = await front.join()
        await board.send(RAISE)
        await board.receive("command_result")
        await board.send(RAISE)
        await board.receive("command_result")
        assert len(front.commands) == 1


async def test_without_an_answer_in_time_the_outcome_is_unknown(tmp_path: Path) -> None:
    async with memory_front(tmp_path, command_timeout_seconds=0.05) as front:
        board = await front.join()
        await board.send(RAISE)
        result = await board.receive("command_result")
        assert result["outcome"] == "unknown"
        assert front.core.pending_commands == []


async def test_a_command_that_the_broker_refuses_is_unavailable(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:

        def refuse(topic: str, _body: dict[str, Any]) -> CommandRecord | None:
            raise PublishRefused(topic, 0x87, "not authorized")

        front.answer = refuse
        board = await front.join()
        await board.send(RAISE)
        assert (await board.receive("error"))["code"] == "UNAVAILABLE"


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_command_whose_broker_disconnects_is_known_by_what_is_committed(
    tmp_path: Path, *, arrived: bool
) -> None:
    async with memory_front(tmp_path, command_timeout_seconds=0.2) as front:

        def lose(topic: str, body: dict[str, Any]) -> CommandRecord | None:
            if arrived:
                front.commit(command=applied(topic, body))
            raise BrokerUnavailable("test")

        front.answer = lose
        board = await front.join()
        await board.send(RAISE)
        assert (await board.receive("command_result"))["outcome"] == ("applied" if arrived else "unknown")


@pytest.mark.parametrize(
    "change",
    [
        {"line_id": "L2"},  # not granted
        {"line_id": "L9"},  # not there
        {"line_id": "L9", "equipment_code": "E1"},
        {"action": "andon.acknowledge", "call_id": "C1"},  # not an operator's
    ],
)
async def test_forbidden_and_missing_resources_have_the_same_answer(tmp_path: Path, change: dict[str, str]) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join(roles=["operator"], lines=["L1"])
        await board.send(RAISE, **change)
        refused = await board.receive("error", id="k1")
        action = change.get("action", "andon.raise")
        message = f"there is no such line or equipment, or {action} is not granted there"
        assert (refused["code"], refused["message"]) == ("FORBIDDEN", message)
        assert front.commands == []


async def test_a_place_that_is_not_there_is_unknown_to_who_is_granted_all(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        changes = ({"line_id": "L9"}, {"equipment_code": "E9"}, {"line_id": "L9", "action": "changeover.complete"})
        for name, change in zip("abc", changes, strict=True):
            await board.send(RAISE, id=name, **change)
            assert (await board.receive("error", id=name))["code"] == "UNKNOWN_PLACE"
        assert front.commands == []


@pytest.mark.parametrize("follows", [False, True])
async def test_a_call_that_the_front_does_not_know_is_commanded_where_that_is_granted(
    tmp_path: Path, *, follows: bool
) -> None:
    async with memory_front(tmp_path, follows=follows) as front:
        front.answer = applied
        board = await front.join(roles=[], grants={"command": ["S1/A1/L1/E1/andon", "+/+/+/_/andon"]})
        await board.send("command", id="k1", action="andon.resolve", line_id="L1", call_id="L1.call.7")
        await board.until(lambda: bool(front.commands))
        [(topic, body)] = front.commands
        assert (topic, body["granted_at"], body["call_id"]) == ("command/S1/A1/L1/_/andon", ["E1", "_"], "L1.call.7")


async def test_the_grants_at_the_time_of_sending_decide(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join(roles=["operator"], lines=["L1"])
        gate = JournalGate(front, "command", after=False)
        await board.send(RAISE)
        await gate.reached()
        await board.ask("auth", "auth_ok", token=token(roles=["operator"], lines=["L2"]))
        gate.open()
        assert (await board.receive("error", id="k1"))["code"] == "FORBIDDEN"
        assert front.commands == []


async def test_a_token_that_ends_before_the_command_is_sent_sends_nothing(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        proof = token(ttl=60)
        gate = JournalGate(front, "command", after=False)

        async def sender() -> Viewer:
            return front.authenticate(proof)

        run = front.core.run_command(sender, dict(RAISE), user_id="eva")
        running = asyncio.create_task(run)
        await gate.reached()
        front.clock.ahead_ms = 120_000
        gate.open()
        with pytest.raises(TokenExpired):
            await running
        assert front.commands == []


async def test_a_rejection_carries_its_reason(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:

        def rejected(topic: str, body: dict[str, Any]) -> CommandRecord:
            entry = applied(topic, body)
            return CommandRecord(
                user=entry.user,
                command_id=entry.command_id,
                outcome="rejected",
                reason="no such call",
                event_ids=(),
                at=1,
            )

        front.answer = rejected
        board = await front.join()
        await board.send(RAISE)
        result = await board.receive("command_result")
        assert (result["outcome"], result["reason"], result["event_ids"]) == ("rejected", "no such call", [])


async def test_acknowledging_an_event_commands_its_call(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.answer = applied
        [entry] = front.commit(call("C7"))
        board = await front.join()
        await board.send("acknowledge", event_id=entry.events[0].id)
        result = await board.receive("command_result")
        assert result["outcome"] == "applied"
        [(topic, body)] = front.commands
        assert topic == "command/S1/A1/L1/_/andon"
        assert (body["action"], body["call_id"]) == ("acknowledge", "C7")


async def test_an_unreadable_event_answers_like_an_unknown_one(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        [entry] = front.commit(call("C1", line="L2"), status("L1"))
        board = await front.join(roles=["maintenance"], lines=["L1"])
        hidden = entry.events[0].id
        others = ["", "x", "main:other:1", hidden.replace(":1", ":99"), hidden + "9" * 30]
        for event_id in (hidden, *others[1:]):
            await board.send("acknowledge", event_id=event_id)
        await board.until(lambda: board.types.count("error") == 5)
        assert len({frame["message"] for frame in board.frames if frame["type"] == "error"}) == 1
        await board.send("acknowledge", event_id=entry.events[1].id)
        assert (await board.receive("error", code="INVALID_MESSAGE"))["message"] == "the event belongs to no Andon call"
        assert front.commands == []


async def test_explain_shows_the_grant_or_the_witness(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join(roles=["operator"], lines=["L1"])
        await board.send("explain", id="a", subscription_type="andon", target_id="L1")
        await board.send("explain", id="b", subscription_type="andon", target_id="L2")
        allowed, refused = await board.receive("explained", id="a"), await board.receive("explained", id="b")
        assert allowed["allowed"] is True
        assert allowed["grants"] == [{"filter": "+/+/L1/#", "reason": "role operator: +/+/{line}/#"}]
        assert refused["allowed"] is False
        assert "/L2/" in refused["witness"]
        viewer = front.authenticate(token(roles=["operator"], lines=["L1"]))
        over_http = await front.core.explain(viewer, {"id": "b", "subscription_type": "andon", "target_id": "L2"})
        assert {"type": "explained", **over_http} == refused
        assert "subscription_confirmed" not in board.types


async def test_http_commands_are_the_same(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.answer = applied

        async def sender() -> Viewer:
            return front.authenticate(token())

        assert await front.core.run_command(sender, dict(RAISE), user_id="eva") == {
            "id": "k1", "outcome": "applied", "event_ids": ["main:e:1"],
        }  # fmt: skip
        body = {"id": "k2", "action": "andon.raise", "line_id": "L1"}
        with pytest.raises(InvalidFrame):
            await front.core.run_command(sender, body, user_id="eva")


async def test_snapshot_over_http_holds_what_is_current_and_granted(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1"), call("C2", line="L2"), status())
        viewer = front.authenticate(token(roles=["operator"], lines=["L1"]))
        state = data_of(await front.core.read_snapshot(viewer, "+/+/+/+/andon/#"))
        assert [event["offset"] for event in state["events"]] == [1]
        assert state["effective"] == ["+/+/L1/+/andon/#"]
        assert state["positions"] == {"main": {"epoch": front.journal.epoch, "offset": 3}}
        with pytest.raises(InvalidFrame):
            await front.core.read_snapshot(viewer, "+/+/L2/#")


async def _all_pages(front: MemoryFront, limit: int) -> list[int]:
    viewer = front.authenticate(token(roles=["operator"], lines=["L1"]))
    offsets: list[int] = []
    cursor: str | None = None
    while True:
        page = await front.core.read_history(viewer, None, cursor=cursor, limit=limit, since=NOON, until=NOON + 1)
        offsets += [event["offset"] for event in data_of(page)["events"]]
        cursor = page.cursor
        if cursor is None:
            return offsets


async def test_history_comes_in_pages_without_gap_or_double(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(*(call(f"C{number}", line=("L1", "L2")[number % 2]) for number in range(9)), assignment())
        for limit in (1, 2, 1_000):
            assert await _all_pages(front, limit) == [1, 3, 5, 7, 9, 10]
        viewer = front.authenticate(token())
        nothing = await front.core.read_history(viewer, None, since=NOON + 1)
        assert nothing.events == ()
        for wrong in ({"limit": 0}, {"limit": 1_001}, {"cursor": "x"}, {"cursor": "other:3"}):
            with pytest.raises(InvalidFrame):
                await front.core.read_history(viewer, None, **wrong)


async def test_history_reports_a_cursor_beyond_retention(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(*(call(f"C{number}", standing=Standing.HISTORY) for number in range(9)))
        viewer = front.authenticate(token())
        page = await front.core.read_history(viewer, None, limit=2)
        front.journal.commit(Batch(entries=[], checkpoints={"L1": b"state"}))
        for published, remaining in ((2, 7), (5, 4), (9, 0)):
            front.journal.mark_published(published, retained=[])
            front.journal.prune(NOON, RetentionLimits(max_bytes=1))
            assert len((await front.core.read_history(viewer, None)).events) == remaining
            if published == 2:
                assert len((await front.core.read_history(viewer, None, cursor=page.cursor)).events) == remaining
                continue
            with pytest.raises(InvalidFrame, match="were deleted"):
                await front.core.read_history(viewer, None, cursor=page.cursor)
