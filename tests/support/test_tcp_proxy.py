"""The tests' TCP proxy delays, cuts and freezes as requested, in either direction."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.support.brokers import until
from tests.support.tcp_proxy import ConnectionEnd, Cut, TcpProxy, tcp_proxy

PATIENCE = 5.0


class ProxyTalk:
    """A client behind the proxy, and a server that records its input and sends on request."""

    def __init__(self, network: TcpProxy) -> None:
        self.network = network
        self.received = bytearray()
        self.ended: list[str] = []
        self.served = 0
        self.server: asyncio.StreamWriter | None = None
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server = writer
        self.served += 1
        try:
            while piece := await reader.read(1_000):
                self.received += piece
            self.ended.append("FIN")
        except ConnectionResetError:
            self.ended.append("RST")
        finally:
            writer.close()

    async def connect(self) -> asyncio.StreamReader:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.network.port)
        self.writers.append(writer)
        writer.write(b"hello")
        return reader

    def send(self, data: bytes) -> None:
        assert self.server is not None
        self.server.write(data)


@contextlib.asynccontextmanager
async def talking() -> AsyncIterator[ProxyTalk]:
    talks: list[ProxyTalk] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talks[0].serve(reader, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with tcp_proxy(server.sockets[0].getsockname()[1]) as network:
        talks.append(ProxyTalk(network))
        yield talks[0]
        for writer in talks[0].writers:
            writer.close()
        server.close()
        await until(lambda: len(talks[0].ended) == talks[0].served)


async def how_it_ends(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    received = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            while piece := await reader.read(1_000):
                received += piece
    except ConnectionResetError:
        return bytes(received), "RST"
    return bytes(received), "FIN"


async def test_it_passes_bytes_and_their_end_both_ways() -> None:
    async with talking() as talk:
        reader = await talk.connect()
        await until(lambda: talk.received == b"hello")
        talk.send(b"good day")
        assert await reader.readexactly(8) == b"good day"
        talk.writers[0].close()
        await until(lambda: talk.ended == ["FIN"])
        assert (talk.network.to_server.passed, talk.network.to_client.passed) == (5, 8)


@pytest.mark.parametrize("end", ConnectionEnd)
async def test_a_planned_cut_ends_the_next_connection_within_a_byte(end: ConnectionEnd) -> None:
    async with talking() as talk:
        talk.network.plan_cut(Cut(after=3, end=end))
        reader = await talk.connect()
        await until(lambda: talk.received == b"hello")
        talk.send(b"good day")
        received, ending = await how_it_ends(reader)
        assert ending == end.value
        assert received == b"goo" if end is ConnectionEnd.CLOSE else b"goo".startswith(received)
        await until(lambda: talk.ended == [end.value])
        again = await talk.connect()
        await until(lambda: talk.received == b"hellohello")
        talk.send(b"good day")
        assert await again.readexactly(8) == b"good day"


async def test_a_cut_of_the_client_stream_passes_exactly_its_bytes() -> None:
    async with talking() as talk:
        talk.network.plan_cut(Cut(after=2, end=ConnectionEnd.CLOSE, from_client=True))
        reader = await talk.connect()
        assert await how_it_ends(reader) == (b"", "FIN")
        await until(lambda: talk.ended == ["FIN"])
        assert talk.received == b"he"


async def test_frozen_it_ends_nothing_and_passes_nothing_until_it_thaws() -> None:
    async with talking() as talk:
        reader = await talk.connect()
        await until(lambda: talk.received == b"hello")
        talk.network.freeze()
        talk.send(b"good day")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        talk.network.thaw()
        async with asyncio.timeout(PATIENCE):
            assert await reader.readexactly(8) == b"good day"


async def test_a_narrow_way_takes_its_time_and_a_long_one_too() -> None:
    async with talking() as talk:
        reader = await talk.connect()
        await until(lambda: talk.received == b"hello")
        loop = asyncio.get_running_loop()
        times = []
        for weather in ({}, {"bytes_per_second": 20_000.0}, {"delay_seconds": 0.2}):
            talk.network.to_client.bytes_per_second = weather.get("bytes_per_second")
            talk.network.to_client.delay_seconds = weather.get("delay_seconds", 0.0)
            began = loop.time()
            talk.send(b"x" * 5_000)
            await reader.readexactly(5_000)
            times.append(loop.time() - began)
        plain, narrow, long = times
        assert narrow > max(0.2, plain)
        assert long > max(0.19, plain)


async def test_it_can_refuse_and_cut_all_at_once() -> None:
    async with talking() as talk:
        reader = await talk.connect()
        await until(lambda: talk.received == b"hello")
        talk.network.refusing = True
        talk.network.cut()
        assert (await how_it_ends(reader))[1] == "RST"
        again = await talk.connect()
        assert (await how_it_ends(again))[1] == "RST"
        assert talk.network.connections == 2
