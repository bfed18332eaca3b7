"""Floods over real sockets: what one client may send, as a stranger, as a user, and after the server's close frame."""

import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs
from websockets.frames import Opcode

from bridge.http import websocket
from bridge.http.load import EndReason, ServerLoad
from bridge.http.message_reader import FRAME_BYTES, MessageReader
from bridge.settings.web import WebSettings
from tests.http.served_sockets import RawClient, SocketApp, masked, served, upgraded_client
from tests.support.brokers import until
from tests.support.stopped_clock import TickingClock

CONT, TEXT, BINARY, CLOSE, PING, PONG = Opcode
FLOODS = {
    "pings": masked(PING),
    "long pings": masked(PING, b"p" * 125),
    "pongs": masked(PONG),
    "messages": masked(TEXT),
    "fragments": masked(CONT, fin=False),
    "bytes": masked(BINARY, b"x" * 125),
}


async def flood(client: RawClient, frame: bytes) -> int:
    """Send this frame until the server takes no more or ends it; return the bytes that it took."""
    sent = 0
    block = frame * (65_536 // len(frame))
    with contextlib.suppress(ConnectionError, TimeoutError):
        while not client.writer.transport.is_closing():
            client.writer.write(block)
            sent += len(block)
            async with asyncio.timeout(0.5):
                await client.writer.drain()
    return sent


@pytest.mark.parametrize("name", FLOODS)
async def test_a_stranger_has_a_total(name: str) -> None:
    load = ServerLoad(WebSettings(max_work_per_address=1))
    app = SocketApp(user=None)
    async with upgraded_client(app, load=load) as client:
        recorder = await app.newest()
        if name == "fragments":
            client.writer.write(masked(TEXT, fin=False))
        await flood(client, FLOODS[name])
        await until(lambda: recorder.is_gone, what="it is ended")
    assert load.ended[EndReason.UNAUTHENTICATED] == 1
    assert load.ended[EndReason.AFTER_CLOSE] == 1
    assert load.closed == {4429: 1}
    assert recorder.disconnected_calls == 1
    assert len(recorder.messages) <= load.web.max_unauthenticated_bytes / FRAME_BYTES
    assert not load.peers.address("127.0.0.1").work.is_full(load.clock())


@pytest.mark.parametrize(("code", "pays"), [(1_008, True), (4_408, True), (1_012, False)])
async def test_an_address_pays_for_a_socket_on_which_nobody_authenticates(code: int, *, pays: bool) -> None:
    load = ServerLoad(WebSettings(), clock=lambda: 0.0)
    app = SocketApp(user=None, on_open=lambda recorder: recorder.socket.close(code, ""))
    async with upgraded_client(app, load=load) as client:
        assert await client.close_frame() == (code, "")
        client.writer.write(masked(CLOSE, code.to_bytes(2)))
        await client.rest()
        await until(lambda: app.opened[0].is_gone, what="it is over")
        assert load.peers.address("127.0.0.1").work.is_full(0.0) != pays


async def test_what_is_read_behind_the_authentication_is_a_users() -> None:
    load = ServerLoad(WebSettings(max_unauthenticated_bytes=2_048))
    app = SocketApp(user=None)
    async with upgraded_client(app, load=load) as client:
        recorder = await app.newest()
        recorder.on_message = lambda _: recorder.socket.authenticated("eva")
        client.writer.write(masked(TEXT, b"token") + masked(BINARY, b"x" * 125) * 100)
        await until(lambda: len(recorder.messages) == 101, what="all are read")
    assert load.byte_delays == 0
    assert load.ended == {}


async def test_a_user_who_sends_more_than_the_rate_is_read_later_and_loses_nothing() -> None:
    now = 0.0
    load = ServerLoad(WebSettings(max_bytes_per_second=20_000), clock=lambda: now)
    app = SocketApp()
    count = 20_000 * websocket.BURST_SECONDS // FRAME_BYTES + 10
    async with upgraded_client(app, load=load) as client:
        recorder = await app.newest()
        client.writer.write(masked(BINARY, b"x") * count)
        await until(lambda: load.byte_delays > 0, what="the burst is used up")
        assert len(recorder.messages) < count
        now += 1_000
        await until(lambda: len(recorder.messages) == count, what="all are read")
    assert recorder.disconnected_calls == 1


@pytest.mark.parametrize("name", FLOODS)
async def test_what_follows_our_close_frame_is_bounded(name: str) -> None:
    load = ServerLoad(WebSettings())
    app = SocketApp()
    async with upgraded_client(app, load=load) as client:
        recorder = await app.newest()
        recorder.socket.close(4_408, "late")
        if name == "fragments":
            client.writer.write(masked(TEXT, fin=False))
        sent = await flood(client, FLOODS[name])
        await until(lambda: recorder.is_gone, what="it is ended")
    assert load.ended == {EndReason.AFTER_CLOSE: 1}
    assert sent >= websocket.AFTER_CLOSE_BYTES * len(FLOODS[name]) / FRAME_BYTES
    assert recorder.messages == []


@pytest.mark.parametrize("name", ["pings", "messages", "bytes"])
async def test_between_two_polls_of_the_sockets_little_of_a_flood_is_read(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    slices, most, total = 0, 0, 0
    heartbeat: asyncio.Handle | None = None
    parse = MessageReader.parse

    def counted(reader: MessageReader) -> int:
        nonlocal slices, total
        slices, total = slices + 1, total + 1
        return parse(reader)

    def beat() -> None:
        nonlocal slices, most, heartbeat
        most, slices = max(most, slices), 0
        heartbeat = asyncio.get_running_loop().call_soon(beat)

    monkeypatch.setattr(MessageReader, "parse", counted)
    load = ServerLoad(WebSettings(max_bytes_per_second=10**9, max_work_per_user=10**9), TickingClock(tick=0.1))
    app = SocketApp()
    beat()
    async with served(app, load=load) as port:
        clients = [await RawClient.connect(port) for _ in range(8)]
        for client in clients:
            await client.upgraded()
            client.writer.write(FLOODS[name] * (131_072 // len(FLOODS[name])))
        await until(lambda: total > 200, what="many slices are read")
        for client in clients:
            client.writer.transport.abort()
    assert heartbeat is not None
    heartbeat.cancel()
    share = load.web.turn_ms / 2
    assert 0 < most <= 3 * share / 0.1, "three turns, if a piece took no more than a tick"


async def test_a_handler_that_pauses_gets_no_message_of_the_same_read_until_it_reads_on() -> None:
    app = SocketApp()
    async with upgraded_client(app) as client:
        recorder = await app.newest()
        recorder.on_message = lambda _: recorder.socket.pause_reading()
        client.writer.write(masked(TEXT, b"1") + masked(TEXT, b"2") + masked(PING, b"p"))
        await until(lambda: bool(recorder.messages), what="the first is read")
        await asyncio.sleep(0.05)
        assert recorder.messages == ["1"]
        recorder.socket.resume_reading()
        assert recorder.messages == ["1"], "not within the call"
        await until(lambda: recorder.messages == ["1", "2"], what="the second is read")
        assert await client.frame() == (PONG, b"p")


async def test_a_handler_that_fails_ends_its_connection_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "ECHO_SECONDS", 600.0)

    def fail(_: str | bytes) -> None:
        raise LookupError

    app = SocketApp()
    async with upgraded_client(app) as client:
        recorder = await app.newest()
        recorder.on_message = fail
        with capture_logs() as logs:
            client.writer.write(masked(TEXT, b"1") + masked(TEXT, b"x" * 125) * 20)
            assert await client.close_frame() == (1_011, "")
        client.writer.write(masked(CLOSE, (1_011).to_bytes(2)))
        assert await client.rest() == b"", "its answer is read"
    faults = [(entry["event"], entry["peer"]) for entry in logs if entry["log_level"] == "error"]
    assert faults == [("web.connection_failed", "eva")]
    assert recorder.messages == ["1"]
    assert recorder.disconnected_calls == 1


async def test_work_of_a_socket_waits_for_its_turn() -> None:
    app = SocketApp()
    async with upgraded_client(app):
        recorder = await app.newest()
        done: list[str] = []
        recorder.socket.in_turn(lambda: done.append("work"))
        assert done == []
        await until(lambda: bool(done), what="it is done")
        await asyncio.sleep(0.05)
        assert done == ["work"]
