"""From a WebSocket's handshake to its handler: data that comes early, clients that leave, an application that fails."""

import asyncio
import logging
import socket

import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.frames import Opcode

from bridge.http.hand_over import HAND_OVER, hand_over
from bridge.http.load import ServerLoad
from bridge.settings.web import WebSettings
from tests.http.served_sockets import HEADERS, RawClient, Recorder, SocketApp, masked, reset, served
from tests.support.brokers import until

CONT, TEXT, BINARY, CLOSE, PING, PONG = Opcode


async def test_what_is_sent_behind_the_handshake_arrives() -> None:
    app = SocketApp()
    app.may_accept.clear()
    async with served(app) as port:
        client = await RawClient.connect(
            port, masked(TEXT, b"one") + masked(PING, b"p") + masked(TEXT, b"tw", fin=False)
        )
        await asyncio.sleep(0.05)
        client.writer.write(masked(CONT, b"o2"))
        await asyncio.sleep(0.05)
        app.may_accept.set()
        assert (await client.upgraded()).startswith(b"HTTP/1.1 101 ")
        client.writer.write(masked(TEXT, b"three"))
        frames = [await client.frame() for _ in range(4)]
        client.close()
    assert frames == [(PONG, b"p"), (TEXT, b"3"), (TEXT, b"4"), (TEXT, b"5")]
    assert app.opened[0].messages == ["one", "two2", "three"]


async def test_a_client_that_is_gone_before_it_is_accepted_opens_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app = SocketApp()
    app.may_accept.clear()
    async with served(app) as port:
        client = await RawClient.connect(port)
        await asyncio.sleep(0.05)
        client.writer.transport.abort()
        await asyncio.sleep(0.05)
        app.may_accept.set()
    assert app.opened == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_client_that_is_gone_before_it_is_handed_over_opens_nothing(caplog: pytest.LogCaptureFixture) -> None:
    opened: list[Recorder] = []
    returned = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        hand_over(scope, lambda socket: opened.append(Recorder(socket)))
        returned.set()

    async with served(app) as port:
        client = await RawClient.connect(port)
        await client.upgraded()
        client.writer.transport.abort()
        await until(returned.is_set, what="the app has returned")
    assert opened == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_client_that_resets_while_it_is_accepted_leaves_nothing(caplog: pytest.LogCaptureFixture) -> None:
    opened: list[Recorder] = []
    returned = asyncio.Event()
    load = ServerLoad(WebSettings())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        assert len(load.pool) == 1
        reset(client)
        await send({"type": "websocket.accept"})
        hand_over(scope, lambda socket: opened.append(Recorder(socket)))
        returned.set()

    async with served(app, load=load) as port:
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(b"GET /ws HTTP/1.1\r\nHost: localhost\r\n" + HEADERS + b"\r\n")
        peer = load.peers.address("127.0.0.1")
        await until(returned.is_set, what="the app has returned")
        await until(lambda: len(load.pool) == 0, what="it is forgotten")
        await until(lambda: peer.work_accounts == 0, what="its work account is closed")
    assert opened == []
    assert caplog.records == []


async def test_a_stop_passes_over_a_handshake_that_was_ended_before_it_was_accepted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    load = ServerLoad(WebSettings())
    returned = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        for transport in list(load.pool._owners):  # noqa: SLF001
            transport.abort()
        await send({"type": "websocket.accept"})
        hand_over(scope, Recorder)
        scope["extensions"][HAND_OVER].__self__.shutdown()  # by uvicorn, of all that are not lost yet
        returned.set()

    async with served(app, load=load) as port:
        client = await RawClient.connect(port)
        assert await client.rest() == b""
        client.close()
        await until(returned.is_set, what="the app has returned")
    assert caplog.records == []


async def test_a_refusal_of_the_application_is_answered_and_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    refusal = Response(b"no", status_code=403)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await WebSocket(scope, receive, send).send_denial_response(refusal)

    async with served(app) as port:
        client = await RawClient.connect(port)
        answer = await client.rest()
        client.close()
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert answer.endswith(b"\r\n\r\nno")
    assert caplog.records == []


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n",
        b"Content-Length: 00\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
    ],
)
async def test_a_handshake_with_a_body_is_refused_and_leaves_nothing(
    caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    load = ServerLoad(WebSettings())
    app = SocketApp()
    async with served(app, load=load) as port:
        client = await RawClient.connect(port, b"hello", headers=body)
        answer = await client.rest()
        client.close()
        await until(lambda: len(load.pool) == 0, what="it is forgotten")
        peer = load.peers.address("127.0.0.1")
        await until(lambda: peer.work_accounts == 0, what="its work account is closed")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1
    assert (load.refused, load.faults, app.opened) == ({400: 1}, 0, [])
    assert caplog.records == []


async def test_a_refusal_without_a_response_gets_403_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})

    load = ServerLoad(WebSettings())
    async with served(app, load=load) as port:
        client = await RawClient.connect(port)
        assert (await client.rest()).startswith(b"HTTP/1.1 403 ")
        client.close()
    assert load.refused == {403: 1}
    assert caplog.records == []


async def test_a_refusal_that_is_not_finished_is_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 403, "headers": []})

    async with served(app) as port:
        client = await RawClient.connect(port)
        assert await client.rest() == b""
        client.close()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_little_is_read_before_the_application_accepts() -> None:
    app = SocketApp()
    app.may_accept.clear()
    async with served(app) as port:
        client = await RawClient.connect(port, masked(TEXT, b"x" * 100))
        client.writer.write(masked(PING, b"p" * 100) * 200_000)
        await asyncio.sleep(0.3)  # enough to read it all
        assert client.writer.transport.get_write_buffer_size() > 10_000_000
        client.writer.transport.abort()
        app.may_accept.set()


async def test_a_failing_application_closes_with_1011(caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: Recorder) -> None:
        raise LookupError

    async with served(SocketApp(on_open=fail)) as port:
        client = await RawClient.connect(port)
        await client.upgraded()
        assert await client.close_frame() == (1_011, "")
        client.close()
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [LookupError]
