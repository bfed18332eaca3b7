"""Checks around every request, over real sockets: what is refused and what fails is counted, and logged rarely."""

import asyncio
import logging

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from structlog.testing import capture_logs

from bridge.http.load import EndReason, ServerLoad
from bridge.http.request_checks import MAX_HEADERS, MAX_PARAMETERS, MAX_TARGET_BYTES
from bridge.settings.web import WebSettings
from tests.http.served_sockets import DEADLINE, RawClient, served
from tests.support.brokers import until

FAULT = LookupError("ours")


async def read(request: Request) -> Response:
    return PlainTextResponse(await request.body())


async def fail(_: Request) -> Response:
    raise FAULT


APP = Starlette(routes=[Route("/read", read, methods=["POST"]), Route("/fail", fail)])


@pytest.fixture
def load() -> ServerLoad:
    return ServerLoad(WebSettings())


async def exchange(port: int, data: bytes) -> bytes:
    """Send these bytes and return the answer, to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await RawClient(reader, writer).rest()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"PUT /read HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405),
        (b"\0\r\n\r\n", 400),
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close, upgrade\r\nUpgrade: h2c\r\n\r\n", 404),
        (b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", 400),
    ],
    ids=["path", "method", "garbage", "upgrade", "handshake"],
)
async def test_each_refusal_is_counted_and_the_first_is_logged(
    load: ServerLoad, data: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with served(APP, load=load) as port:
        with capture_logs() as logs:
            answers = [await exchange(port, data) for _ in range(5)]
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 %d" % status}
    assert load.refused == {status: 5}
    assert [(line["event"], line["log_level"], line["status"], line["peer"]) for line in logs] == [
        ("web.refused", "info", status, "127.0.0.1")
    ]
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


HEAD = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s\r\n"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HEAD % (b"/echo?" + b"a" * (MAX_TARGET_BYTES - 5), b""), 200),
        (HEAD % (b"/echo?" + b"a" * (MAX_TARGET_BYTES - 4), b""), 414),
        (HEAD % (b"/" + b"a" * MAX_TARGET_BYTES, b""), 414),
        (HEAD % (b"/echo?" + b"&".join([b"a"] * MAX_PARAMETERS), b""), 200),
        (HEAD % (b"/echo?" + b"&".join([b"a"] * (MAX_PARAMETERS + 1)), b""), 414),
        (HEAD % (b"/echo", b"a: b\r\n" * (MAX_HEADERS - 2)), 200),
        (HEAD % (b"/echo", b"a: b\r\n" * (MAX_HEADERS - 1)), 431),
    ],
)
async def test_a_head_that_is_expensive_to_read_does_not_reach_the_app(
    load: ServerLoad, head: bytes, status: int
) -> None:
    calls: list[Request] = []

    async def echo(request: Request) -> Response:
        calls.append(request)
        return Response()

    async with served(Starlette(routes=[Route("/echo", echo)]), load=load) as port:
        answer = await exchange(port, head)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert len(calls) == (status == 200)
    assert load.refused == ({} if status == 200 else {status: 1})
    assert status == 200 or (b'"code":"LIMIT_EXCEEDED"' in answer and b"content-security-policy" in answer)


async def test_cookies_are_not_parsed(load: ServerLoad) -> None:
    async def names(request: Request) -> Response:
        return PlainTextResponse(" ".join(request.headers))

    async with served(Starlette(routes=[Route("/names", names)]), load=load) as port:
        answer = await exchange(port, HEAD % (b"/names", b"Cookie: a=b\r\ncookie: c=d\r\nX-A: b\r\n"))
    assert answer.endswith(b"\r\n\r\nhost connection x-a")


async def test_no_query_is_logged_and_no_text_at_length(load: ServerLoad) -> None:
    async with served(APP, load=load) as port:
        with capture_logs() as logs:
            async with httpx.AsyncClient() as client:
                await client.get(f"http://127.0.0.1:{port}/{'x' * 5_000}?token=SECRET")
    (line,) = logs
    assert "SECRET" not in str(line)
    assert max(len(str(value)) for value in line.values()) == 200


async def test_a_body_that_is_cut_off_is_no_fault_of_ours(load: ServerLoad, caplog: pytest.LogCaptureFixture) -> None:
    async with served(APP, load=load) as port:
        with capture_logs() as logs:
            for _ in range(5):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
                await writer.drain()
                writer.close()
            await until(lambda: load.ended[EndReason.BODY_CUT_OFF] == 5, what="all are noticed")
    assert [(line["event"], line["log_level"], line["reason"]) for line in logs] == [
        ("web.ended", "info", "body_cut_off")
    ]
    assert caplog.records == []


async def test_a_fault_of_ours_is_logged_once_with_its_traceback(
    load: ServerLoad, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(APP, load=load) as port:
        with capture_logs() as logs:
            async with httpx.AsyncClient() as client:
                for _ in range(5):
                    assert (await client.get(f"http://127.0.0.1:{port}/fail")).status_code == 500
    assert load.faults == 5
    assert logs == [{"event": "web.request_failed", "log_level": "error", "exc_info": FAULT, "left_out": 0}]
    assert caplog.records == []


async def test_a_stop_with_an_unread_answer_logs_nothing(
    load: ServerLoad, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.http.server.STOP_SECONDS", 0.1)
    waiting = asyncio.Event()

    async def large(_: Request) -> Response:
        waiting.set()
        return PlainTextResponse(b"x" * 50_000_000)

    with capture_logs() as logs:
        async with served(Starlette(routes=[Route("/", large)]), load=load) as port:
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_024)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await asyncio.wait_for(waiting.wait(), DEADLINE)
    assert logs == []
    assert caplog.records == []
    writer.close()
