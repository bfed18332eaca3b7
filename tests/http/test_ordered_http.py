"""Requests in the order of their connection: upgrades among them, and resets. Over real sockets."""

import asyncio
import logging
import re
import socket
from dataclasses import dataclass, field

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from websockets.frames import Opcode

from bridge.http.http_connection import SLICE_BYTES
from bridge.http.load import ServerLoad
from bridge.settings.web import WebSettings
from tests.http.served_sockets import HEADERS, RawClient, SocketApp, masked, reset, served
from tests.support.brokers import until

HOST = b"Host: localhost\r\n"
NEXT = b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /last HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\n" + HOST + b"\r\n"
TO_H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\n" + HOST + HEADERS + b"\r\n"


@dataclass
class App:
    """An app that answers each request with its path, and accepts WebSockets; `requests` are paths and bodies."""

    requests: list[tuple[str, bytes]] = field(default_factory=list)
    sockets: SocketApp = field(default_factory=SocketApp)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self.sockets(scope, receive, send)
            return
        request = Request(scope, receive)
        self.requests.append((scope["path"], await request.body()))
        await self.may_answer.wait()
        await PlainTextResponse(scope["path"])(scope, receive, send)


async def connect(port: int) -> RawClient:
    return RawClient(*await asyncio.open_connection("127.0.0.1", port))


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answers)]


def with_body(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def in_chunks(body: bytes) -> bytes:
    return b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


BODY = b"x" * (SLICE_BYTES - 2) + HIDDEN * 20


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (b"GET /first HTTP/1.1\r\n" + HOST + TO_H2C + b"\r\n", b""),
        (b"GET /first HTTP/1.1\r\n" + HOST + TO_H2C + with_body(BODY), BODY),
        (b"POST /first HTTP/1.1\r\n" + HOST + TO_H2C + with_body(BODY), BODY),
        (b"POST /first HTTP/1.1\r\n" + HOST + TO_H2C + in_chunks(BODY), BODY),
        (b"POST /first HTTP/1.1\r\n" + HOST + HEADERS + b"Connection: keep-alive\r\n" + with_body(BODY), BODY),
    ],
)
async def test_an_upgrade_to_another_protocol_is_ignored(request_: bytes, body: bytes) -> None:
    app = App()
    async with served(app) as port:
        client = await connect(port)
        client.writer.write(request_ + NEXT + LAST)
        answers = await client.rest()
        client.close()
    assert app.requests == [("/first", body), ("/next", b""), ("/last", b"")]
    assert statuses(answers) == [200, 200, 200]


async def test_it_is_ignored_wherever_the_bytes_are_split() -> None:
    whole = NEXT + b"POST /first HTTP/1.1\r\n" + HOST + TO_H2C + with_body(HIDDEN) + LAST
    app = App()
    load = ServerLoad(WebSettings(max_work_per_address=1_000_000))
    async with served(app, load=load) as port:
        for cut in range(1, len(whole), 3):
            client = await connect(port)
            client.writer.write(whole[:cut])
            await client.writer.drain()
            await asyncio.sleep(0)
            client.writer.write(whole[cut:])
            assert statuses(await client.rest()) == [200, 200, 200]
            client.close()
            assert app.requests == [("/next", b""), ("/first", HIDDEN), ("/last", b"")]
            app.requests.clear()


@pytest.mark.parametrize(
    "request_",
    [
        UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"),  # RFC 9110 7.8
        b"GET /ws HTTP/1.1\r\n" + HOST + b"Connection: close, upgrade\r\nUpgrade: h2c\r\n\r\n",
    ],
)
async def test_a_connection_that_its_client_closes_is_not_upgraded(request_: bytes) -> None:
    app = App()
    async with served(app) as port:
        client = await connect(port)
        client.writer.write(request_ + HIDDEN)
        assert statuses(await client.rest()) == [200]
        client.close()
    assert app.requests == [("/ws", b"")]


@pytest.mark.parametrize(("version", "answers"), [(b"1.0", [200]), (b"1.1", [100, 200])])
async def test_only_a_client_of_http_1_1_is_told_to_continue(version: bytes, answers: list[int]) -> None:
    app = App()
    async with served(app) as port:
        client = await connect(port)
        expecting = HOST + b"Connection: close\r\nExpect: 100-continue\r\n" + with_body(b"body")
        client.writer.write(b"POST /first HTTP/%b\r\n%b" % (version, expecting))
        assert statuses(await client.rest()) == answers
        client.close()
    assert app.requests == [("/first", b"body")]


@pytest.mark.parametrize("headers", [b"", HEADERS, TO_H2C, b"Content-Length: 1000\r\n"])
@pytest.mark.parametrize("target", [b"localhost:80", b"/first", b"http://localhost/first"])
async def test_connect_is_refused_and_nothing_behind_it_is_executed(target: bytes, headers: bytes) -> None:
    app = App()
    load = ServerLoad(WebSettings())
    async with served(app, load=load) as port:
        client = await connect(port)
        client.writer.write(b"CONNECT %b HTTP/1.1\r\n" % target + HOST + headers + b"\r\n" + HIDDEN * 20)
        answers = await client.rest()
        client.close()
    (status,) = statuses(answers)
    assert load.refused == {status: 1}
    assert status in {400, 405}
    assert app.requests == []


