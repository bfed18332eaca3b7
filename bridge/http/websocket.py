"""An open WebSocket as the protocol of its transport: no task, no queue; the handshake was uvicorn's (RFC 6455)."""

import asyncio
import secrets
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override
from websockets.frames import CloseCode as StandardCode
from websockets.protocol import Protocol, State

from bridge.http.client_input import ClientInput
from bridge.http.hand_over import OpenSocket
from bridge.http.load import EndReason, ServerLoad
from bridge.http.message_reader import Message
from bridge.http.peers import REFUSED_WORK_MS, WorkAccount
from bridge.http.small_reads import SmallReads
from bridge.protocol.close_codes import CloseCode

if TYPE_CHECKING:
    from bridge.ports.dashboard_socket import SocketHandler

WRITE_BUFFER_BYTES: Final = 65_536  # above it, plus one write, `is_writable` is False
BURST_SECONDS: Final = 4  # of `max_bytes_per_second`, at once
AFTER_CLOSE_BYTES: Final = 131_072  # behind our close frame: a message that is on its way, and the client's close frame
PING_SECONDS: Final = 20.0
PONG_SECONDS: Final = 60.0  # longer than `stall_seconds`: the front decides about a slow dashboard
ECHO_SECONDS: Final = 10.0  # for the client's answer to our close frame
LINGER_SECONDS: Final = 60.0  # then, for a user to read why it was closed; after that unread data is discarded
CLOSE_SECONDS: Final = 2.0  # the same for a client that does not answer pings, or has not authenticated


