"""Authentication, its lifetime, and close codes: protocol.md, «Authentication» and «Close codes»."""

import json
from pathlib import Path

import pytest

from bridge.domain.access.claims import TokenError
from bridge.domain.access.revocations import Revocations
from tests.front.memory_front import call, memory_front
from tests.support.brokers import until
from tests.support.tokens import token

HOUR_MS = 3_600_000


async def test_auth_ok_says_who_one_is_and_what_one_may(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        shop.commit(call())
        board = await shop.join(user="otto", roles=["operator"], lines=["L2"])
        answer = board.first("auth_ok")
        assert answer["user_id"] == "otto"
        assert answer["roles"] == ["operator"]
        assert answer["read"] == ["+/+/L2/#"]
        assert answer["command"] == ["+/+/L2/#"]
        assert answer["streams"] == {"main": {"epoch": shop.journal.epoch, "offset": 1}}
        assert answer["simulated"] is False
        assert answer["server_time"] == "2026-01-06T12:00:00.000Z"


@pytest.mark.parametrize("proof", ["", "x", "a.b.c"])
async def test_a_bad_token_is_refused_with_1008(tmp_path: Path, proof: str) -> None:
    async with memory_front(tmp_path) as shop:
        said, offered = shop.connect(), shop.connect(offered_token=proof or "none")
        await said.send("auth", token=proof)
        assert (await said.closed())[0] == 1008
        assert (await offered.closed())[0] == 1008
        assert offered.frames == []


async def test_an_expired_token_is_refused_with_4401(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        proof = token(ttl=60)
        shop.clock.ahead_ms += 61_000
        board = shop.connect()
        await board.send("auth", token=proof)
        assert (await board.closed())[0] == 4401


async def test_asking_before_auth_is_an_error_and_the_end(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = shop.connect()
        await board.send("subscribe", subscription_type="andon")
        assert (await board.closed())[0] == 1008
        assert [each["code"] for each in board.frames] == ["UNAUTHENTICATED"]


async def test_silence_before_auth_ends_with_4408(tmp_path: Path) -> None:
    async with memory_front(tmp_path, auth_timeout_seconds=0.05) as shop:
        board = shop.connect()
        assert (await board.closed())[0] == 4408
        assert board.frames == []


async def test_with_a_token_in_the_handshake_nothing_comes_before_the_first_answer(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board, witness = shop.connect(offered_token=token()), await shop.join(user="otto")
        shop.front.set_link_state(broker_connected=True, stream_live=True, last_seen=None)
        await witness.receive("link", broker=True)
        assert board.frames == []
        await board.send("subscribe", subscription_type="andon")
        await board.receive("snapshot_end")
        await board.receive("link")
        assert board.frames[0]["type"] == "subscription_confirmed"
        assert "auth_ok" not in board.types


async def test_with_a_token_in_the_handshake_auth_is_answered_first_too(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = shop.connect(offered_token=token())
        await board.send("auth", token=token())
        await board.receive("link")
        assert board.frames[0]["type"] == "auth_ok"


async def test_with_a_token_in_the_handshake_a_command_is_answered_first(tmp_path: Path) -> None:
    async with memory_front(tmp_path, command_timeout_seconds=0.05) as shop:
        board = shop.connect(offered_token=token())
        await board.send("command", id="1", action="andon.raise", line_id="L1", andon_type="quality")
        await board.receive("link")
        assert board.frames[0]["type"] == "command_result"


async def test_a_token_that_expires_on_a_living_socket_ends_it_with_4401(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join(ttl=90)
        await board.send("subscribe", subscription_type="andon")
        await board.receive("snapshot_end")
        shop.clock.ahead_ms += 40_000
        await board.receive("expiring")
        shop.clock.ahead_ms += 51_000
        shop.commit(call())
        assert (await board.closed())[0] == 4401
        assert board.live_offsets == []


async def test_nothing_is_done_for_a_token_that_has_expired(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join(ttl=90)
        shop.clock.ahead_ms += 91_000
        await board.send("command", id="1", action="andon.raise", line_id="L1", andon_type="quality")
        assert (await board.closed())[0] == 4401
        assert shop.commands == []
        assert board.types == ["auth_ok"]


async def test_a_refresh_goes_on_without_a_gap(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join(ttl=90)
        await board.send("subscribe", subscription_type="andon")
        await board.receive("snapshot_end")
        await board.send("auth", token=token(ttl=3_600))
        shop.commit(call("C1"))
        await board.receive("auth_ok")
        shop.clock.ahead_ms += 100_000
        shop.commit(call("C2"))
        await board.receive("andon_event", subject="C2")
        assert board.live_offsets == [1, 2]
        assert {"revoked", "widened"}.isdisjoint(board.types)


async def test_a_refresh_revokes_and_widens_in_place(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        shop.commit(call("C1", line="L1"), call("C2", line="L2"), call("C3", line="L3"))
        board = await shop.join(roles=["operator"], lines=["L1", "L2"])
        await board.send("subscribe", id="all", subscription_type="andon")
        await board.receive("snapshot_end")
        assert board.offsets == [1, 2]
        seen = len(board.frames)
        await board.send("auth", token=token(roles=["operator"], lines=["L2", "L3"]))
        widened = await board.receive("widened")
        revoked = await board.receive("revoked")
        await board.receive("snapshot_end")
        assert revoked["filters"] == ["+/+/L1/+/andon/#"]
        assert widened["filters"] == ["+/+/L3/+/andon/#"]
        assert widened["subscriptions"] == [{"id": "all", "effective": ["+/+/L2/+/andon/#", "+/+/L3/+/andon/#"]}]
        assert [each["offset"] for each in board.frames[seen:] if "offset" in each] == [2, 3]
        shop.commit(call("C4", line="L1"), call("C5", line="L2"), call("C6", line="L3"))
        await board.receive("andon_event", subject="C6")
        assert board.live_offsets == [5, 6]


async def test_what_waits_and_is_revoked_is_never_sent(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join(roles=["operator"], lines=["L1", "L2"])
        await board.send("subscribe", id="all", subscription_type="andon")
        await board.receive("snapshot_end")
        await board.receive("position")
        board.stop_reading()
        shop.commit(call("C0", line="L2"))
        shop.commit(*(call(f"C{number}", line="L1") for number in range(5)))
        await board.send("auth", token=token(roles=["operator"], lines=["L2"]))
        await until(lambda: bool(shop.front.statistics()["ledger"].get("revoked")), what="the new token is in force")
        shop.commit(call("C9", line="L2"))
        board.read_on()
        await board.receive("andon_event", subject="C9")
        assert {each["line_id"] for each in board.frames if each["type"] == "andon_event"} == {"L2"}
        assert shop.front.statistics()["ledger"]["revoked"] == {"andon_event": 5}


async def test_a_subscription_left_with_nothing_comes_back_with_a_wider_token(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join(roles=["operator"], lines=["L1"])
        await board.send("subscribe", subscription_type="andon")
        await board.receive("snapshot_end")
        await board.send("auth", token=token(roles=["operator"], lines=[]))
        revoked = await board.receive("revoked")
        assert revoked["subscriptions"] == [{"id": "andon:all", "effective": []}]
        shop.commit(call("C1"))
        await board.send("auth", token=token(roles=["operator"], lines=["L1"]))
        await board.receive("widened")
        await board.receive("snapshot_end", id="andon:all")
        shop.commit(call("C2"))
        await board.receive("andon_event", subject="C2")
        assert board.offsets == [1, 2]


async def test_a_refresh_by_another_user_or_with_a_bad_token_changes_nothing(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join(user="eva", roles=["operator"], lines=["L1"])
        await board.send("subscribe", subscription_type="andon")
        await board.receive("snapshot_end")
        await board.send("auth", token=token(user="otto"))
        await board.send("auth", token="nonsense")
        await board.receive("error", code="FORBIDDEN")
        await board.receive("error", code="UNAUTHENTICATED")
        shop.commit(call("C1", line="L2"), call("C2", line="L1"))
        await board.receive("andon_event", subject="C2")
        assert board.live_offsets == [2]


async def test_connections_are_bounded_in_all_and_by_user(tmp_path: Path) -> None:
    async with memory_front(tmp_path, max_connections=3, max_connections_per_user=2) as shop:
        await shop.join()
        await shop.join()
        third = shop.connect()
        await third.send("auth", token=token())
        assert (await third.closed())[0] == 4429
        await shop.join(user="otto")
        fourth = shop.connect()
        assert (await fourth.closed())[0] == 4429


async def test_subscriptions_are_bounded_and_asking_again_is_none_more(tmp_path: Path) -> None:
    async with memory_front(tmp_path, max_subscriptions=2) as shop:
        board = await shop.join()
        for line in ("L1", "L2", "L2", "L3"):
            await board.send("subscribe", subscription_type="andon", target_id=line)
        refused = await board.receive("error")
        assert (refused["code"], refused["id"]) == ("LIMIT_EXCEEDED", "andon:L3")
        assert board.types.count("subscription_confirmed") == 3


async def test_asking_again_loses_no_alarm_that_waits(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join()
        body = {"type": "subscribe", "subscription_type": "andon", "target_id": "L1"}
        await board.send(body)
        await board.receive("snapshot_end")
        await board.receive("position")
        board.stop_reading()
        shop.commit(call("C1"), call("C1", status="resolved"))
        await board.send(body)
        board.read_on()
        await board.receive("snapshot_end")
        assert board.live_offsets == [1, 2]


async def test_a_flood_is_told_once_and_then_ended_with_4429(tmp_path: Path) -> None:
    async with memory_front(tmp_path, max_frames_per_second=5) as shop:
        board = await shop.join()
        for _ in range(30):
            await board.send("ping")
        assert (await board.closed())[0] == 4429
        assert [each["code"] for each in board.frames if each["type"] == "error"] == ["RATE_LIMITED"]


async def test_a_frame_over_the_limit_ends_with_1009(tmp_path: Path) -> None:
    async with memory_front(tmp_path, max_frame_bytes=1_024) as shop:
        board = await shop.join()
        await board.send("ping", padding="ä" * 600)
        assert (await board.closed())[0] == 1009


async def test_a_shutdown_spreads_the_return_with_1012(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        boards = [await shop.join(user=f"user{number}") for number in range(4)]
        await shop.front.shutdown(spread_seconds=8)
        ends = [await board.closed() for board in boards]
        assert {code for code, _ in ends} == {1012}
        assert [json.loads(reason)["retry_after"] for _, reason in ends] == [2, 4, 6, 8]
        late = shop.connect()
        assert (await late.closed())[0] == 1012
        assert shop.front.readiness() == (False, "closing")


async def test_revoked_access_ends_with_4403(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        eva, otto = await shop.join(), await shop.join(user="otto")
        assert shop.front.close_revoked(Revocations(users=frozenset({"eva"}))) == 1
        assert (await eva.closed())[0] == 4403
        await otto.send("ping")
        await otto.receive("pong")


async def test_what_cannot_be_read_is_an_error_and_the_connection_lives(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        board = await shop.join()
        await board.send_text("{")
        await board.send_text(b"{}")
        await board.send_text("[]")
        await board.send("dance")
        await board.send("subscribe", subscription_type="dance")
        await board.send("subscribe", subscription_type="andon", target_id="")
        await board.send("ping", timestamp=7)
        pong = await board.receive("pong")
        assert pong["timestamp"] == 7
        codes = [each["code"] for each in board.frames if each["type"] == "error"]
        assert codes == [
            "INVALID_JSON", "INVALID_MESSAGE", "INVALID_MESSAGE", "UNKNOWN_TYPE", "UNKNOWN_SUBSCRIPTION_TYPE",
            "MISSING_TARGET_ID",
        ]  # fmt: skip


async def test_over_http_the_same_token_makes_the_same_viewer(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as shop:
        assert shop.front.authenticate(token(user="otto")).user_id == "otto"
        with pytest.raises(TokenError):
            shop.front.authenticate("nonsense")
