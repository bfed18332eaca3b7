"""Slots of a user and of the front: each is free again when its connection has ended, whatever ended it."""

from pathlib import Path

import pytest

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.protocol import dashboard_protocol
from tests.front.memory_front import MemoryFront, memory_front
from tests.support.tokens import token


def slots(front: MemoryFront) -> tuple[int, int]:
    statistics = front.core.statistics()
    return statistics["connections"], statistics["users"]


async def test_a_connection_that_ends_frees_its_slot(tmp_path: Path) -> None:
    async with memory_front(tmp_path, max_connections_per_user=2) as front:
        for _ in range(3):
            boards = [await front.join(), await front.join()]
            assert slots(front) == (2, 1)
            for board in boards:
                await board.disconnect()
            assert slots(front) == (0, 0)


async def test_connections_are_bounded_in_all_and_by_user(tmp_path: Path) -> None:
    async with memory_front(tmp_path, max_connections=3, max_connections_per_user=2) as front:
        await front.join()
        await front.join()
        third = front.connect()
        await third.send("auth", token=token())
        assert (await third.closed())[0] == 4429
        await front.join(user="otto")
        fourth, silent = front.connect(), front.connect()
        await fourth.send("auth", token=token(user="anna"))
        assert (await fourth.closed())[0] == 4429
        assert {bound: count for bound, count in front.core.refused.items() if count} == {
            "max_connections": 1,
            "max_connections_per_user": 1,
        }
        assert front.core.statistics()["authenticated"] == 3
        await silent.disconnect()


VERIFYING, ACCEPTING = (TokenAuthenticator, "admit_in_steps"), (dashboard_protocol, "DashboardSession")
ANSWERING = (dashboard_protocol, "rfc3339")


@pytest.mark.parametrize(
    ("fault", "in_handshake"),
    [(VERIFYING, False), (ACCEPTING, False), (ANSWERING, False), (VERIFYING, True), (ACCEPTING, True)],
)
async def test_a_fault_at_authentication_frees_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: tuple[object, str], *, in_handshake: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OverflowError

    async with memory_front(tmp_path, max_connections_per_user=2) as front:
        with monkeypatch.context() as patch:
            patch.setattr(*fault, fail)
            for _ in range(3):
                board = front.connect(offered_token=token() if in_handshake else None)
                if not in_handshake:
                    await board.send("auth", token=token())
                assert (await board.closed())[0] == 1012
                assert slots(front) == (0, 0)
        await front.join()
        await front.join()
        assert slots(front) == (2, 1)
