"""An open WebSocket as the protocol of its transport: no task, no queue; the handshake was uvicorn's (RFC 6455)."""

import asyncio
import logging
import secrets
from collections.abc import Callable, MutableMapping
from typing import Any, Final

from typing_extensions import override
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import SEND_EOF, SERVER, Protocol, State

from bridge.ports.dashboard_socket import DashboardSocket, SocketHandler

MAX_FRAGMENTS: Final = 1_000  # of one message: empty fragments never reach the limit in bytes
WRITE_BUFFER_BYTES: Final = 65_536  # above it, plus one write, `is_writable` is False
PING_SECONDS: Final = 20.0
PONG_SECONDS: Final = 60.0  # longer than `stall_seconds`: the front decides about a slow dashboard
ECHO_SECONDS: Final = 10.0  # for the client's answer to our close frame
LINGER_SECONDS: Final = 60.0  # then, for a client to read why it was closed; after that unread data is discarded
CLOSE_SECONDS: Final = 2.0  # for the close frame to a client that does not answer pings

HAND_OVER: Final = "floor.socket"
"""ASGI extension of a WebSocket's scope, a HandOver: after `websocket.accept`, and as the last thing of the app."""

OpenSocket = Callable[[DashboardSocket], SocketHandler | None]
"""Takes a new socket, and returns its handler; None: it has closed the socket."""
HandOver = Callable[[OpenSocket], None]

_logger = logging.getLogger("uvicorn.error")  # its level keeps messages, which may contain a token, out of the log


def hand_over(scope: MutableMapping[str, Any], open_socket: OpenSocket) -> None:
    """Pass the accepted WebSocket of this ASGI scope to `open_socket`, now; not if the client is gone already."""
    take: HandOver = scope["extensions"][HAND_OVER]
    take(open_socket)


