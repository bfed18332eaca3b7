"""The server: bounds on what a connection may cost, a clean stop, no token in a log line. Over real sockets."""

import asyncio
import contextlib
import logging
import signal
import ssl
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.frames import Opcode

from bridge.http import acceptor, http_connection
from bridge.http.access import client_address
from bridge.http.hand_over import hand_over
from bridge.http.listener import listen
from bridge.http.load import EndReason, ServerLoad
from bridge.settings.web import WebSettings
from tests.http.served_sockets import DEADLINE, RawClient, Recorder, SocketApp, masked, served
from tests.support.brokers import until
from tests.support.certificates import self_signed


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{client_address(request)} {request.url.scheme} {request.scope['root_path']}")


async def sockets(websocket: WebSocket) -> None:
    await websocket.accept()
    hand_over(websocket.scope, Recorder)


async def refuse(websocket: WebSocket) -> None:
    await websocket.send_denial_response(PlainTextResponse(client_address(websocket), status_code=403))


APP = Starlette(routes=[Route("/", hello), WebSocketRoute("/ws", sockets), WebSocketRoute("/client", refuse)])


async def get(port: int, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.get(f"http://127.0.0.1:{port}/", headers=headers)


async def test_it_answers_and_does_not_name_itself() -> None:
    async with served(APP) as port:
        response = await get(port)
        assert response.text.startswith("127.0.0.1 http")
        assert "server" not in response.headers


async def test_signals_stay_with_the_app() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with served(APP):
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_stopping_closes_the_port_and_the_connections() -> None:
    async with served(APP) as port:
        client = await websockets.connect(f"ws://127.0.0.1:{port}/ws")
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await client.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012
    listen("127.0.0.1", port).close()


async def test_a_forged_forwarded_for_changes_nothing() -> None:
    async with served(APP) as port:
        response = await get(port, **{"X-Forwarded-For": "10.9.9.9", "X-Forwarded-Proto": "https"})
    assert response.text.startswith("127.0.0.1 http")


async def test_a_trusted_proxy_names_the_client() -> None:
    async with served(APP, WebSettings(trusted_proxies=("127.0.0.1",), root_path="/floor")) as port:
        response = await get(port, **{"X-Forwarded-For": "10.9.9.9", "X-Forwarded-Proto": "https"})
    assert response.text == "10.9.9.9 https /floor"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (("10.9.9.9",), "10.9.9.9"),
        (("10.1.1.1, 10.9.9.9",), "10.9.9.9"),
        (("10.9.9.9, 192.168.7.7",), "10.9.9.9"),
        (("10.1.1.1", "10.9.9.9, 192.168.7.7"), "10.9.9.9"),
        (("10.1.1.1", "10.9.9.9"), "10.9.9.9"),
        (("192.168.7.7, 192.168.7.8",), "192.168.7.7"),
        (("10.9.9.9:4711",), "10.9.9.9"),
        (("[2001:db8::1]:4711",), "2001:db8::1"),
        (("2001:db8::1",), "2001:db8::1"),
        (("10.1.1.1, unknown",), "?"),
        (("10.1.1.1, " + "x" * 300,), "?"),
        (("",), "127.0.0.1"),
    ],
)
async def test_the_rightmost_untrusted_address_is_the_client(forwarded: Sequence[str], client: str) -> None:
    web = WebSettings(trusted_proxies=("127.0.0.1", "192.168.99.99/16"))
    headers = [("X-Forwarded-For", line) for line in forwarded]
    async with served(APP, web) as port:
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://127.0.0.1:{port}/", headers=headers)).text.startswith(f"{client} http")
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"ws://127.0.0.1:{port}/client", additional_headers=headers)
    assert refused.value.response.body == client.encode()


async def test_compression_is_not_negotiated() -> None:
    async with (
        served(APP) as port,
        websockets.connect(f"ws://127.0.0.1:{port}/ws", compression="deflate") as client,
    ):
        assert client.response is not None
        assert "Sec-WebSocket-Extensions" not in client.response.headers


async def test_a_connection_that_sends_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptor, "ARRIVAL_SECONDS", 0.1)
    monkeypatch.setattr(acceptor, "LOOK_SECONDS", 0.1)
    async with served(APP) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        writer.close()