async def test_an_upgrade_behind_requests_waits_until_they_are_answered() -> None:
    app = App()
    app.may_answer.clear()
    async with served(app) as port:
        client = await connect(port)
        client.writer.write(NEXT + NEXT + UPGRADE + masked(Opcode.TEXT, b"abc"))
        await until(lambda: len(app.requests) == 1, what="the first is served")
        await asyncio.sleep(0.05)
        app.may_answer.set()
        for _ in range(2):
            assert (await client.upgraded()).startswith(b"HTTP/1.1 200 ")
            assert await client.reader.readexactly(5) == b"/next"
        assert (await client.upgraded()).startswith(b"HTTP/1.1 101 ")
        assert await client.frame() == (Opcode.TEXT, b"3")
        client.close()
    assert app.sockets.opened[0].messages == ["abc"]


@pytest.mark.parametrize(
    "invalid",
    [
        b"no request\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://[::1/ HTTP/1.1\r\n" + HOST + b"\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"POST /bad HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nno size\r\n",
    ],
)
async def test_behind_an_invalid_request_nothing_is_read_and_those_before_it_are_answered(invalid: bytes) -> None:
    load = ServerLoad(WebSettings())
    app = App()
    app.may_answer.clear()
    async with served(app, load=load) as port:
        client = await connect(port)
        client.writer.write(NEXT + NEXT + invalid + HIDDEN * 20)
        await until(lambda: load.refused.total() == 1, what="it is refused")
        app.may_answer.set()
        answers = await client.rest()
        client.close()
        await until(lambda: len(load.pool) == 0, what="it has ended")
    assert statuses(answers) == [200, 200]
    assert answers.endswith(b"/next")
    assert app.requests == [("/next", b"")] * 2
    assert (load.refused, load.ended) == ({400: 1}, {})


@pytest.mark.parametrize("has_begun", [False, True])
async def test_an_invalid_body_is_refused_unless_its_answer_has_begun(*, has_begun: bool) -> None:
    begun, may_answer = asyncio.Event(), asyncio.Event()

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        if has_begun:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        begun.set()
        await may_answer.wait()
        if has_begun:
            await send({"type": "http.response.body", "body": b"a"})
        else:
            assert (await receive())["type"] == "http.disconnect"

    load = ServerLoad(WebSettings())
    async with served(app, load=load) as port:
        client = await connect(port)
        client.writer.write(b"POST /first HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await until(begun.is_set, what="it is served")
        client.writer.write(b"no size\r\n" + HIDDEN * 20)
        await until(lambda: load.refused.total() == 1, what="it is refused")
        if not has_begun:
            await until(lambda: len(load.pool) == 0, what="it has ended")
        may_answer.set()
        answer = await client.rest()
        client.close()
    assert statuses(answer) == [200 if has_begun else 400]
    assert answer.endswith(b"\r\n\r\na" if has_begun else b"Invalid HTTP request received.")
    assert (load.refused, load.ended, load.faults) == ({400: 1}, {}, 0)


@pytest.mark.parametrize("requests", [1, 2, 4])
@pytest.mark.parametrize("has_begun", [False, True])
async def test_a_reset_while_requests_are_answered_is_no_fault(
    caplog: pytest.LogCaptureFixture, requests: int, *, has_begun: bool
) -> None:
    load = ServerLoad(WebSettings())
    served_paths: list[str] = []
    returned: list[str] = []
    may_answer = asyncio.Event()

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        served_paths.append(scope["path"])
        if has_begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await may_answer.wait()
        if not has_begun:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"b", "more_body": True})
        await send({"type": "http.response.body", "body": b"c"})
        returned.append(scope["path"])

    async with served(app, load=load) as port:
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(NEXT * requests)
        await until(lambda: len(served_paths) == 1, what="the first is served")
        reset(client)
        await until(lambda: len(load.pool) == 0, what="the connection is lost")
        may_answer.set()
        await until(lambda: len(returned) == 1, what="it is answered")
    assert returned == ["/next"]
    assert (load.faults, load.ended) == (0, {})
    assert caplog.records == []


async def test_an_answer_that_an_app_does_not_complete_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async with served(app) as port:
        client = await connect(port)
        client.writer.write(NEXT * 2)
        assert statuses(await client.rest()) == [200]
        client.close()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize("gap", [0, SLICE_BYTES])
async def test_trailers_are_no_headers(gap: int) -> None:
    seen: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()
        seen.extend(name for name, _ in scope["headers"])
        await PlainTextResponse("")(scope, receive, send)

    async with served(app) as port:
        client = await connect(port)
        chunked = HOST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        trailers = b"0\r\nX-Forwarded-For: 10.9.9.9\r\nAuthorization: Bearer a\r\nHost: b\r\n\r\n"
        client.writer.write(
            b"POST / HTTP/1.1\r\n" + chunked + b"%x\r\n" % (gap + 1) + b"x" * (gap + 1) + b"\r\n" + trailers
        )
        assert statuses(await client.rest()) == [200]
        client.close()
    assert seen == [b"host", b"connection", b"transfer-encoding"]
