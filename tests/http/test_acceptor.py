"""The acceptor: who is silent costs little, whoever speaks is served when it is the turn of their address."""

import asyncio
import contextlib
import os
import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.http import acceptor
from bridge.http.load import EndReason, ServerLoad
from bridge.settings.web import WebSettings
from tests.http.served_sockets import RawClient, SocketApp, served
from tests.support.brokers import until
from tests.support.certificates import self_signed

HELLO = b"\x16\x03\x01\x02\x00\x01\x00"  # the begin of a TLS client's first record


async def connected(port: int, first: bytes) -> RawClient:
    client = RawClient(*await asyncio.open_connection("127.0.0.1", port))
    client.writer.write(first)
    return client


async def test_a_client_that_sends_a_byte_and_waits_holds_no_other_up() -> None:
    async with served(SocketApp()) as port:
        slow = [await connected(port, b"G") for _ in range(acceptor.ACCEPTED * 3)]
        client = await RawClient.connect(port)
        assert b" 101 " in await client.upgraded()
        for each in (*slow, client):
            each.close()


async def test_who_is_gone_before_the_first_byte_leaves_nothing() -> None:
    load = ServerLoad(WebSettings())
    async with served(SocketApp(), load=load) as port:
        for first in (b"", b"G"):
            for linger in (b"\0\0\0\0\0\0\0\0", b"\1\0\0\0\0\0\0\0"):  # the second ends it by a reset
                with socket.create_connection(("127.0.0.1", port)) as raw:
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    raw.send(first)
        client = await RawClient.connect(port)
        await client.upgraded()
        client.close()
        await until(lambda: len(load.pool) == 0, what="nothing is left")
        assert load.faults == 0


async def test_a_tls_handshake_that_is_not_finished_is_among_what_may_be_ended(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    load = ServerLoad(WebSettings(max_unauthenticated=3, tls_cert_file=certificate, tls_key_file=key))
    async with served(SocketApp(), load=load) as port:
        clients = [await connected(port, HELLO) for _ in range(5)]
        for client in clients[:2]:
            assert await client.rest() == b""
        await until(lambda: load.ended[EndReason.EVICTED] == 2, what="the oldest two are ended")
        assert len(load.pool) == 3
        for client in clients:
            client.close()
        await until(lambda: len(load.pool) == 0, what="the clients are gone")


async def test_what_is_no_tls_is_counted_and_no_fault(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    load = ServerLoad(WebSettings(tls_cert_file=certificate, tls_key_file=key))
    with capture_logs() as logs:
        async with served(SocketApp(), load=load) as port:
            client = await connected(port, b"GET / HTTP/1.1\r\n\r\n")
            await client.rest()
            client.close()
            await until(lambda: load.ended[EndReason.NO_TLS] == 1, what="it is counted")
            context = ssl.create_default_context(cafile=str(certificate))
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
            writer.close()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("web.ended", "info")]


async def test_who_has_spoken_and_has_no_turn_is_ended_and_waits_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "ARRIVAL_SECONDS", 0.2)
    monkeypatch.setattr(acceptor, "LOOK_SECONDS", 0.1)
    load = ServerLoad(WebSettings())
    load.peers.address("127.0.0.1").work.take(10_000, load.clock())  # the address owes for 5 s
    async with served(SocketApp(), load=load) as port:
        clients = [await connected(port, b"G") for _ in range(acceptor.ACCEPTED * 2)]
        for client in clients:
            assert await client.rest() == b""
            client.close()
    assert load.ended[EndReason.HEAD_LATE] == len(clients)
    assert [len(queue) for queue in load.turns._owing.values()] in ([], [0])  # noqa: SLF001 - it is not seen elsewhere


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = [os.open("/dev/null", os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened[0] + 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    os.close(opened[0])


@pytest.mark.usefixtures("few_descriptors")
async def test_without_descriptors_it_waits_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "PAUSE_SECONDS", 0.1)
    load = ServerLoad(WebSettings())
    with capture_logs() as logs:
        async with served(SocketApp(), load=load) as port:
            taken = []
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            os.close(taken.pop())
            client = asyncio.create_task(RawClient.connect(port))
            await until(lambda: [entry["event"] for entry in logs] == ["web.accepts_none"], what="it says so")
            for descriptor in taken:
                os.close(descriptor)
            assert b" 101 " in await (await client).upgraded()
            (await client).close()
