"""WebSockets whose client does not read, or does not answer: what waits for it, and how they end."""

import asyncio
from collections.abc import Callable

import pytest
from websockets.frames import Opcode

from bridge.http import websocket
from bridge.settings.web import WebSettings
from tests.http.served_sockets import DEADLINE, RawClient, SocketApp, masked, upgraded_client
from tests.support.brokers import until

PING, PONG, CLOSE = Opcode.PING, Opcode.PONG, Opcode.CLOSE


async def test_a_client_that_does_not_read_is_not_writable_until_it_reads_on() -> None:
    app = SocketApp()
    async with upgraded_client(app, narrow=True) as client:
        recorder = await app.newest()
        recorder.fill()
        waiting = recorder.socket.unsent_bytes
        assert websocket.WRITE_BUFFER_BYTES < waiting <= websocket.WRITE_BUFFER_BYTES + 10_004
        await asyncio.sleep(0.05)
        assert recorder.writable_calls == 0
        while recorder.writable_calls == 0:
            assert len((await client.frame())[1]) == 10_000
        assert recorder.socket.is_writable
        assert recorder.socket.unsent_bytes < websocket.WRITE_BUFFER_BYTES
    assert recorder.writable_calls == 1


async def test_a_client_that_pings_and_does_not_read_is_owed_one_pong() -> None:
    ping, count = masked(PING, b"p" * 125), 4_000
    app, web = SocketApp(), WebSettings(max_bytes_per_second=10**9)
    async with upgraded_client(app, web, narrow=True) as client:
        (await app.newest()).fill()
        for _ in range(count // 10):
            client.writer.write(ping * 10)
            await asyncio.wait_for(client.writer.drain(), DEADLINE)
        client.writer.write(masked(PING, b"last") + masked(CLOSE, (1_000).to_bytes(2)))
        frames: list[tuple[int, bytes]] = []
        while not frames or frames[-1][0] != CLOSE:
            frames.append(await client.frame())
    pongs = [payload for opcode, payload in frames if opcode == PONG]
    assert 0 < len(pongs) < count // 2


async def test_the_pong_is_sent_when_the_client_reads_on() -> None:
    app = SocketApp()
    async with upgraded_client(app, narrow=True) as client:
        recorder = await app.newest()
        recorder.fill()
        client.writer.write(masked(PING, b"1"))
        await asyncio.sleep(0.05)
        client.writer.write(masked(PING, b"2") + masked(Opcode.TEXT, b"read up to here"))
        await until(lambda: bool(recorder.messages), what="the pings are read")
        pongs: list[bytes] = []
        while pongs != [b"2"]:
            opcode, payload = await client.frame()
            if opcode == PONG:
                pongs.append(payload)


async def test_a_client_that_reads_late_receives_why_it_was_closed() -> None:
    app = SocketApp()
    async with upgraded_client(app, narrow=True) as client:
        recorder = await app.newest()
        recorder.fill()
        recorder.socket.close(4_008, "too slow")
        recorder.send("not sent behind the close frame")
        await asyncio.sleep(0.05)
        assert await client.close_frame() == (4_008, "too slow")
        client.writer.write(masked(CLOSE, (4_008).to_bytes(2)))
        assert await client.rest() == b""
    assert recorder.writable_calls == 0
    assert recorder.disconnected_calls == 0


async def test_the_answer_to_our_close_frame_is_read_though_reading_was_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "ECHO_SECONDS", 600.0)
    app = SocketApp(on_open=lambda recorder: recorder.socket.pause_reading())
    async with upgraded_client(app) as client:
        (await app.newest()).socket.close(4_001, "enough")
        client.writer.write(masked(CLOSE, (4_001).to_bytes(2)))
        assert await client.close_frame() == (4_001, "enough")
        assert await client.rest() == b""


async def test_a_pong_is_no_answer_to_our_close_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PING_SECONDS", 0.05)
    monkeypatch.setattr(websocket, "ECHO_SECONDS", 0.1)
    app = SocketApp()
    async with upgraded_client(app) as client:
        opcode, payload = await client.frame()
        assert opcode == PING
        app.opened[0].socket.close(4_001, "enough")
        client.writer.write(masked(PONG, payload))
        assert await client.close_frame() == (4_001, "enough")
        assert await client.rest() == b""


@pytest.mark.parametrize(
    "end",
    [
        lambda app, _: app.opened[0].socket.close(4_008, "too slow"),
        lambda _, client: client.writer.write(masked(CLOSE, (1_000).to_bytes(2))),
        lambda _, client: client.writer.write(b"\x81\x01a"),
        lambda _, client: client.writer.write_eof(),
    ],
    ids=["our close", "its close", "violation", "half-close"],
)
async def test_unread_data_is_discarded_in_the_end(
    monkeypatch: pytest.MonkeyPatch, end: Callable[[SocketApp, RawClient], None]
) -> None:
    monkeypatch.setattr(websocket, "ECHO_SECONDS", 0.1)
    monkeypatch.setattr(websocket, "LINGER_SECONDS", 0.1)
    app = SocketApp()
    async with upgraded_client(app, narrow=True) as client:
        recorder = await app.newest()
        recorder.fill()
        end(app, client)
        await until(lambda: recorder.is_gone, what="the connection is aborted")
        assert len(await client.rest()) < 10_000 * websocket.WRITE_BUFFER_BYTES


async def test_a_client_that_answers_pings_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PING_SECONDS", 0.05)
    monkeypatch.setattr(websocket, "PONG_SECONDS", 0.5)
    app = SocketApp()
    async with upgraded_client(app) as client:
        payloads = set()
        for _ in range(15):
            opcode, payload = await client.frame()
            assert opcode == PING
            client.writer.write(masked(PONG, b"other") + masked(PONG, payload) + masked(PONG, payload))
            payloads.add(payload)
    assert len(payloads) == 15, "each has a payload of its own"
    assert app.opened[0].disconnected_calls == 1


async def test_a_client_that_answers_no_ping_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PING_SECONDS", 0.05)
    monkeypatch.setattr(websocket, "PONG_SECONDS", 0.1)
    app = SocketApp()
    async with upgraded_client(app) as client:
        assert (await client.frame())[0] == PING
        client.writer.write(masked(PONG, b"of another ping"))
        assert await client.frame() == (CLOSE, (1_011).to_bytes(2) + b"keepalive ping timeout")
        assert await client.rest() == b""
    assert app.opened[0].disconnected_calls == 1


async def test_a_client_that_neither_answers_nor_reads_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "PING_SECONDS", 0.05)
    monkeypatch.setattr(websocket, "PONG_SECONDS", 0.1)
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.1)
    app = SocketApp()
    async with upgraded_client(app, narrow=True):
        recorder = await app.newest()
        recorder.fill()
        await until(lambda: recorder.is_gone, what="the connection is aborted")
        assert recorder.disconnected_calls == 1
