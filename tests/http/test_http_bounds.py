"""Bounds of an HTTP connection: bodies, idle time, unread answers, pipelined requests. Over real sockets."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bridge.http import http_connection
from bridge.http.load import EndReason, ServerLoad
from bridge.http.ordered_http import LIST_BYTES
from bridge.http.request_body import MAX_BODY_BYTES
from bridge.settings.web import WebSettings
from tests.http.served_sockets import DEADLINE, HEADERS, served
from tests.support.brokers import until

GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n"


@dataclass
class App:
    """An app that counts its requests; `/slow` waits, `/large` answers with 1 MB, `/echo` reads the body."""

    running: int = 0
    most_running: int = 0
    answered: int = 0
    on_request: Callable[[], None] = lambda: None
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def routes(self) -> Starlette:
        paths: dict[str, Callable[[Request], object]] = {
            "/": self.quick, "/slow": self.slow, "/large": self.large, "/echo": self.echo,
        }  # fmt: skip
        return Starlette(routes=[Route(path, answer, methods=["GET", "POST"]) for path, answer in paths.items()])

    async def quick(self, _: Request) -> Response:
        self.answered += 1
        return PlainTextResponse("quick")

    async def slow(self, _: Request) -> Response:
        self.on_request()
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        await self.may_answer.wait()
        self.running -= 1
        self.answered += 1
        return PlainTextResponse("slow")

    async def large(self, _: Request) -> Response:
        return Response(b"x" * 1_000_000)

    async def echo(self, request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> bytes:
        """Read an answer, and return its body."""
        async with asyncio.timeout(DEADLINE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return await self.reader.readexactly(size)

    async def end(self) -> bytes:
        """Read on to the end of the connection, a reset included."""
        received = b""
        async with asyncio.timeout(DEADLINE):
            with contextlib.suppress(ConnectionError):
                while data := await self.reader.read(65_536):
                    received += data
        return received


@asynccontextmanager
async def client_of(app: App, load: ServerLoad) -> AsyncIterator[Client]:
    async with served(app.routes(), load=load) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4_096)
        yield Client(reader, writer)
        writer.close()


@pytest.fixture
def load() -> ServerLoad:
    return ServerLoad(WebSettings(stall_seconds=0.2))


async def test_a_body_that_does_not_follow_an_early_answer_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch, load: ServerLoad
) -> None:
    monkeypatch.setattr(http_connection, "LATE_BODY_SECONDS", 0.3)
    async with client_of(App(), load) as client:
        client.writer.write(GET % (b"/", b"Content-Length: 1000000\r\n"))
        assert await client.answer() == b"quick"
        client.writer.write(b"x")
        assert await client.end() == b""
    assert load.ended == {EndReason.BODY_LATE: 1}


async def test_a_body_that_is_sent_byte_by_byte_ends_it_too(monkeypatch: pytest.MonkeyPatch, load: ServerLoad) -> None:
    monkeypatch.setattr(http_connection, "LATE_BODY_SECONDS", 0.3)
    async with client_of(App(), load) as client:
        client.writer.write(GET % (b"/echo", b"Content-Length: 10000\r\n"))
        reading = asyncio.create_task(client.end())
        while not reading.done():
            client.writer.write(b"x")
            await asyncio.wait([reading], timeout=0.02)
    assert load.ended == {EndReason.BODY_LATE: 1}


async def test_the_rest_of_a_body_is_read_behind_its_answer_and_the_next_request_is_answered(load: ServerLoad) -> None:
    async with client_of(App(), load) as client:
        client.writer.write(GET % (b"/", b"Content-Length: 60000\r\n"))
        assert await client.answer() == b"quick"
        client.writer.write(b"x" * 60_000 + GET % (b"/echo", b"Content-Length: 5\r\n") + b"abcde")
        assert await client.answer() == b"5"
    assert load.ended == {}


async def test_a_body_that_nobody_reads_is_bounded(load: ServerLoad) -> None:
    async with client_of(App(), load) as client:
        client.writer.write(GET % (b"/", b"Content-Length: 100000000\r\n"))
        assert await client.answer() == b"quick"
        client.writer.write(b"x" * (MAX_BODY_BYTES + 10_000))
        assert await client.end() == b""
    assert load.ended == {EndReason.BODY_TOO_LARGE: 1}


async def test_a_body_in_many_pieces_arrives_whole(load: ServerLoad) -> None:
    async with client_of(App(), load) as client:
        client.writer.write(GET % (b"/echo", b"Transfer-Encoding: chunked\r\n"))
        client.writer.write(b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n")
        assert await client.answer() == b"20000"


@pytest.mark.parametrize("start", [b"0\r\nX: ", b"0\r\n", b"1;"])
async def test_what_is_in_a_body_beside_its_content_is_bounded(load: ServerLoad, start: bytes) -> None:
    async with client_of(App(), load) as client:
        client.writer.write(GET % (b"/echo", b"Transfer-Encoding: chunked\r\n") + start)
        client.writer.write(b"X: a\r\n" * 12_000 if start == b"0\r\n" else b"x" * 72_000)
        assert await client.end() == b""
    assert load.ended == {EndReason.BODY_TOO_LARGE: 1}


async def test_an_idle_connection_is_closed_though_it_sends_something(
    monkeypatch: pytest.MonkeyPatch, load: ServerLoad
) -> None:
    monkeypatch.setattr(http_connection, "IDLE_SECONDS", 0.3)
    async with client_of(App(), load) as client:
        client.writer.write(GET % (b"/", b""))
        assert await client.answer() == b"quick"
        client.writer.write(b"\r\n")  # RFC 9112 2.2: ignored before a request
        assert await client.end() == b""
    assert load.ended == {}


async def test_a_line_before_the_first_request_is_ignored(load: ServerLoad) -> None:
    async with client_of(App(), load) as client:
        client.writer.write(b"\r\n")  # RFC 9112 2.2
        await asyncio.sleep(0.05)
        client.writer.write(GET % (b"/", b""))
        assert await client.answer() == b"quick"
    assert (load.faults, load.ended) == (0, {})


async def test_an_answer_that_is_not_read_ends_the_connection(load: ServerLoad) -> None:
    async with client_of(App(), load) as client:
        client.writer.write(GET % (b"/large", b""))
        await until(lambda: load.ended[EndReason.ANSWER_UNREAD] == 1, what="it is ended")


async def test_an_answer_that_is_read_slowly_is_sent_whole(load: ServerLoad) -> None:
    received = 0
    async with client_of(App(), load) as client:
        client.writer.write(GET % (b"/large", b"Connection: close\r\n"))
        while data := await asyncio.wait_for(client.reader.read(20_000), DEADLINE):
            received += len(data)
            await asyncio.sleep(0.01)
    assert received > 1_000_000
    assert load.ended == {}


async def test_pipelined_requests_wait_and_are_answered_one_after_the_other(load: ServerLoad) -> None:
    app = App()
    async with client_of(app, load) as client:
        client.writer.write((GET % (b"/slow", b"")) * 500)
        await until(lambda: app.running == 1, what="the first runs")
        await asyncio.sleep(0.05)
        app.may_answer.set()
        assert [await client.answer() for _ in range(500)] == [b"slow"] * 500
    assert app.most_running == 1


def client_connections(load: ServerLoad) -> list[http_connection.BoundedHttp]:
    return [
        transport.get_protocol()._protocol  # type: ignore[attr-defined]  # noqa: SLF001
        for transport in load.pool._owners  # noqa: SLF001
    ]


async def test_few_of_the_pipelined_requests_are_parsed_before_their_turn(load: ServerLoad) -> None:
    app = App()
    most = http_connection.SLICE_BYTES // 18  # GET / HTTP/1.1 and two line ends
    async with client_of(app, load) as client:
        client.writer.write((GET % (b"/slow", b"")) * 300_000)
        await until(lambda: app.running == 1, what="the first runs")
        (connection,) = client_connections(load)
        parsed: list[int] = []
        app.on_request = lambda: parsed.append(len(connection.pipeline))
        app.may_answer.set()
        for _ in range(200):
            await client.answer()
        assert 0 < max(parsed) <= most
        assert client.writer.transport.get_write_buffer_size() > 0, "the rest is with the client and the kernel"
        client.writer.transport.abort()


async def test_a_request_without_a_user_is_paid_by_its_address() -> None:
    load = ServerLoad(WebSettings(max_work_per_address=1))
    async with client_of(App(), load) as client:
        client.writer.write(GET % (b"/", b""))
        assert await client.answer() == b"quick"
        await until(lambda: not load.peers.address("127.0.0.1").work.is_full(load.clock()), what="it has paid")


async def test_an_address_that_owes_waits_and_another_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "HEADER_SECONDS", 0.5)
    monkeypatch.setattr(http_connection, "CHECK_SECONDS", 0.1)
    now = 0.0
    load = ServerLoad(WebSettings(), clock=lambda: now)
    load.peers.address("127.0.0.1").work.take(10_000, now)
    app = App()
    async with served(app.routes(), load=load) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        other_reader, other = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        writer.write(GET % (b"/", b""))
        other.write(GET % (b"/", b""))
        assert await Client(other_reader, other).answer() == b"quick"
        await asyncio.sleep(1.2)
        assert app.answered == 1
        assert load.ended == {}, "a head that waits for its turn is not late"
        now += 10_000
        assert await Client(reader, writer).answer() == b"quick"
        writer.close()
        other.close()


async def test_a_second_request_of_an_address_that_owes_waits_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "IDLE_SECONDS", 0.3)
    monkeypatch.setattr(http_connection, "CHECK_SECONDS", 0.1)
    now = 0.0
    load = ServerLoad(WebSettings(max_work_per_address=100), clock=lambda: now)
    async with client_of(App(), load) as client:
        client.writer.write(GET % (b"/", b""))
        assert await client.answer() == b"quick"
        load.peers.address("127.0.0.1").work.take(520, now)
        client.writer.write(GET % (b"/", b""))
        await until(lambda: load.turns.delays.total() > 3, what="it has waited for longer than an idle connection")
        now += 10_000
        assert await client.answer() == b"quick"


@pytest.mark.parametrize("name", [b"Connection", b"Upgrade", b"Sec-WebSocket-Protocol", b"Sec-WebSocket-Extensions"])
async def test_a_long_list_of_options_is_refused_before_it_is_taken_apart(name: bytes) -> None:
    app = App()
    lines = b"".join(b"%b: %b\r\n" % (name, b"a," * 100) for _ in range(LIST_BYTES // 200 + 1))
    async with client_of(app, ServerLoad(WebSettings())) as client:
        client.writer.write(GET % (b"/", HEADERS + lines))
        assert (await client.end()).startswith(b"HTTP/1.1 400 ")
    assert app.answered == 0
