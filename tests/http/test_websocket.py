"""An open WebSocket of the server: messages both ways, closes, slow clients. Over real sockets."""

import asyncio
import contextlib
import gc
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets
from websockets.frames import Opcode
from websockets.server import ServerProtocol

from bridge.http import message_reader, websocket
from bridge.http.frame_protocol import FrameProtocol
from bridge.http.handshake import HandshakeWebSocket
from bridge.http.http_connection import BoundedHttp
from bridge.http.websocket import WebSocketConnection
from bridge.settings.web import WebSettings
from tests.http.served_sockets import DEADLINE, RawClient, Recorder, SocketApp, masked, served, upgraded_client
from tests.support.brokers import until
from tests.support.certificates import self_signed

CONT, TEXT, BINARY, CLOSE, PING, PONG = Opcode


async def ends(recorder: Recorder) -> None:
    await until(lambda: recorder.disconnected_calls > 0, what="the handler gets the end")


async def exhaust(client: websockets.ClientConnection) -> None:
    while True:
        await asyncio.wait_for(client.recv(), DEADLINE)


async def test_messages_go_both_ways() -> None:
    app = SocketApp()
    async with served(app) as port, websockets.connect(f"ws://127.0.0.1:{port}/ws") as client:
        await client.send("Käse")
        assert await client.recv() == "4"
        await client.send(b"\xff\x00")
        assert await client.recv() == "2"
        app.opened[0].send("x" * 70_000)
        assert len(await client.recv()) == 70_000
    assert app.opened[0].messages == ["Käse", b"\xff\x00"]


async def test_fragments_are_joined_around_a_ping_and_within_a_character() -> None:
    app = SocketApp()
    async with upgraded_client(app) as client:
        client.writer.write(masked(TEXT, b"K\xc3", fin=False) + masked(PING, b"p") + masked(CONT, b"\xa4", fin=False))
        assert await client.frame() == (PONG, b"p")
        client.writer.write(masked(CONT, b"se") + masked(BINARY, b"a", fin=False) + masked(CONT, b"b"))
        assert [await client.frame(), await client.frame()] == [(TEXT, b"4"), (TEXT, b"2")]
    assert app.opened[0].messages == ["Käse", b"ab"]


async def test_every_ping_of_a_reading_client_is_answered() -> None:
    async with served(SocketApp()) as port:
        client = await RawClient.connect(port)
        await client.upgraded()
        client.writer.write(b"".join(masked(PING, b"%d" % n) for n in range(10)))
        assert [await client.frame() for _ in range(10)] == [(PONG, b"%d" % n) for n in range(10)]
        client.close()


@pytest.mark.parametrize("payload", [b"", (4_321).to_bytes(2) + b"bye"])
async def test_the_clients_close_frame_is_echoed_behind_the_answers(payload: bytes) -> None:
    app = SocketApp()
    async with upgraded_client(app) as client:
        client.writer.write(masked(TEXT, b"abc") + masked(CLOSE, payload) + masked(TEXT, b"late"))
        assert [await client.frame(), await client.frame()] == [(TEXT, b"3"), (CLOSE, payload)]
        assert await client.rest() == b""
    assert app.opened[0].messages == ["abc"]
    assert app.opened[0].disconnected_calls == 1


async def test_our_close_reaches_the_client_and_later_messages_are_discarded() -> None:
    app = SocketApp()
    async with upgraded_client(app) as client:
        recorder = await app.newest()
        recorder.on_message = lambda _: recorder.socket.close(4_001, "enough")
        client.writer.write(masked(TEXT, b"1") + masked(TEXT, b"2"))
        assert await client.close_frame() == (4_001, "enough")
        client.writer.write(masked(TEXT, b"3") + masked(CLOSE, (4_001).to_bytes(2)))
        assert await client.rest() == b""
    assert recorder.messages == ["1"]
    assert recorder.disconnected_calls == 0


async def test_a_close_frame_that_is_not_answered_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "ECHO_SECONDS", 0.1)
    app = SocketApp(on_open=lambda recorder: recorder.socket.close(4_001, "no"))
    async with upgraded_client(app) as client:
        assert await client.close_frame() == (4_001, "no")
        assert await client.rest() == b""
    assert app.opened[0].disconnected_calls == 0


