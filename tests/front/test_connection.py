"""An authenticated connection: refresh, revocation, bounds and close codes. Source: protocol.md, «Close codes»."""

import json
from pathlib import Path

import pytest

from bridge.domain.access.claims import TokenError
from bridge.domain.access.revocations import Revocations
from tests.front.memory_front import call, memory_front
from tests.support.tokens import token

HOUR_MS = 3_600_000


async def test_a_refresh_continues_without_a_gap(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join(ttl=90)
        await board.send("subscribe", subscription_type="andon")
        await board.receive("snapshot_end")
        await board.send("auth", token=token(ttl=3_600))
        front.commit(call("C1"))
        await board.receive("auth_ok")
        front.clock.ahead_ms += 100_000
        front.commit(call("C2"))
        await board.receive("andon_event", subject="C2")
        assert board.live_offsets == [1, 2]
        assert {"revoked", "widened"}.isdisjoint(board.types)


async def test_a_refresh_revokes_and_widens_in_place(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1", line="L1"), call("C2", line="L2"), call("C3", line="L3"))
        board = await front.join(roles=["operator"], lines=["L1", "L2"])
        await board.send("subscribe", id="all", subscription_type="andon")
        await board.receive("snapshot_end")
        assert board.offsets == [1, 2]
        before = len(board.frames)
        await board.send("auth", token=token(roles=["operator"], lines=["L2", "L3"]))
        widened = await board.receive("widened")
        revoked = await board.receive("revoked")
        await board.receive("snapshot_end")
        assert revoked["filters"] == ["+/+/L1/+/andon/#"]
        assert widened["filters"] == ["+/+/L3/+/andon/#"]
        assert widened["subscriptions"] == [{"id": "all", "effective": ["+/+/L2/+/andon/#", "+/+/L3/+/andon/#"]}]
        assert [frame["offset"] for frame in board.frames[before:] if "offset" in frame] == [2, 3]
        front.commit(call("C4", line="L1"), call("C5", line="L2"), call("C6", line="L3"))
        await board.receive("andon_event", subject="C6")
        assert board.live_offsets == [5, 6]


async def test_an_event_that_is_not_sent_when_it_is_revoked_is_never_sent(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join(roles=["operator"], lines=["L1", "L2"])
        await board.send("subscribe", id="all", subscription_type="andon")
        await board.receive("snapshot_end")
        await board.receive("position")
        board.stop_reading()
        front.commit(call("C0", line="L2"))
        front.commit(*(call(f"C{number}", line="L1") for number in range(5)))
        await board.send("auth", token=token(roles=["operator"], lines=["L2"]))
        front.commit(call("C9", line="L2"))
        board.read_on()
        await board.receive("andon_event", subject="C9")
        assert {frame["line_id"] for frame in board.frames if frame["type"] == "andon_event"} == {"L2"}
        assert front.core.statistics()["ledger"]["matched"] == {"andon_event": 2}


async def test_a_subscription_left_with_nothing_returns_with_a_wider_token(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join(roles=["operator"], lines=["L1"])
        await board.send("subscribe", subscription_type="andon")
        await board.receive("snapshot_end")
        await board.send("auth", token=token(roles=["operator"], lines=[]))
        revoked = await board.receive("revoked")
        assert revoked["subscriptions"] == [{"id": "andon:all", "effective": []}]
        front.commit(call("C1"))
        await board.send("auth", token=token(roles=["operator"], lines=["L1"]))
        await board.receive("widened")
        await board.receive("snapshot_end", id="andon:all")
        front.commit(call("C2"))
        await board.receive("andon_event", subject="C2")
        assert board.offsets == [1, 2]


async def test_a_refresh_by_another_user_or_with_an_invalid_token_changes_nothing(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join(user="eva", roles=["operator"], lines=["L1"])
        await board.send("subscribe", subscription_type="andon")
        await board.receive("snapshot_end")
        await board.send("auth", token=token(user="otto"))
        await board.send("auth", token="nonsense")
        await board.receive("error", code="FORBIDDEN")
        await board.receive("error", code="UNAUTHENTICATED")
        front.commit(call("C1", line="L2"), call("C2", line="L1"))
        await board.receive("andon_event", subject="C2")
        assert board.live_offsets == [2]


async def test_subscriptions_are_bounded_and_asking_again_is_none_more(tmp_path: Path) -> None:
    async with memory_front(tmp_path, max_subscriptions=2) as front:
        board = await front.join()
        for line in ("L1", "L2", "L2", "L3"):
            await board.send("subscribe", subscription_type="andon", target_id=line)
        refused = await board.receive("error")
        assert (refused["code"], refused["id"]) == ("LIMIT_EXCEEDED", "andon:L3")
        assert board.types.count("subscription_confirmed") == 3


async def test_asking_again_loses_no_alarm_that_waits(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        body = {"type": "subscribe", "subscription_type": "andon", "target_id": "L1"}
        await board.send(body)
        await board.receive("snapshot_end")
        await board.receive("position")
        board.stop_reading()
        front.commit(call("C1"), call("C1", status="resolved"))
        await board.send(body)
        board.read_on()
        await board.receive("snapshot_end")
        assert board.live_offsets == [1, 2]


async def test_a_flood_is_reported_once_and_then_ended_with_4429(tmp_path: Path) -> None:
    async with memory_front(tmp_path, max_frames_per_second=5) as front:
        board = await front.join()
        for _ in range(30):
            await board.send("ping")
        assert (await board.closed())[0] == 4429
        assert [frame["code"] for frame in board.frames if frame["type"] == "error"] == ["RATE_LIMITED"]


async def test_a_frame_over_the_limit_ends_with_1009(tmp_path: Path) -> None:
    async with memory_front(tmp_path, max_frame_bytes=1_024) as front:
        board = await front.join()
        await board.send("ping", padding="ä" * 600)
        assert (await board.closed())[0] == 1009


async def test_a_shutdown_spreads_the_return_with_1012(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        boards = [await front.join(user=f"user{number}") for number in range(4)]
        front.core.shutdown(spread_seconds=8)
        ends = [await board.closed() for board in boards]
        assert {code for code, _ in ends} == {1012}
        assert [json.loads(reason)["retry_after"] for _, reason in ends] == [2, 4, 6, 8]
        late = front.connect()
        assert (await late.closed())[0] == 1012
        assert front.core.readiness() == (False, "closing")


async def test_revoked_access_ends_with_4403(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        eva, otto = await front.join(), await front.join(user="otto")
        front.authenticator.revocations = Revocations(users=frozenset({"eva"}))
        assert await front.core.close_revoked() == 1
        assert (await eva.closed())[0] == 4403
        await otto.send("ping")
        await otto.receive("pong")


async def test_while_the_revocations_are_unknown_a_dashboard_is_told_to_come_back(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.authenticator.revocations = None
        authenticating, offered, stranger = front.connect(), front.connect(offered_token=token()), front.connect()
        await authenticating.send("auth", token=token())
        await stranger.send("auth", token=token(iss="another"))
        assert (await authenticating.closed())[0] == (await offered.closed())[0] == 1012
        assert (await stranger.closed())[0] == 1008
        front.authenticator.revocations = Revocations()
        await front.join()


async def test_an_unreadable_frame_is_an_error_and_the_connection_stays_open(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.send_text("{")
        await board.send_text(b"{}")
        await board.send_text("[]")
        await board.send("dance")
        await board.send("subscribe", subscription_type="dance")
        await board.send("subscribe", subscription_type="andon", target_id="")
        await board.send("ping", timestamp=7)
        pong = await board.receive("pong")
        assert pong["timestamp"] == 7
        codes = [frame["code"] for frame in board.frames if frame["type"] == "error"]
        assert codes == [
            "INVALID_JSON", "INVALID_MESSAGE", "INVALID_MESSAGE", "UNKNOWN_TYPE", "UNKNOWN_SUBSCRIPTION_TYPE",
            "MISSING_TARGET_ID",
        ]  # fmt: skip


async def test_over_http_the_same_token_makes_the_same_viewer(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        assert front.authenticate(token(user="otto")).user_id == "otto"
        with pytest.raises(TokenError):
            front.authenticate("nonsense")
