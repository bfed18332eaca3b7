"""Authentication of a dashboard's connection: tokens of the first frame and of the handshake, and their end."""

from pathlib import Path

import pytest

from bridge.domain.access.claims import TokenExpired
from bridge.domain.steps import complete
from tests.front.memory_front import call, memory_front
from tests.support.tokens import token

HOUR_MS = 3_600_000


async def test_auth_ok_states_the_user_and_the_grants(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call())
        board = await front.join(user="otto", roles=["operator"], lines=["L2"])
        answer = board.first("auth_ok")
        assert answer["user_id"] == "otto"
        assert answer["roles"] == ["operator"]
        assert answer["read"] == ["+/+/L2/#"]
        assert answer["command"] == ["+/+/L2/#"]
        assert answer["streams"] == {"main": {"epoch": front.journal.epoch, "offset": 1}}
        assert answer["simulated"] is False
        assert answer["server_time"] == "2026-01-06T12:00:00.000Z"


@pytest.mark.parametrize("proof", ["", "x", "a.b.c"])
async def test_an_invalid_token_is_refused_with_1008(tmp_path: Path, proof: str) -> None:
    async with memory_front(tmp_path) as front:
        authenticating, offered = front.connect(), front.connect(offered_token=proof or "none")
        await authenticating.send("auth", token=proof)
        assert (await authenticating.closed())[0] == 1008
        assert (await offered.closed())[0] == 1008
        assert offered.frames == []


async def test_an_expired_token_is_refused_with_4401(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        proof = token(ttl=60)
        front.clock.ahead_ms += 61_000
        board = front.connect()
        await board.send("auth", token=proof)
        assert (await board.closed())[0] == 4401


async def test_asking_before_auth_is_an_error_and_the_end(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = front.connect()
        await board.send("subscribe", subscription_type="andon")
        assert (await board.closed())[0] == 1008
        assert [frame["code"] for frame in board.frames] == ["UNAUTHENTICATED"]


async def test_silence_before_auth_ends_with_4408(tmp_path: Path) -> None:
    async with memory_front(tmp_path, auth_timeout_seconds=0.05) as front:
        board = front.connect()
        assert (await board.closed())[0] == 4408
        assert board.frames == []


async def test_a_token_that_waits_for_its_turn_is_not_late(tmp_path: Path) -> None:
    async with memory_front(tmp_path, auth_timeout_seconds=0.05) as front:
        board, silent = front.connect(), front.connect()
        board.socket.pause_reading()
        await board.send("auth", token=token())
        await silent.closed()
        board.socket.resume_reading()
        await board.receive("auth_ok")


@pytest.mark.parametrize("steps_before", [0, 1])
async def test_a_token_that_ends_while_it_is_admitted_is_refused(tmp_path: Path, *, steps_before: int) -> None:
    async with memory_front(tmp_path) as front:
        steps = front.core.authenticate(token(ttl=60, roles=[], grants={"read": ["+/+/L1/#"] * 200}))
        for _ in range(steps_before):
            next(steps)
        front.clock.ahead_ms += 61_000
        with pytest.raises(TokenExpired):
            complete(steps)


async def test_with_a_token_in_the_handshake_nothing_comes_before_the_first_answer(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board, witness = front.connect(offered_token=token()), await front.join(user="otto")
        front.core.set_link_state(broker_connected=True, stream_live=True, last_seen=None)
        await witness.receive("link", broker=True)
        assert board.frames == []
        await board.send("subscribe", subscription_type="andon")
        await board.receive("link")
        await board.receive("snapshot_end")
        assert board.frames[0]["type"] == "subscription_confirmed"
        assert "auth_ok" not in board.types


async def test_with_a_token_in_the_handshake_auth_is_answered_first_too(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = front.connect(offered_token=token())
        await board.send("auth", token=token())
        await board.receive("link")
        assert board.frames[0]["type"] == "auth_ok"


async def test_with_a_token_in_the_handshake_a_command_is_answered_first(tmp_path: Path) -> None:
    async with memory_front(tmp_path, command_timeout_seconds=0.05) as front:
        board = front.connect(offered_token=token())
        await board.send("command", id="1", action="andon.raise", line_id="L1", andon_type="quality")
        await board.receive("link")
        assert board.frames[0]["type"] == "command_result"


async def test_a_token_that_expires_on_a_living_socket_ends_it_with_4401(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join(ttl=90)
        await board.send("subscribe", subscription_type="andon")
        await board.receive("snapshot_end")
        front.clock.ahead_ms += 40_000
        await board.receive("expiring")
        front.clock.ahead_ms += 51_000
        front.commit(call())
        assert (await board.closed())[0] == 4401
        assert board.live_offsets == []


async def test_nothing_is_done_for_a_token_that_has_expired(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join(ttl=90)
        front.clock.ahead_ms += 91_000
        await board.send("command", id="1", action="andon.raise", line_id="L1", andon_type="quality")
        assert (await board.closed())[0] == 4401
        assert front.commands == []
        assert board.types == ["auth_ok"]
