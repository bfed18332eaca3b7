"""The shapes of attacks are what they say: a front takes their openings and answers them, the attackers send them."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from tests.attack.attackers import attacking
from tests.attack.shape import Attack, Shape
from tests.attack.shapes import BUDGETS, QUICK_SHAPES, all_shapes
from tests.support.brokers import until
from tests.support.command_line import ROOT
from tests.support.front_server import served_front

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
UPGRADED = b" 101 "
PATIENCE = 20.0
SHAPES = all_shapes("some epoch")


def test_there_are_thirty_different_shapes_each_a_documented_threat() -> None:
    threats = set(re.findall(r"^\| ([A-Z]\d+) \|", (ROOT / "docs" / "threats.md").read_text(), re.MULTILINE))
    assert [shape.number for shape in SHAPES] == list(range(1, 31))
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
    assert [shape.name for shape in SHAPES if shape.threat not in threats] == []
    assert {*QUICK_SHAPES, *BUDGETS} <= {shape.number for shape in SHAPES}


async def test_a_front_accepts_and_answers_each_shape(tmp_path: Path) -> None:
    unanswered: list[tuple[str, bytes]] = []
    async with served_front(tmp_path) as front:
        for shape in all_shapes(front.journal.epoch):
            for attack in shape.attacks:
                for opening, repeated in attack.records:
                    expected = _expected(attack, opening)
                    repeated_first = repeated[: int(attack.bytes_per_second / attack.connections) or None]
                    answer = await _answer(front.port, opening, repeated_first, expected)
                    if not all(part in answer for part in expected):
                        unanswered.append((shape.name, answer[-500:]))
    assert unanswered == []


def _expected(attack: Attack, opening: bytes) -> tuple[bytes, ...]:
    """Return what is in the answers to an opening and a second of what is repeated."""
    upgraded = (UPGRADED,) if opening.startswith(b"GET /ws") else ()
    authenticated = (b'"auth_ok"',) if b'"auth"' in opening and attack.answer != b"token invalid" else ()
    return *upgraded, *authenticated, attack.answer


async def _answer(port: int, opening: bytes, repeated: bytes, expected: tuple[bytes, ...]) -> bytes:
    """Return what a server answers until all that is expected has come, or the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    writer.write(opening)
    with contextlib.suppress(TimeoutError, OSError, EOFError):
        async with asyncio.timeout(PATIENCE):
            if expected[0] == UPGRADED:
                answer = await reader.readuntil(b"\r\n\r\n")
            writer.write(repeated)
            while not all(part in answer for part in expected) and (more := await reader.read(1 << 20)):
                answer += more
    writer.transport.abort()
    return answer


@contextlib.asynccontextmanager
async def _recording_server() -> AsyncIterator[tuple[int, list[bytearray]]]:
    """Run a server that accepts upgrades; yield its port, and what each connection has sent."""
    received: list[bytearray] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = bytearray()
        received.append(mine)
        accepted = False
        with contextlib.suppress(OSError):
            while more := await reader.read(1 << 16):
                mine += more
                if not accepted and mine.startswith(b"GET /ws") and b"\r\n\r\n" in mine:
                    accepted = True
                    writer.write(ACCEPTED)
        writer.close()

    async with await asyncio.start_server(record, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], received


async def test_attackers_send_what_the_shape_says(tmp_path: Path) -> None:
    async with _recording_server() as (port, received):
        for shape in SHAPES:
            for attack in shape.attacks:
                await _check_sent(tmp_path, port, received, shape, attack)


async def _check_sent(folder: Path, port: int, received: list[bytearray], shape: Shape, attack: Attack) -> None:
    received.clear()
    opening, repeated = attack.records[0]
    wanted = opening + repeated + repeated[: len(repeated) // 2]
    if attack.bytes_per_second:  # no more than a part of a second brings
        wanted = wanted[: len(opening) + max(3, int(attack.bytes_per_second / 10))]
    one = replace(attack, connections=1, records=attack.records[:1])
    async with attacking(folder, one, port) as attacker:
        await until(lambda: bool(received) and len(received[0]) >= len(wanted), what=shape.name)
        counts = await attacker.counts()
    assert received[0].startswith(wanted), shape.name
    assert counts.refused == 0
    assert counts.opened >= 1
    assert counts.sent >= len(wanted)
