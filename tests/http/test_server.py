"""The server: bounds on what a connection may cost, a clean stop, no token in a log line. Over real sockets."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from bridge.http import server
from bridge.http.listener import listen
from bridge.http.server import serve
from bridge.settings import WebSettings

DEADLINE = 10.0
HEAD = (
    b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(f"{len(await websocket.receive_text())}")
    except WebSocketDisconnect:
        pass


async def hello(request: Request) -> PlainTextResponse:
    assert request.client is not None
    return PlainTextResponse(f"{request.client.host} {request.url.scheme} {request.scope['root_path']}")


APP = Starlette(routes=[Route("/", hello), WebSocketRoute("/echo", echo)])


@asynccontextmanager
async def served(web: WebSettings | None = None) -> AsyncIterator[int]:
    listener = listen("127.0.0.1", 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)  # inherited: so that a full buffer comes soon
    port: int = listener.getsockname()[1]
    started = asyncio.Event()
    task = asyncio.create_task(serve(APP, web or WebSettings(), listener=listener, started=started))
    try:
        await asyncio.wait_for(started.wait(), DEADLINE)
        yield port
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, DEADLINE)


async def get(port: int, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{port}/", headers=headers)


async def test_it_answers_and_does_not_name_itself() -> None:
    async with served() as port:
        response = await get(port)
        assert response.text.startswith("127.0.0.1 http")
        assert "server" not in response.headers


async def test_signals_stay_with_the_app() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with served():
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_stopping_closes_the_port_and_the_connections() -> None:
    async with served() as port:
        client = await websockets.connect(f"ws://127.0.0.1:{port}/echo")
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    listen("127.0.0.1", port).close()


async def test_a_forged_forwarded_for_changes_nothing() -> None:
    async with served() as port:
        response = await get(port, **{"X-Forwarded-For": "10.9.9.9", "X-Forwarded-Proto": "https"})
    assert response.text.startswith("127.0.0.1 http")


async def test_a_trusted_proxy_names_the_client() -> None:
    async with served(WebSettings(trusted_proxies=("127.0.0.1",), root_path="/floor")) as port:
        response = await get(port, **{"X-Forwarded-For": "10.9.9.9", "X-Forwarded-Proto": "https"})
    assert response.text == "10.9.9.9 https /floor"


async def test_a_frame_over_the_limit_closes_with_1009() -> None:
    async with served(WebSettings(max_frame_bytes=2_048)) as port:
        async with websockets.connect(f"ws://127.0.0.1:{port}/echo") as client:
            await client.send("x" * 2_048)
            assert await client.recv() == "2048"
            await client.send("x" * 2_049)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_fragments_count_together() -> None:
    async with served(WebSettings(max_frame_bytes=2_048)) as port:
        async with websockets.connect(f"ws://127.0.0.1:{port}/echo") as client:
            with pytest.raises(websockets.ConnectionClosed):
                await client.send("x" * 500 for _ in range(1_000_000))
        assert client.close_code == 1009


async def test_endless_empty_fragments_close_with_1009() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x01\x80\0\0\0\0" + b"\x00\x80\0\0\0\0" * (server.MAX_FRAGMENTS + 10))
        frame = await asyncio.wait_for(reader.readexactly(4), DEADLINE)
        writer.close()
    assert frame[0] == 0x88
    assert int.from_bytes(frame[2:4]) == 1009


async def test_compression_is_not_negotiated() -> None:
    async with (
        served() as port,
        websockets.connect(f"ws://127.0.0.1:{port}/echo", compression="deflate") as client,
    ):
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers


async def test_a_connection_that_sends_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.1)
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        writer.close()


async def test_a_head_sent_slowly_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.2)
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        reading = asyncio.create_task(reader.read())
        writer.write(b"GET / HTTP/1.1\r\n")
        dripped = 0
        async with asyncio.timeout(DEADLINE):
            while not reading.done():
                writer.write(b"X-A: b\r\n")
                dripped += 1
                await asyncio.wait([reading], timeout=0.02)
        writer.close()
        with contextlib.suppress(ConnectionResetError):  # a line sent after the close is answered with a reset
            assert await reading == b""
    assert dripped > 1


async def test_a_second_head_on_a_connection_is_timed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADER_SECONDS", 0.2)
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTT")
        await asyncio.wait_for(reader.readuntil(b"127.0.0.1 http "), DEADLINE)
        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        writer.close()


async def test_an_endless_head_is_refused() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nX-A: " + b"b" * (server.HEADER_BYTES + 1))
        answer = await asyncio.wait_for(reader.readline(), DEADLINE)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_many_silent_connections_lock_no_client_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_PENDING_HEADS", 20)
    async with served() as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        assert (await get(port)).status_code == 200
        ended = [asyncio.create_task(reader.read()) for reader, _ in silent]
        await asyncio.wait_for(asyncio.gather(*ended[:20]), DEADLINE)
        assert sum(task.done() for task in ended) == 21, "the oldest, and one for the request itself"
        for _, writer in silent:
            writer.close()


async def test_a_client_that_pings_and_does_not_read_is_owed_one_pong() -> None:
    ping, count = b"\x89\xfd\0\0\0\0" + b"p" * 125, 4_000
    async with served() as port:
        raw = socket.create_connection(("127.0.0.1", port))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        reader, writer = await asyncio.open_connection(sock=raw, limit=4_096)
        writer.write(HEAD)
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(count // 10):
            writer.write(ping * 10)
            await asyncio.wait_for(writer.drain(), DEADLINE)
        writer.write(b"\x88\x82\0\0\0\0" + (1_000).to_bytes(2))
        received = 0
        while data := await asyncio.wait_for(reader.read(65_536), DEADLINE):
            received += len(data)
        writer.close()
    assert 0 < received < count * 127 // 2


@pytest.mark.parametrize("path", ["/echo?token=SECRET", "/nowhere?token=SECRET"])
async def test_no_query_reaches_a_log(caplog: pytest.LogCaptureFixture, path: str) -> None:
    caplog.set_level(logging.DEBUG)
    async with served() as port:
        with contextlib.suppress(websockets.InvalidStatus):
            async with websockets.connect(f"ws://127.0.0.1:{port}{path}", logger=logging.getLogger("test")) as client:
                await client.send("x")
                await client.recv()
        async with httpx.AsyncClient() as http:
            await http.get(f"http://127.0.0.1:{port}{path}")
    ours = [
        record.getMessage() for record in caplog.records if not record.name.startswith(("test", "httpx", "httpcore"))
    ]
    assert not [line for line in ours if "SECRET" in line]
