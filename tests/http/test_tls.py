"""TLS in turns: what a client sends is processed in slices, at its expense, and answered as over plain sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from bridge.http import tls_connection, tls_transport
from bridge.http.acceptor import Arrival
from bridge.http.load import EndReason, ServerLoad
from bridge.http.peers import PeerKind
from bridge.ports.clock import Monotonic, perf_counter_ms
from bridge.settings.web import WebSettings
from tests.http.served_sockets import DEADLINE, HEADERS, SocketApp, masked, served
from tests.http.tls_client import Sealer, TlsClient
from tests.support.brokers import until
from tests.support.certificates import self_signed
from tests.support.client_hello import HANDSHAKE, P256, hello_with, p256_hello, point_of
from tests.support.stopped_clock import TickingClock

ALERT = 21
UPGRADE = b"GET /ws HTTP/1.1\r\nHost: localhost\r\n" + HEADERS + b"\r\n"
SHORT_GET = b"GET /3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass
class Served:
    """A server with TLS."""

    port: int
    certificate: Path
    load: ServerLoad
    app: SocketApp
    folder: Path
    clients: list[TlsClient] = field(default_factory=list)

    async def client(self, *, narrow: bool = False) -> TlsClient:
        key_log = self.folder / f"keys-{len(self.clients)}"
        client = await TlsClient.connect(self.port, self.certificate, key_log, narrow=narrow)
        self.clients.append(client)
        return client

    def is_unread(self) -> bool:
        """Return whether something waits for a client whose handshake is not done."""
        arrivals = [one for one in self.load.pool._owners if isinstance(one, Arrival)]  # noqa: SLF001
        return any(arrival.tls is not None and arrival.tls.get_write_buffer_size() > 0 for arrival in arrivals)

    async def upgraded(self, *, narrow: bool = False) -> tuple[TlsClient, Sealer]:
        """Return a client whose WebSocket is open."""
        client = await self.client(narrow=narrow)
        seal = await client.shake_hands()
        client.raw.writer.write(seal.record(UPGRADE))
        assert b" 101 " in await client.received_head()
        return client, seal


@asynccontextmanager
async def tls_server(
    folder: Path, app: SocketApp | None = None, *, names: int = 1, clock: Monotonic = perf_counter_ms, **settings: int
) -> AsyncIterator[Served]:
    certificate, key = self_signed(folder, names=names)
    load = ServerLoad(WebSettings(tls_cert_file=certificate, tls_key_file=key, **settings), clock)
    app = SocketApp() if app is None else app
    async with served(app, load=load) as port:
        server = Served(port, certificate, load, app, folder)
        try:
            yield server
        finally:
            for client in server.clients:
                client.raw.close()


def count_handshakes(monkeypatch: pytest.MonkeyPatch) -> list[tls_transport.TlsTransport]:
    """Return the transports of which a piece was processed, each time."""
    processed: list[tls_transport.TlsTransport] = []

    class Counted(tls_transport.TlsTransport):
        def _process(self, piece: bytes) -> None:
            processed.append(self)
            super()._process(piece)

    monkeypatch.setattr("bridge.http.acceptor.TlsTransport", Counted)
    return processed


async def test_handshakes_that_end_together_are_made_a_few_in_each_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, handshakes = 50, count_handshakes(monkeypatch)
    clock = TickingClock(tick=0.5)  # two are half of a turn
    async with tls_server(tmp_path, clock=clock, max_work_per_address=10**6) as server:
        clients = [await server.client() for _ in range(count)]
        hello = p256_hello()
        for client in clients:
            client.raw.writer.write(hello[:20])
        await until(lambda: len(handshakes) == count, what="all have begun")
        for client in clients:
            client.raw.writer.write(hello[20:])
        most, before = 0, count
        while len(handshakes) < 2 * count:
            await asyncio.sleep(0)
            most, before = max(most, len(handshakes) - before), len(handshakes)
    assert most <= 3


async def test_the_address_pays_for_handshakes(tmp_path: Path) -> None:
    async with tls_server(tmp_path) as server:
        address = server.load.peers.address("127.0.0.1")
        address.work_accounts += 1  # it is not forgotten
        before = server.load.clock()
        level = address.work.wait_ms(before)
        for _ in range(5):
            client = await server.client()
            await client.shake_hands()
            client.raw.close()
        await until(lambda: len(server.load.pool) == 0, what="they are gone")
        assert level == 0
        assert not address.work.is_full(before)


@pytest.mark.parametrize("asks_for_one", [False, True])
async def test_the_user_pays_for_new_keys_and_waits(tmp_path: Path, *, asks_for_one: bool) -> None:
    async with tls_server(tmp_path, max_work_per_user=10, max_frames_per_second=100_000) as server:
        client, seal = await server.upgraded()
        updates = b"".join(seal.key_update(asks_for_one=asks_for_one) for _ in range(20_000))
        client.raw.writer.write(updates + seal.record(masked(1, b"hi")))
        reading = asyncio.create_task(client.received(1_000_000)) if asks_for_one else None
        await until(lambda: server.load.turns.delays[PeerKind.USER] > 0, what="the user owes, and waits")
        if reading is not None:
            reading.cancel()
    assert server.load.faults == 0


async def test_new_keys_are_used(tmp_path: Path) -> None:
    async with tls_server(tmp_path) as server:
        client, seal = await server.upgraded()
        for count in (1, 40, 300):
            updates = b"".join(seal.key_update() for _ in range(count))
            client.raw.writer.write(updates + seal.record(masked(1, b"." * 10)))
            assert await client.received(4) == b"\x81\x0210"


async def test_who_reads_nothing_has_few_answers_of_tls_in_memory(tmp_path: Path) -> None:
    async with tls_server(tmp_path) as server:
        client, seal = await server.upgraded(narrow=True)
        client.raw.pause_reading()
        recorder = await server.app.newest()
        recorder.fill()
        waiting = recorder.socket.unsent_bytes
        client.raw.writer.write(b"".join(seal.key_update(asks_for_one=True) for _ in range(40_000)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.raw.writer.drain(), 1)
        assert recorder.socket.unsent_bytes <= waiting + 2 * tls_transport.CONTROL_BYTES
        client.raw.writer.transport.abort()


async def test_a_request_may_come_in_records_of_a_byte(tmp_path: Path) -> None:
    async with tls_server(tmp_path, SocketApp()) as server:
        client = await server.client()
        seal = await client.shake_hands()
        for byte in UPGRADE:
            client.raw.writer.write(seal.record(bytes((byte,))))
        assert (await client.received(12)) == b"HTTP/1.1 101"


async def test_what_is_no_record_ends_the_connection_with_an_alert(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with tls_server(tmp_path) as server:
            client, seal = await server.upgraded()
            client.raw.writer.write(seal.record(masked(1, b"hi"))[:-1] + b"?")
            with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
                await client.received(1)
            client.raw.close()
            await until(lambda: server.app.opened[-1].is_gone, what="it is gone")
            assert server.load.ended[EndReason.NO_TLS] == 1
    assert {entry["log_level"] for entry in logs} == {"info"}


@pytest.mark.parametrize("is_gone", [False, True])
async def test_the_handshake_of_a_client_that_is_gone_is_not_done_behind_a_debt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_gone: bool
) -> None:
    handshakes = count_handshakes(monkeypatch)
    async with tls_server(tmp_path, max_work_per_address=1_000) as server:
        client = await server.client()
        hello = client.hello()
        client.raw.writer.write(hello[:20])
        await until(lambda: len(handshakes) == 1, what="it is connected")
        work = server.load.peers.address("127.0.0.1").work
        work.take(work.burst + 300, server.load.clock())
        client.raw.writer.write(hello[20:])
        if is_gone:
            client.raw.close()
            await until(lambda: len(server.load.pool) == 0, what="it is ended")
        else:
            await until(lambda: len(handshakes) == 2, what="its handshake goes on")
    assert len(handshakes) == (1 if is_gone else 2)


@pytest.mark.parametrize(
    ("group", "share", "content_type"),
    [
        pytest.param(P256, point_of(ec.SECP256R1()), HANDSHAKE, id="P-256"),
        pytest.param(0x0019, point_of(ec.SECP521R1()), ALERT, id="P-521"),
        pytest.param(0x0104, bytes(1_023) + b"\x04", ALERT, id="ffdhe8192"),
    ],
)
async def test_no_client_chooses_an_expensive_key_exchange(
    tmp_path: Path, group: int, share: bytes, content_type: int
) -> None:
    async with tls_server(tmp_path) as server:
        client = await server.client()
        client.raw.writer.write(hello_with(group, share))
        assert (await client.raw.reader.readexactly(1))[0] == content_type


async def test_a_handshake_has_few_bytes(tmp_path: Path) -> None:
    async with tls_server(tmp_path) as server:
        client = await server.client()
        client.raw.writer.write(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc" + bytes(tls_connection.HANDSHAKE_BYTES))
        await until(lambda: server.load.ended[EndReason.NO_TLS] == 1, what="it is ended")


async def test_what_came_before_an_invalid_record_is_taken(tmp_path: Path) -> None:
    async with tls_server(tmp_path) as server:
        client, seal = await server.upgraded()
        client.raw.writer.write(seal.record(masked(1, b"hi")) + seal.record(masked(1, b"no"))[:-1] + b"?")
        await until(lambda: server.load.ended[EndReason.NO_TLS] == 1, what="it is ended")
        assert (await server.app.newest()).messages == ["hi"]


async def test_a_handshake_ends_in_time_unless_it_waits_for_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_transport, "HANDSHAKE_SECONDS", 0.2)
    monkeypatch.setattr(tls_transport, "CHECK_SECONDS", 0.1)
    async with tls_server(tmp_path) as server:
        late, waits = await server.client(), await server.client()
        late.raw.writer.write(late.hello()[:20])
        hello = waits.hello()
        waits.raw.writer.write(hello[:20])
        await until(lambda: len(server.load.pool) == 2, what="both are connected")
        work = server.load.peers.address("127.0.0.1").work
        waits.raw.writer.write(hello[20:])
        work.take(work.burst + 60, server.load.clock())
        assert await late.raw.rest() == b""
        await until(lambda: server.load.ended[EndReason.NO_TLS] == 1, what="it is counted")
        await waits.shake_hands()


async def test_a_handshake_that_fails_while_its_answer_is_unread_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_transport, "HANDSHAKE_SECONDS", 0.5)
    async with tls_server(tmp_path, names=20_000) as server:
        client = await server.client(narrow=True)
        client.raw.pause_reading()
        client.raw.writer.write(p256_hello())
        await until(server.is_unread, what="its answer waits")
        client.raw.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.1)
        assert len(server.load.pool) == 1, "it is there as long as its answer is"
        await until(lambda: len(server.load.pool) == 0, what="it is ended")
        assert server.load.ended == {EndReason.NO_TLS: 1}
        client.raw.writer.transport.abort()


async def test_a_client_that_ends_tls_is_answered_with_its_end(tmp_path: Path) -> None:
    async with tls_server(tmp_path) as server:
        context = ssl.create_default_context(cafile=str(server.certificate))
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=context, server_hostname="localhost"
        )
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), DEADLINE)
        recorder = await server.app.newest()
        await until(lambda: recorder.disconnected_calls == 1, what="it is gone")
    assert server.load.faults == 0