async def test_a_head_sent_slowly_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "HEADER_SECONDS", 0.2)
    async with served(APP) as port:
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
    monkeypatch.setattr(http_connection, "HEADER_SECONDS", 0.2)
    async with served(APP) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTT")
        await asyncio.wait_for(reader.readuntil(b"127.0.0.1 http "), DEADLINE)
        assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
        writer.close()


@pytest.mark.parametrize("headers", [b"X-A: " + b"b" * (http_connection.HEADER_BYTES + 1), b"a:\r\n" * 400])
async def test_an_endless_head_is_refused(headers: bytes) -> None:
    async with served(APP) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n" + headers)
        answer = await asyncio.wait_for(reader.readline(), DEADLINE)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_many_silent_connections_lock_no_client_out() -> None:
    async with served(APP, WebSettings(max_unauthenticated=20)) as port:
        silent = [RawClient(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(40)]
        for client in silent:
            client.writer.write(b"G")
        assert (await get(port)).status_code == 200
        ended = [asyncio.create_task(client.rest()) for client in silent]
        await asyncio.wait_for(asyncio.gather(*ended[:20]), DEADLINE)
        assert sum(task.done() for task in ended) == 21, "the oldest, and one for the request itself"
        for client in silent:
            client.close()


async def test_sockets_of_users_are_not_among_those_that_may_be_ended() -> None:
    load = ServerLoad(WebSettings(max_unauthenticated=2))
    app = SocketApp()
    async with served(app, load=load) as port:
        users = []
        for _ in range(5):
            users.append(await RawClient.connect(port))
            await users[-1].upgraded()
        await until(lambda: len(load.pool) == 0, what="all are users")
        strangers = [(await asyncio.open_connection("127.0.0.1", port))[1] for _ in range(5)]
        for stranger in strangers:
            stranger.write(b"G")
        app.opened[0].socket.close(4_008, "slow")
        await until(lambda: load.ended[EndReason.EVICTED] > 0, what="the oldest strangers are ended")
        for client in users[1:]:
            client.writer.write(masked(Opcode.TEXT, b"abc"))
            assert await client.frame() == (Opcode.TEXT, b"3")
        for end in users + strangers:
            end.close()


async def test_a_websocket_with_too_many_headers_is_refused() -> None:
    async with served(APP) as port:
        client = await RawClient.connect(port, headers=b"".join(b"X-%d: x\r\n" % n for n in range(200)))
        assert (await client.rest()).startswith(b"HTTP/1.1 431 ")
        client.close()


async def test_what_is_sent_behind_a_refused_handshake_changes_nothing() -> None:
    async with served(APP) as port:
        client = await RawClient.connect(port, b"\x81\x80\0\0\0\0" * 10, path=b"/nowhere")
        assert (await client.rest()).startswith(b"HTTP/1.1 403 ")
        client.close()


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Content-Length: 5, 5\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 0x5\r\n",
        b"Content-Length : 5\r\n",
    ],
)
async def test_a_request_whose_length_can_be_read_in_two_ways_is_refused(headers: bytes) -> None:
    async with served(APP) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        hidden = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        writer.write(b"POST / HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n0\r\n\r\n" + hidden)
        answer = await asyncio.wait_for(reader.read(), DEADLINE)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_tls_below_1_2_is_refused(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(certificate)
    old.set_ciphers("ALL:@SECLEVEL=0")  # else OpenSSL does not offer it
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    async with served(APP, WebSettings(tls_cert_file=certificate, tls_key_file=key)) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)) as refused:
            await asyncio.open_connection("127.0.0.1", port, ssl=old, server_hostname="localhost")
    if isinstance(refused.value, ssl.SSLError):
        assert refused.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION", "by the server"


@pytest.mark.parametrize("path", ["/ws?token=SECRET", "/nowhere?token=SECRET"])
async def test_no_query_and_no_message_reaches_a_log(caplog: pytest.LogCaptureFixture, path: str) -> None:
    caplog.set_level(logging.DEBUG)
    async with served(APP) as port:
        with contextlib.suppress(websockets.InvalidStatus):
            async with websockets.connect(f"ws://127.0.0.1:{port}{path}", logger=logging.getLogger("test")) as client:
                await client.send("SECRET")
                await client.recv()
        async with httpx.AsyncClient() as http:
            await http.get(f"http://127.0.0.1:{port}{path}")
    ours = [
        record.getMessage() for record in caplog.records if not record.name.startswith(("test", "httpx", "httpcore"))
    ]
    assert not [line for line in ours if "SECRET" in line]
