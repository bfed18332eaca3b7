"""One dashboard's connection: socket, protocol and delivery. It has no task while nothing is read for it."""

import asyncio
from collections.abc import Callable, Generator
from typing import Final

import structlog

from bridge.domain.access.claims import AccessUndecided, TokenError
from bridge.domain.access.viewer import AdmissionError, Viewer
from bridge.domain.steps import Steps
from bridge.domain.utc_time import Millis
from bridge.front.broadcaster import Recipient
from bridge.front.context import FrontContext
from bridge.front.owned_tasks import OwnedTasks
from bridge.ports.clock import monotonic_ms
from bridge.ports.dashboard_socket import DashboardSocket
from bridge.ports.journal import JournalError
from bridge.protocol.client_frames import Acknowledge, Auth, InvalidFrame
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.commands import CommandRequest
from bridge.protocol.dashboard_protocol import DashboardProtocol
from bridge.protocol.delivery import Delivery
from bridge.protocol.delivery_automaton import TakeTurns
from bridge.protocol.event_feed import Read, ReadResult
from bridge.protocol.server_frames import Close, CommandResult, Error, error_frame

TURN_BYTES: Final = 32_768  # written to one socket, at once, before other connections take their turn

log = structlog.get_logger()


class DashboardConnection:
    """One connection, from the accepted handshake to its end: does what takes IO for its protocol and its delivery.

    `on_end` is called once, when it has ended; the socket then closes by itself.
    """

    def __init__(
        self,
        socket: DashboardSocket,
        context: FrontContext,
        *,
        peer: str,
        on_end: Callable[["DashboardConnection"], None],
    ) -> None:
        self.peer = peer
        self.socket = socket
        self._context = context
        self.delivery = Delivery[Recipient](
            self, feed=context.journal.feed, fan_out=context.broadcaster.fan_out, link=context.link_frame
        )
        self.protocol = DashboardProtocol(context.limits, self.delivery, elapsed=monotonic_ms())
        self._on_end = on_end
        self._tasks = OwnedTasks(self.fail)  # commands and reads
        self._commands = 0
        self._reading_paused = False
        self._turn_ended = False  # `pump` is called again after others
        self._stalled_since: float | None = None  # loop time; while the client does not read
        self._stalled_bytes = 0
        self._slot: str | None = None  # the user whose connections this one is counted among
        self.ended = False

    @property
    def viewer(self) -> Viewer | None:
        return self.protocol.viewer

    def start(self, handshake_token: str | None) -> None:
        """Begin to serve; `handshake_token` came with the handshake."""
        if handshake_token is None:
            self.pump()
        else:
            self.socket.run_steps(self._in_steps(self._authenticate(handshake_token, confirm=False)))

    def end(self, close: Close | None) -> None:
        """End the connection at once, whatever is queued; `close` None: the client is gone."""
        if self.ended:
            return
        self.ended = True
        try:
            self.delivery.end()
            self._tasks.cancel()
        finally:
            if self._slot is not None:
                self._context.free_slot(self._slot, self)
            self._on_end(self)
        if close is not None:
            self.socket.close(close.code, close.reason)

    # What the socket calls.

    def message_received(self, message: str | bytes) -> None:
        """Take a message of the client."""
        try:
            self._take_message(message)
        except Exception as error:  # noqa: BLE001 - as in `pump`
            self.fail(error)

    def _take_message(self, message: str | bytes) -> None:
        if self.ended or self.close_if_expired():
            return
        work = self.protocol.receive(message, elapsed=monotonic_ms(), server_time=self._context.clock.now())
        if isinstance(work, Auth):
            work = self._authenticate(work.token, confirm=True)
        if isinstance(work, Generator):
            self.socket.run_steps(self._in_steps(work))
            return
        if work is not None:
            self._start_command(work)
        self._answer()

    def _in_steps(self, steps: Steps[None]) -> Generator[None, None, None]:
        """Do these steps, and what follows a message."""
        try:
            yield from steps
            if not self.ended:
                self._answer()
        except Exception as error:  # noqa: BLE001 - as in `pump`
            self.fail(error)

    def _answer(self) -> None:
        """Write the answers; a client that does not read them is not read."""
        self.pump()
        if self.delivery.is_full and not self.ended:
            self._reading_paused = True
            self.socket.pause_reading()

    def writable(self) -> None:
        """Go on: the client has read."""
        self._stalled_since = None
        self.pump()

    def disconnected(self) -> None:
        """End: the client is gone."""
        self.end(None)

    # What is due.

    def tick(self, *, elapsed: Millis, wall_now: Millis) -> None:
        """Handle timeouts, expiry, positions and stalls that are due; never waits. The times are the protocol's."""
        if self.ended:
            return
        close = self.protocol.tick(elapsed=elapsed, wall_now=wall_now)
        if close is not None:
            if self.viewer is not None or not self.socket.has_unread:
                self.end(close)
        elif not self.socket.is_writable:
            self._check_progress()
        elif self.delivery.has_requests or self.delivery.is_position_due(elapsed):
            self.pump()

    def close_if_expired(self) -> bool:
        """Close the connection if its token has expired, and return whether it has."""
        if not self.protocol.is_expired(self._context.clock.wall_now()):
            return False
        self.end(Close(CloseCode.EXPIRED, "token expired"))
        return True

    def pump(self, first: bytes | None = None) -> None:
        """Write `first`, and what the delivery has, as far as the socket takes it; begin the read that it needs."""
        try:
            self._pump(first)
        except Exception as error:  # noqa: BLE001 - a fault in serving one dashboard ends no other, and no pipeline
            self.fail(error)

    def _pump(self, first: bytes | None) -> None:
        if self.close_if_expired():
            return
        due = [first] if first else []
        size, now = sum(map(len, due)), monotonic_ms()
        while self.socket.is_writable and not self.ended and not self._turn_ended:
            output = self.delivery.next(now)
            if isinstance(output, Read):
                output = self._read(output)
            if output is None:
                break
            if isinstance(output, bytes):
                due.append(output)
                size += len(output)
            elif isinstance(output, Close):
                self.socket.write(b"".join(due))
                self.end(output)
                return
            if isinstance(output, TakeTurns) or size >= TURN_BYTES:
                self._turn_ended = True
                self.socket.in_turn(self._next_turn)
        if due:
            self.socket.write(b"".join(due))  # in one piece: they are due together
        if self._reading_paused and not self.delivery.is_full and not self.ended:
            self._reading_paused = False
            self.socket.resume_reading()

    def _next_turn(self) -> None:
        self._turn_ended = False
        self.pump()

    def _read(self, read: Read) -> bytes | Close | None:
        """Return what follows from a read at once; b"" for nothing, None while the journal is read."""
        result = self._context.journal.read_at_once(read)
        if result is not None:
            return self.delivery.read_done(result) or b""
        self._tasks.start(self._read_journal(read), name=f"front read {self.peer}")
        return None

    async def _read_journal(self, read: Read) -> None:
        try:
            result: ReadResult = await self._context.journal.read(read, charge=self.socket.charge)
        except JournalError as error:
            self._lose_journal(error)
            return
        if self.close_if_expired():
            return
        output = self.delivery.read_done(result)
        if isinstance(output, Close):
            self.end(output)
            return
        self.pump(output)

    def _check_progress(self) -> None:
        """Close a client that has taken no byte for too long."""
        unsent, now = self.socket.unsent_bytes, asyncio.get_running_loop().time()
        if self._stalled_since is None or unsent < self._stalled_bytes:
            self._stalled_since = now
        elif now - self._stalled_since >= self._context.settings.stall_seconds:
            self.end(Close(CloseCode.STALLED, "no progress, resume"))
        self._stalled_bytes = unsent

    # What the protocol asks for.

    def _authenticate(self, token: str, *, confirm: bool) -> Steps[None]:
        context, is_first = self._context, self.viewer is None
        try:
            viewer = yield from context.admit_in_steps(token)
        except AccessUndecided:
            self.end(context.unavailable_close())
            return
        except (TokenError, AdmissionError) as error:
            reason = type(error).__name__
            if (left_out := context.log_limit.due("token", reason)) is not None:
                log.info("front.token_refused", peer=self.peer, reason=reason, left_out=left_out)
            self.protocol.reject(error)
            return
        if is_first:
            self.socket.authenticated(viewer.user_id)
            if not context.take_slot(viewer.user_id, self):
                self.protocol.close(CloseCode.TOO_MANY, "too many connections")
                return
            self._slot = viewer.user_id  # from now on freed at the end, whatever fails
        yield from self.protocol.accept(viewer, server_info=context.server_info, confirm=confirm)

    def _start_command(self, request: CommandRequest | Acknowledge) -> None:
        assert self._slot is not None, "only a session asks for commands"
        try:
            self._context.take_command(self._slot, pending=self._commands, id=request.id)
        except InvalidFrame as refusal:
            self.delivery.answer(error_frame(refusal))
            return
        self._commands += 1
        self._tasks.start(self._run_command(request), name=f"front command {self.peer}")

    async def _sender(self) -> Viewer:
        assert self.viewer is not None, "only a session asks for commands"
        return self.viewer

    async def _run_command(self, request: CommandRequest | Acknowledge) -> None:
        answer: CommandResult | Error
        try:
            if isinstance(request, CommandRequest):
                answer = await self._context.commands.execute(request, self._sender)
            else:
                answer = await self._context.commands.acknowledge(request, self._sender)
        except InvalidFrame as error:
            answer = error_frame(error)
        except JournalError as error:
            self._lose_journal(error)
            return
        finally:
            self._commands -= 1
        self.delivery.answer(answer)
        self.pump()

    def _lose_journal(self, error: JournalError) -> None:
        if (left_out := self._context.log_limit.due("journal")) is not None:
            log.warning("front.journal_failed", peer=self.peer, error=str(error), left_out=left_out)
        self.end(self._context.unavailable_close())

    def fail(self, error: BaseException) -> None:
        """End the connection because of a fault in the bridge; log and count it. Nothing is raised."""
        self._log_fault(error)
        self._context.fault_count += 1
        try:
            self.end(self._context.unavailable_close())
        except Exception as another:  # noqa: BLE001 - who serves many dashboards at once goes on with the others
            self._log_fault(another)

    def _log_fault(self, error: BaseException) -> None:
        if (left_out := self._context.log_limit.due("fault", type(error).__name__)) is not None:
            log.error("front.dashboard_failed", peer=self.peer, exc_info=error, left_out=left_out)