async def test_the_handler_may_close_when_the_client_closes_in_the_same_read() -> None:
    app = SocketApp()
    async with upgraded_client(app) as client:
        recorder = await app.newest()
        recorder.on_message = lambda _: recorder.socket.close(4_001, "enough")
        client.writer.write(masked(TEXT, b"1") + masked(CLOSE, (1_000).to_bytes(2)))
        assert await client.close_frame() == (1_000, "")
        assert await client.rest() == b""
    assert recorder.disconnected_calls == 0


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (masked(TEXT, b"\xff") + masked(TEXT, b"late"), 1007),
        (masked(TEXT, b"\xc3", fin=False) + masked(CONT, b"("), 1007),
        (b"\x81\x01a", 1002),  # not masked
        (masked(CONT, b"a") + masked(TEXT, b"late"), 1002),
        (masked(0x3, b"a"), 1002),
        (masked(TEXT, fin=False) + masked(TEXT), 1002),
        (masked(CLOSE, b"\x03"), 1002),
        (b"\x81\xff" + (2_049).to_bytes(8) + b"\0\0\0\0", 1009),
        (masked(TEXT, b"x" * 100, fin=False) + masked(CONT, b"x" * 100, fin=False) * 20, 1009),
        (masked(TEXT, fin=False) + masked(CONT, fin=False) * (message_reader.MAX_FRAGMENTS + 10), 1009),
    ],
)
async def test_a_violation_closes_with_its_code_after_what_was_valid(sent: bytes, code: int) -> None:
    app = SocketApp()
    async with served(app, WebSettings(max_frame_bytes=2_048)) as port:
        client = await RawClient.connect(port)
        await client.upgraded()
        client.writer.write(masked(TEXT, b"ok") + sent)
        assert await client.frame() == (TEXT, b"2")
        assert (await client.close_frame())[0] == code
        assert await client.rest() == b""
        client.close()
    assert app.opened[0].messages == ["ok"]
    assert app.opened[0].disconnected_calls == 1


@pytest.mark.parametrize("abort", [False, True], ids=["half-close", "reset"])
async def test_a_client_that_is_gone_ends_it_once(*, abort: bool) -> None:
    app = SocketApp()
    async with upgraded_client(app) as client:
        recorder = await app.newest()
        if abort:
            client.writer.transport.abort()
        else:
            client.writer.write_eof()
        await ends(recorder)
        recorder.send("x")
        recorder.socket.pause_reading()
        recorder.socket.resume_reading()
        recorder.socket.close(1_000, "")
        assert recorder.socket.unsent_bytes == 0
        assert await client.rest() == b""
    assert recorder.disconnected_calls == 1


async def test_no_message_comes_while_reading_is_paused() -> None:
    app = SocketApp(on_open=lambda recorder: recorder.socket.pause_reading())
    async with served(app) as port, websockets.connect(f"ws://127.0.0.1:{port}/ws") as client:
        recorder = await app.newest()
        await client.send("abc")
        await asyncio.sleep(0.05)  # it would have come by now
        assert recorder.messages == []
        recorder.socket.resume_reading()
        assert await client.recv() == "3"


async def test_a_stopping_server_closes_with_1012_unless_it_has_closed_already() -> None:
    app = SocketApp()
    async with served(app) as port:
        clients = [await RawClient.connect(port) for _ in range(2)]
        for client in clients:
            await client.upgraded()
        app.opened[0].socket.close(4_001, "enough")
    assert [await client.close_frame() for client in clients] == [(4_001, "enough"), (1_012, "")]
    assert [await client.rest() for client in clients] == [b"", b""]
    assert [recorder.disconnected_calls for recorder in app.opened] == [0, 1]
    for client in clients:
        client.close()


async def test_tls(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    app = SocketApp()
    web = WebSettings(tls_cert_file=certificate, tls_key_file=key)
    context = ssl.create_default_context(cafile=str(certificate))
    async with (
        served(app, web) as port,
        websockets.connect(f"wss://localhost:{port}/ws", ssl=context, host="127.0.0.1") as client,
    ):
        await client.send("abc")
        assert await client.recv() == "3"
        await client.send("x" * 60_000)  # several records, and reads of ours
        assert await client.recv() == "60000"
        app.opened[0].fill()
        assert len(await client.recv()) == 10_000
        app.opened[0].socket.close(4_001, "enough")
        with contextlib.suppress(websockets.ConnectionClosed):
            await exhaust(client)
    assert client.close_code == 4_001
    assert app.opened[0].disconnected_calls == 0


@pytest.fixture
def no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
async def test_an_ended_connection_leaves_no_cycle_of_references() -> None:
    kinds = {WebSocketConnection, HandshakeWebSocket, BoundedHttp, ServerProtocol, FrameProtocol}

    former = {id(entry): entry for entry in gc.get_objects() if type(entry) in kinds}  # of other tests

    def alive() -> int:
        return sum(type(entry) in kinds and id(entry) not in former for entry in gc.get_objects())

    app = SocketApp()
    async with served(app) as port:
        for code in (1_000, 1_005, 0):
            client = await RawClient.connect(port)
            await client.upgraded()
            await until(lambda: alive() == 2, what="only the connection and its parser are left")
            client.writer.write(masked(CLOSE, code.to_bytes(2)))
            await client.rest()
            client.close()
            app.opened.clear()
            await until(lambda: alive() == 0, what="all are gone")
