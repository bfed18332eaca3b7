"""An open WebSocket of the server on a transport in memory: bytes in, what it delivers and answers out."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from typing_extensions import override

from bridge.http.load import ServerLoad
from bridge.http.message_reader import MAX_FRAGMENTS
from bridge.http.peers import WorkAccount
from bridge.http.websocket import WebSocketConnection
from bridge.ports.dashboard_socket import DashboardSocket
from bridge.protocol.websocket_frames import text_frames
from bridge.settings.web import WebSettings
from tests.http.reference_frames import CLOSE, PONG, TEXT, VIOLATION_CODES, meaning

MAX_SIZE: Final = 2_048  # of a message
WEB: Final = WebSettings(max_frame_bytes=MAX_SIZE, max_unauthenticated_bytes=10**9)  # nobody authenticates here


class RecordedTransport(asyncio.Transport):
    """Keeps what is written; takes everything at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_over = False
        self.reading = asyncio.Event()  # or over
        self.reading.set()

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_over:
            self.written += data

    @override
    def close(self) -> None:
        self.is_over = True
        self.reading.set()

    @override
    def abort(self) -> None:
        self.close()

    @override
    def is_closing(self) -> bool:
        return self.is_over

    @override
    def pause_reading(self) -> None:
        self.reading.clear()

    @override
    def resume_reading(self) -> None:
        self.reading.set()

    @override
    def get_write_buffer_size(self) -> int:
        return 0

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


@dataclass
class LengthHandler:
    """Answers each message with its length."""

    socket: DashboardSocket
    messages: list[str | bytes] = field(default_factory=list)
    ends: int = 0

    def message_received(self, message: str | bytes) -> None:
        assert not self.ends, "nothing comes after the end"
        self.messages.append(message)
        self.socket.write(text_frames([b"%d" % len(message)]))

    def writable(self) -> None:
        pass

    def disconnected(self) -> None:
        self.ends += 1


@dataclass(frozen=True)
class Outcome:
    """What came of some bytes; `frames` are the opcodes and payloads that the server wrote."""

    messages: list[str | bytes]
    frames: list[tuple[int, bytes]]
    ends: int

    @property
    def close_code(self) -> int | None:
        """The code of the close frame, 1005 if it has none; None without a close frame."""
        opcode, payload = self.frames[-1] if self.frames else (TEXT, b"")
        return (int.from_bytes(payload[:2]) if payload else 1005) if opcode == CLOSE else None


async def received(pieces: Iterable[bytes]) -> Outcome:
    """Return the outcome of these reads."""
    transport = RecordedTransport()
    load = ServerLoad(WEB)
    connection = WebSocketConnection(transport, set(), load=load, account=WorkAccount(load.peers, "127.0.0.1"))
    handlers: list[LengthHandler] = []

    def open_socket(socket: DashboardSocket) -> LengthHandler:
        handlers.append(LengthHandler(socket))
        return handlers[-1]

    connection.open(open_socket, b"")
    for piece in pieces:
        if not transport.is_over:
            connection.data_received(piece)
        await transport.reading.wait()  # what waited for its turn is read
    frames, ends = server_frames(bytes(transport.written)), handlers[0].ends
    connection.connection_lost(None)
    assert handlers[0].ends == 1
    return Outcome(handlers[0].messages, frames, ends)


async def check(data: bytes, pieces: Iterable[bytes]) -> None:
    """Hold the outcome of these bytes in these pieces against the reference."""
    expected = meaning(data, max_size=MAX_SIZE, max_fragments=MAX_FRAGMENTS)
    outcome = await received(pieces)
    code, last = outcome.close_code, outcome.frames[-1:]
    pongs = [payload for opcode, payload in outcome.frames if opcode == PONG]
    assert not any(opcode == CLOSE for opcode, _ in outcome.frames[:-1]), "nothing follows a close frame"
    assert outcome.messages == expected.messages
    assert outcome.ends == (code is not None)
    if expected.violation is not None:
        # frames are read before messages are judged: control frames behind a bad message may have been answered
        ahead = meaning(data, max_size=MAX_SIZE, max_fragments=len(data), is_text_checked=False)
        assert expected.pings == pongs[: len(expected.pings)]
        assert pongs == ahead.pings[: len(pongs)]
        assert code in VIOLATION_CODES or (code is None and expected.is_cut) or last == [(CLOSE, ahead.close)], expected
        return
    assert pongs == expected.pings
    if expected.close is not None:
        assert last == [(CLOSE, expected.close)]
    else:
        assert code is None or (code in VIOLATION_CODES and expected.is_cut), expected


def server_frames(data: bytes) -> list[tuple[int, bytes]]:
    """Return the frames that a server wrote: whole, not masked, in one piece."""
    frames: list[tuple[int, bytes]] = []
    while data:
        assert data[0] & 0xF0 == 0x80
        size, start = data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            size = int.from_bytes(data[2:start])
        assert size < 1 << 31, "a server masks nothing"
        assert len(data) >= start + size
        frames.append((data[0] & 0x0F, data[start : start + size]))
        data = data[start + size :]
    return frames


def pieces_of(data: bytes, size: int) -> list[bytes]:
    """Split into reads of this size; 0: one read."""
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