class WebSocketConnection(SmallReads):
    """The port DashboardSocket on a transport: set it as the transport's protocol, then call `open`.

    What the client sends is read in turns and within budgets; while it waits, no more is taken from the transport.
    `connections` are those that uvicorn ends with `shutdown` when it stops.
    """

    __slots__ = (
        "_account",
        "_connections",
        "_handler",
        "_input",
        "_is_closed",
        "_load",
        "_pending_pong",
        "_ping_payload",
        "_pinged_at",
        "_timer",
        "_transport",
        "is_writable",
    )

    def __init__(
        self, transport: asyncio.Transport, connections: set[Any], *, load: ServerLoad, account: WorkAccount
    ) -> None:
        self.is_writable = True
        self._transport = transport
        self._connections = connections
        self._load = load
        self._account = account
        self._input: ClientInput | None = ClientInput(transport, self, load=load, account=account)
        self._handler: SocketHandler | None = None
        self._is_closed = False
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
                self.close(StandardCode.INTERNAL_ERROR, "")  # without effect after a close
        if not self._is_closed:
            self._handler = handler
        if early:
            self.data_received(early)

    def shutdown(self) -> None:
        """End because the server stops; called by uvicorn."""
        if self._input is not None:
            protocol = self._input.protocol
            if protocol.state is State.OPEN:
                protocol.send_close(CloseCode.SERVICE_RESTART)
            self._end(protocol.data_to_send())

    # The port, for the handler.

    @property
    def unsent_bytes(self) -> int:
        """The bytes written that the kernel has not taken; 0 after the end."""
        return 0 if self._is_closed else self._transport.get_write_buffer_size()

    @property
    def has_unread(self) -> bool:
        """Whether what the client has sent waits for its turn."""
        return self._input is not None and self._input.is_waiting

    def write(self, frames: bytes) -> None:
        """Send encoded frames."""
        if not self._is_closed:
            self._transport.write(frames)

    def authenticated(self, user_id: str) -> None:
        """Let this user pay, within the budgets of a user."""
        if self._account.user is None and self._input is not None:
            self._account.authenticate(user_id)
            self._load.pool.remove(self._transport)
            rate = self._load.web.max_bytes_per_second
            self._input.limit(per_second=rate, burst=rate * BURST_SECONDS)

    def charge(self, ms: float) -> None:
        """Let the user pay."""
        self._load.turns.charge(self._account, ms)

    def in_turn(self, work: Callable[[], None]) -> None:
        """Do this work in a later turn."""
        self._load.turns.run(self._account, work, later=True)

    def run_steps(self, steps: Generator[None, None, None]) -> None:
        """Do these steps in turns, before any other message."""
        if self._input is not None:
            self._input.run_steps(steps)

    def pause_reading(self) -> None:
        """Pass on no more messages."""
        if not self._is_closed and self._input is not None:
            self._input.pause()

    def resume_reading(self) -> None:
        """Pass on messages again, from the next turn on."""
        if not self._is_closed and self._input is not None:
            self._input.resume()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, wait for the client's, and end: both bounded in time."""
        if self._is_closed or self._input is None:
            return
        self._is_closed = True
        self._handler = None
        protocol = self._input.protocol
        if protocol.state is State.OPEN:  # otherwise the client's close frame was in the slice that is being handled
            protocol.send_close(code, reason)
            self._transport.write(b"".join(protocol.data_to_send()))
            self._load.note_close(code, reason, peer=self._account.address.name)
        if code == CloseCode.SERVICE_RESTART:
            self._account.forgive()
        elif self._account.user is None:
            self._account.fine(REFUSED_WORK_MS)
        self._leave_user()
        self._input.discard(at_most=AFTER_CLOSE_BYTES)
        self._call_later(ECHO_SECONDS, self._end, [])

    # Calls of the transport.

    @override
    def data_received(self, data: bytes) -> None:
        if self._input is not None:  # TLS: what was decrypted before the end
            self._input.feed(data)

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
        self._load.pool.remove(self._transport)
        self._account.close()

    # What the client sends.

    def take_message(self, message: Message) -> None:
        if self._handler is not None:
            self._handler.message_received(message)

    def take_pong(self, payload: bytes) -> None:
        if payload == self._ping_payload and payload:
            self._ping_payload = b""
            elapsed = asyncio.get_running_loop().time() - self._pinged_at
            self._call_later(max(0.0, PING_SECONDS - elapsed), self._ping)

    def take_pongs_to_send(self, pongs: list[bytes]) -> None:
        if self.is_writable:
            self._transport.write(b"".join(pongs))
        else:
            self._pending_pong = pongs[-1]  # RFC 6455 5.5.3: a pong for the most recent ping is enough

    def take_end(self, output: list[bytes]) -> None:
        if self._input is not None:
            self._count(self._input.protocol)
        self._end(output)

    def take_overdraft(self) -> None:
        if self._is_closed:
            self._load.note_end(EndReason.AFTER_CLOSE, peer=self._account.address.name)
            self._transport.abort()
            self._finish()
        else:
            self._load.note_end(EndReason.UNAUTHENTICATED, peer=self._account.address.name)
            self._give_up(CloseCode.TOO_MANY, "too much before authentication")

    def take_fault(self) -> None:
        self._give_up(StandardCode.INTERNAL_ERROR, "")

    # Keepalive.

    def _ping(self) -> None:
        if self._input is None:
            return
        self._ping_payload = secrets.token_bytes(4)
        self._pinged_at = asyncio.get_running_loop().time()
        protocol = self._input.protocol
        protocol.send_ping(self._ping_payload)
        self._transport.write(b"".join(protocol.data_to_send()))
        self._call_later(PONG_SECONDS, self._end_unanswered)

    def _end_unanswered(self) -> None:
        if self._input is not None:
            protocol = self._input.protocol
            protocol.fail(StandardCode.INTERNAL_ERROR, "keepalive ping timeout")
            self._count(protocol)
            self._end(protocol.data_to_send(), linger=CLOSE_SECONDS)

    # The end.

    def _give_up(self, code: int, reason: str) -> None:
        """Close, and say so to the handler."""
        handler = self._handler
        self.close(code, reason)
        if handler is not None:
            handler.disconnected()

    def _count(self, protocol: Protocol) -> None:
        """Count a close that the protocol decided on, unless it answers the client's."""
        if not self._is_closed and protocol.close_rcvd is None and (sent := protocol.close_sent) is not None:
            self._load.note_close(sent.code, sent.reason, peer=self._account.address.name)

    def _end(self, output: list[bytes], *, linger: float | None = None) -> None:
        """Write the last bytes, close the transport behind them, and abort it `linger` seconds later."""
        self._transport.write(b"".join(output))
        self._transport.close()
        if linger is None:
            linger = CLOSE_SECONDS if self._account.user is None else LINGER_SECONDS
        self._call_later(linger, self._transport.abort)
        self._leave_user()
        self._finish()

    def _leave_user(self) -> None:
        """Be one of the connections that belong to nobody, while the end is awaited."""
        if self._account.user is not None:
            self._load.pool.add(self._transport, self._account.address)

    def _finish(self) -> None:
        """Receive no more, and say so to the handler, unless it closed the socket itself."""
        self._is_closed = True
        client_input, self._input = self._input, None
        if client_input is not None:
            client_input.close()
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
