"""Reader of a WebSocket's client: from bytes to messages, a slice at a time, so that it can stop in between."""

import logging
from collections.abc import Callable
from typing import Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import SERVER

from bridge.http.frame_protocol import FrameProtocol

MAX_FRAGMENTS: Final = 1_000  # of one message: empty fragments never reach the limit in bytes
SLICE_BYTES: Final = 512  # parsed at once: at most 85 frames, some 0.5 ms
FRAME_BYTES: Final = 256  # that a frame of any kind counts for at least: the smallest take as long to parse

_logger = logging.getLogger("uvicorn.error")  # its level keeps messages, which may contain a token, out of the log

Message = str | bytes


class MessageReader:
    """Parses what the client sends (RFC 6455), and joins fragments.

    `protocol` is the sans-IO state of the connection, with what is to be sent. After its end nothing is read.
    """

    __slots__ = ("_fragments", "_frames", "_input", "_is_text", "last_pong", "protocol")

    def __init__(self, *, max_size: int) -> None:
        # Not the parser of the handshake, which keeps the request and its headers.
        self.protocol = FrameProtocol(SERVER, max_size=max_size, logger=_logger)
        self.last_pong = b""
        self._input = b""
        self._frames: list[Frame] = []  # parsed and not taken, the first at the end
        self._fragments: list[bytes] | None = None
        self._is_text = False

    @property
    def has_frames(self) -> bool:
        return bool(self._frames)

    @property
    def has_input(self) -> bool:
        return bool(self._input or self._frames)

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        self._input += data

    def parse(self) -> int:
        """Parse a slice, of which all frames were taken before, and return what it counts for, in bytes."""
        data, self._input = self._input[:SLICE_BYTES], self._input[SLICE_BYTES:]
        self.protocol.receive_data(data)
        self._frames = [frame for frame in reversed(self.protocol.events_received()) if isinstance(frame, Frame)]
        return max(len(data), FRAME_BYTES * len(self._frames))

    def next_message(self, on_pong: Callable[[bytes], None]) -> Message | None:
        """Take frames up to the end of a message, and return it; None if they end before."""
        while self._frames:
            frame = self._frames.pop()
            match frame.opcode:
                case Opcode.TEXT | Opcode.BINARY:
                    self._is_text, self._fragments = frame.opcode is Opcode.TEXT, [bytes(frame.data)]
                case Opcode.CONT:
                    self._append(bytes(frame.data))
                case Opcode.PONG:
                    on_pong(bytes(frame.data))
                    continue
                case _:
                    continue
            if frame.fin and self._fragments is not None:
                return self._message()
        return None

    def discard(self) -> None:
        """Forget messages that were begun, and frames that were not taken."""
        self._frames = []
        self._fragments = None

    def close(self) -> None:
        """Break the cycles of references."""
        self.discard()
        self._input = b""
        self.protocol.parser.close()  # generator and parser refer to each other; so do the parser and its exception
        self.protocol.parser_exc = None

    def _append(self, data: bytes) -> None:
        fragments = self._fragments or []
        if len(fragments) >= MAX_FRAGMENTS:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            return
        fragments.append(data)

    def _message(self) -> Message | None:
        payload = b"".join(self._fragments or [])
        self._fragments = None
        if not self._is_text:
            return payload
        try:
            return payload.decode()
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, "invalid UTF-8")
            return None

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.protocol.fail(code, reason)
        self.discard()
