"""The compiled attackers come from many addresses, come again when they are sent away, and leave where they are to."""

import asyncio
from collections import Counter
from pathlib import Path

from tests.attack.attackers import Attacker, Counts, attacking, running_sink
from tests.attack.relay import accepting_tls, connecting_by_tls
from tests.attack.shape import Attack
from tests.support.brokers import free_port, until
from tests.support.bytes_dashboard import UPGRADE
from tests.support.certificates import self_signed

REQUEST = b"GET / HTTP/1.1\r\n\r\n"


async def reached(attacker: Attacker, name: str, value: int) -> Counts:
    """Wait until a count has reached a value; return all counts."""
    counts = await attacker.counts()
    async with asyncio.timeout(30):
        while getattr(counts, name) < value:
            await asyncio.sleep(0.01)
            counts = await attacker.counts()
    return counts


async def test_they_come_from_so_many_addresses(tmp_path: Path) -> None:
    addresses = Counter[str]()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        addresses[writer.get_extra_info("peername")[0]] += 1
        await reader.read()
        writer.close()

    attack = Attack(connections=60, sources=20, records=[(b"", b"")], answer=b"")
    async with (
        await asyncio.start_server(note, "127.0.0.1", 0) as server,
        attacking(tmp_path, attack, server.sockets[0].getsockname()[1]) as attacker,
    ):
        await until(lambda: addresses.total() >= 60, what="60 connections")
        assert (await attacker.counts()).open == 60
    assert addresses == {f"127.1.0.{number}": 3 for number in range(20)}


async def test_one_that_is_sent_away_comes_again_with_the_next_records(tmp_path: Path) -> None:
    """A connection that ends before its upgrade is accepted was refused, a later one was closed."""
    heard: list[bytes] = []

    async def send_away(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))
        writer.close()

    records = [(REQUEST, b""), (UPGRADE[:50] + b"\r\n\r\n", b"")]
    attack = Attack(connections=1, records=records, answer=b"")
    async with (
        await asyncio.start_server(send_away, "127.0.0.1", 0) as server,
        attacking(tmp_path, attack, server.sockets[0].getsockname()[1]) as attacker,
    ):
        await until(lambda: len(heard) >= 6, what="six connections")
        counts = await attacker.counts()
    assert heard[:6] == [opening for opening, _ in records] * 3
    assert counts.closed in range(counts.refused - 1, counts.refused + 2)
    assert counts.closed > 1


async def test_it_goes_on_while_nobody_listens(tmp_path: Path) -> None:
    async with attacking(tmp_path, Attack(connections=2, records=[(b"", b"")], answer=b""), free_port()) as attacker:
        first = await attacker.counts()
        counts = await reached(attacker, "refused", first.refused + 3)
    assert (counts.opened, counts.sent) == (0, 0)


async def test_those_that_leave_come_and_go(tmp_path: Path) -> None:
    attack = Attack(connections=3, records=[(REQUEST, b"")], answer=b"", leaves=True)
    async with running_sink(tmp_path) as port, attacking(tmp_path, attack, port) as attacker:
        counts = await reached(attacker, "cycles", 20)
    assert counts.open <= 3
    assert counts.sent == counts.cycles * len(REQUEST)


async def test_rates_hold_for_all_connections_together(tmp_path: Path) -> None:
    rate = 20_000
    attack = Attack(connections=5, records=[(REQUEST, b"x" * 10)], answer=b"", bytes_per_second=rate, piece=1)
    began = asyncio.get_running_loop().time()
    async with running_sink(tmp_path) as port, attacking(tmp_path, attack, port) as attacker:
        counts = await reached(attacker, "cycles", rate // 10)
    seconds = asyncio.get_running_loop().time() - began
    assert rate <= counts.sent - 5 * len(REQUEST) <= rate * seconds


async def test_key_updates_are_answered_and_their_connections_stay(tmp_path: Path) -> None:
    attack = Attack(connections=2, records=[], answer=b"", key_updates=True)
    async with (
        running_sink(tmp_path) as plain_port,
        accepting_tls(self_signed(tmp_path), plain_port) as port,
        attacking(tmp_path, attack, port) as attacker,
    ):
        counts = await reached(attacker, "received", 100_000)
    assert counts.open == counts.opened == 2
    assert counts.sent >= 100_000


async def test_a_relay_to_tls_and_back_carries_what_comes(tmp_path: Path) -> None:
    files = self_signed(tmp_path)
    async with (
        running_sink(tmp_path) as plain_port,
        accepting_tls(files, plain_port) as tls_port,
        connecting_by_tls(files[0], tls_port, tls_port) as ports,
    ):
        assert len(set(ports)) == 2
        for port in ports:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST[:-2] + b"Connection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
            writer.close()


async def test_the_sink_answers_and_discards(tmp_path: Path) -> None:
    async with running_sink(tmp_path) as port:
        for opening, answer in (
            (UPGRADE, b"HTTP/1.1 101"),
            (REQUEST, b"HTTP/1.1 200"),
            (REQUEST[:-2] + b"Connection: close\r\n\r\n", b"HTTP/1.1 200"),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(opening)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(answer)
            if b"close" in opening:
                assert await reader.read() == b""
            else:
                writer.write(bytes(1 << 20))
                await writer.drain()
            writer.close()