class WebSocketConnection(asyncio.Protocol):
    """The port DashboardSocket on a transport: set it as the transport's protocol, then call `open`.

    `connections` are those that uvicorn ends with `shutdown` when it stops.
    """

    __slots__ = (
        "_connections",
        "_fragments",
        "_handler",
        "_is_closed",
        "_is_text",
        "_parser",
        "_pending_pong",
        "_ping_payload",
        "_pinged_at",
        "_timer",
        "_transport",
        "is_writable",
    )

    def __init__(self, transport: asyncio.Transport, connections: set[Any], *, max_size: int) -> None:
        self.is_writable = True
        self._transport = transport
        self._connections = connections
        # Not the parser of the handshake, which keeps the request and its headers.
        self._parser: Protocol | None = Protocol(SERVER, max_size=max_size, logger=_logger)
        self._handler: SocketHandler | None = None
        self._is_closed = False
        self._fragments: list[bytes] | None = None
        self._is_text = False
        self._pending_pong = b""
        self._ping_payload = b""
        self._pinged_at = 0.0
        self._timer: asyncio.TimerHandle | None = None  # of the next ping, of its pong, or of the end
        connections.add(self)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)

    def open(self, open_socket: OpenSocket, early: bytes) -> None:
        """Start with the handler that `open_socket` returns; `early` are the bytes received behind the handshake."""
        self._call_later(PING_SECONDS, self._ping)
        handler: SocketHandler | None = None
        try:
            handler = open_socket(self)
        finally:
            if handler is None:
                self.close(CloseCode.INTERNAL_ERROR, "")  # without effect after a close
        if not self._is_closed:
            self._handler = handler
        if early:
            self.data_received(early)

    def shutdown(self) -> None:
        """End because the server stops; called by uvicorn."""
        parser = self._parser
        if parser is not None:
            if parser.state is State.OPEN:
                parser.send_close(CloseCode.SERVICE_RESTART)
            self._end(parser.data_to_send())

    # The port, for the handler.

    @property
    def unsent_bytes(self) -> int:
        """The bytes written that the kernel has not taken; 0 after the end."""
        return 0 if self._is_closed else self._transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Send encoded frames."""
        if not self._is_closed:
            self._transport.write(frames)

    def pause_reading(self) -> None:
        """Read no more; the messages of what was read already still come."""
        if not self._is_closed:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if not self._is_closed:
            self._transport.resume_reading()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, wait for the client's, and end: both bounded in time."""
        parser = self._parser
        if self._is_closed or parser is None:
            return
        self._is_closed = True
        self._handler = None
        self._fragments = None
        if parser.state is State.OPEN:  # otherwise the client's close frame was in the read that is being handled
            parser.send_close(code, reason)
            self._transport.write(b"".join(parser.data_to_send()))
        self._transport.resume_reading()
        self._call_later(ECHO_SECONDS, self._end, [])

    # Calls of the transport.

    @override
    def data_received(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:  # TLS: what was decrypted before the end
            return
        parser.receive_data(data)
        frames, answer = parser.events_received(), parser.data_to_send()
        if answer and SEND_EOF not in answer:
            self._send_pongs(answer)
            answer = []
        for frame in frames:
            if self._is_closed or not (isinstance(frame, Frame) and self._take(frame, parser)):
                break
        answer += parser.data_to_send()
        if SEND_EOF in answer:  # of the client's close frame, or of a violation of the protocol
            self._end(answer)

    @override
    def eof_received(self) -> None:
        self._end([])

    @override
    def pause_writing(self) -> None:
        self.is_writable = False

    @override
    def resume_writing(self) -> None:
        self.is_writable = True
        pong, self._pending_pong = self._pending_pong, b""
        if pong and not self._is_closed:
            self._transport.write(pong)
        if self._handler is not None:
            self._handler.writable()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._finish()
        self._cancel_timer()

    # Frames of the client.

    def _take(self, frame: Frame, parser: Protocol) -> bool:
        """Handle one frame, which the parser has checked and answered; return whether the message is valid so far."""
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY:
                is_text = frame.opcode is Opcode.TEXT
                if frame.fin:
                    return self._deliver(bytes(frame.data), parser, is_text=is_text)
                self._is_text, self._fragments = is_text, [bytes(frame.data)]
            case Opcode.CONT:
                fragments = self._fragments or []
                if len(fragments) >= MAX_FRAGMENTS:
                    parser.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
                    return False
                fragments.append(bytes(frame.data))
                if frame.fin:
                    self._fragments = None
                    return self._deliver(b"".join(fragments), parser, is_text=self._is_text)
            case Opcode.PONG:
                self._take_pong(bytes(frame.data))
            case _:
                pass
        return True

    def _deliver(self, payload: bytes, parser: Protocol, *, is_text: bool) -> bool:
        try:
            message = payload.decode() if is_text else payload
        except UnicodeDecodeError:
            parser.fail(CloseCode.INVALID_DATA, "invalid UTF-8")
            return False
        if self._handler is not None:
            self._handler.message_received(message)
        return True

    def _send_pongs(self, pongs: list[bytes]) -> None:
        if self.is_writable:
            self._transport.write(b"".join(pongs))
        else:
            self._pending_pong = pongs[-1]  # RFC 6455 5.5.3: a pong for the most recent ping is enough

    # Keepalive.

    def _ping(self) -> None:
        if self._parser is None:
            return
        self._ping_payload = secrets.token_bytes(4)
        self._pinged_at = asyncio.get_running_loop().time()
        self._parser.send_ping(self._ping_payload)
        self._transport.write(b"".join(self._parser.data_to_send()))
        self._call_later(PONG_SECONDS, self._end_unanswered)

    def _take_pong(self, payload: bytes) -> None:
        if payload == self._ping_payload and payload:
            self._ping_payload = b""
            elapsed = asyncio.get_running_loop().time() - self._pinged_at
            self._call_later(max(0.0, PING_SECONDS - elapsed), self._ping)

    def _end_unanswered(self) -> None:
        if self._parser is not None:
            self._parser.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
            self._end(self._parser.data_to_send(), linger=CLOSE_SECONDS)

    # The end.

    def _end(self, output: list[bytes], *, linger: float | None = None) -> None:
        """Write the last bytes, close the transport behind them, and abort it `linger` seconds later."""
        self._transport.write(b"".join(output))
        self._transport.close()
        self._call_later(LINGER_SECONDS if linger is None else linger, self._transport.abort)
        self._finish()

    def _finish(self) -> None:
        """Receive no more, and say so to the handler, unless it closed the socket itself."""
        self._is_closed = True
        self._fragments = None
        parser, self._parser = self._parser, None
        if parser is not None:
            parser.parser.close()  # generator and parser refer to each other; so do the parser and its exception
            parser.parser_exc = None
        handler, self._handler = self._handler, None
        if handler is not None:
            handler.disconnected()

    def _call_later(self, seconds: float, callback: Callable[..., None], *arguments: object) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, callback, *arguments)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
