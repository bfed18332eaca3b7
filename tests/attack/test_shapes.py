"""The shapes of attacks are what they say: a front takes their openings and answers them, the attackers send them."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from bridge.http.load import EndReason, ServerLoad
from bridge.http.prometheus import PrometheusExporter
from bridge.settings.web import WebSettings
from tests.attack.attackers import attacking
from tests.attack.budgets import counters
from tests.attack.shape import Attack, Shape
from tests.attack.shapes import QUICK_SHAPES, all_shapes
from tests.attack.tls_shapes import ALERT, SERVER_HELLO
from tests.support.brokers import until
from tests.support.certificates import self_signed
from tests.support.command_line import ROOT
from tests.support.front_server import served_front

ACCEPTED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
UPGRADED = b" 101 "
PATIENCE = 20.0
SHAPES = all_shapes("some epoch")
PLAIN = [shape for shape in SHAPES if not shape.tls]
HANDSHAKES, _ = (shape.attacks[0] for shape in SHAPES if shape.tls)


def test_there_are_33_different_shapes_each_a_documented_threat() -> None:
    threats = set(re.findall(r"^\| ([A-Z]\d+) \|", (ROOT / "docs" / "threats.md").read_text(), re.MULTILINE))
    assert [shape.number for shape in SHAPES] == list(range(1, 34))
    assert len({shape.name for shape in SHAPES}) == len(SHAPES)
    assert [shape.name for shape in SHAPES if shape.threat not in threats] == []
    assert {*QUICK_SHAPES} <= {shape.number for shape in SHAPES}


def test_each_shape_has_a_counter_of_the_web_server_that_it_must_raise() -> None:
    """The values of the labels that come with the first event are compared by a run only."""
    metrics = PrometheusExporter(ServerLoad(WebSettings()).samples).render().decode()
    known = {name.partition("=")[0] for name in counters(metrics)}
    assert [shape.name for shape in SHAPES if shape.budget.partition("=")[0] not in known] == []


async def test_a_front_accepts_and_answers_each_shape(tmp_path: Path) -> None:
    unanswered: list[tuple[str, bytes]] = []
    async with served_front(tmp_path) as front:
        for shape in all_shapes(front.journal.epoch)[: len(PLAIN)]:
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
    recording: set[asyncio.StreamWriter] = set()

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = bytearray()
        received.append(mine)
        recording.add(writer)
        accepted = False
        with contextlib.suppress(OSError):
            while more := await reader.read(1 << 16):
                mine += more
                if not accepted and mine.startswith(b"GET /ws") and b"\r\n\r\n" in mine:
                    accepted = True
                    writer.write(ACCEPTED)
        writer.transport.abort()
        recording.remove(writer)

    async with await asyncio.start_server(record, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], received
        await until(lambda: not recording, what="the attackers are gone")


async def test_attackers_send_what_the_shape_says(tmp_path: Path) -> None:
    async with _recording_server() as (port, received):
        for shape in PLAIN:
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


async def test_a_front_does_the_expensive_part_of_each_tls_handshake(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    web = WebSettings(tls_cert_file=certificate, tls_key_file=key)
    load = ServerLoad(web)
    opening, _ = HANDSHAKES.records[0]
    async with served_front(tmp_path, web, load=load) as front:
        answer = await _answer(front.port, opening.removesuffix(ALERT), b"", (SERVER_HELLO,))
        assert answer.startswith(SERVER_HELLO)
        for _ in range(2):
            await _answer(front.port, opening, b"", (b"more than that",))
        await until(lambda: load.ended[EndReason.NO_TLS] == 3, what="each is ended, and may come again")
