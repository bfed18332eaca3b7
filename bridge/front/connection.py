"""One dashboard's connection: its socket, its protocol, its delivery, and the two tasks that serve it."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final, Protocol

import structlog

from bridge.domain.access.claims import TokenError
from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import AdmissionError, Viewer
from bridge.front.context import OUTBOX_BYTES, FrontContext
from bridge.front.delivery import Delivery
from bridge.front.frame_writer import ConnectionEnded, Disconnected, FrameWriter, SocketWriter
from bridge.ports.clock import monotonic_ms
from bridge.ports.journal import JournalError
from bridge.protocol.actions import (
    AcknowledgeEvent,
    Action,
    Authenticate,
    EnablePush,
    EndSubscription,
    ResumeFrom,
    RunCommand,
    Send,
    SendSnapshot,
    SetBatching,
    StartSubscription,
    UpdateGrants,
)
from bridge.protocol.active_subscriptions import AssignmentSubscription
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.dashboard_protocol import DashboardProtocol
from bridge.protocol.error_codes import ErrorCode
from bridge.protocol.outbox import Outbox
from bridge.protocol.server_frames import Close, CommandResult, Error, encode_frame, error_frame

MAX_COMMANDS: Final = 20  # of one connection, pending at once
CLOSE_HANDSHAKE_SECONDS: Final = 2.0  # for the closing handshake of a client that may not be reading

log = structlog.get_logger()


class Socket(SocketWriter, Protocol):
    """An open WebSocket. `send` waits while the client does not read."""

    async def receive(self) -> str | bytes:
        """Return the next message; raise Disconnected."""

    async def send(self, text: str) -> None:
        """Send a text message; raise Disconnected."""

    async def close(self, code: int, reason: str) -> None:
        """Close with this code; `reason` has at most 123 bytes (RFC 6455 5.5)."""


class DashboardConnection:
    """One connection, from the accepted handshake to its end; performs the actions that its protocol returns."""

    def __init__(self, socket: Socket, context: FrontContext, *, peer: str) -> None:
        self.peer = peer
        self._socket = socket
        self._context = context
        self._loop = asyncio.get_running_loop()
        self.protocol = DashboardProtocol(context.limits, elapsed=monotonic_ms())
        self._writer = FrameWriter(socket, require_open=self._check_expiry)
        self.delivery = Delivery(
            writer=self._writer,
            journal=context.journal,
            outbox=Outbox(max_events=context.settings.outbox_events, max_bytes=OUTBOX_BYTES),
            link=context.link_frame,
        )
        self._ended: asyncio.Future[Close | None] = self._loop.create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None

    @property
    def viewer(self) -> Viewer | None:
        return self.protocol.viewer

    async def run(self, handshake_token: str | None) -> None:
        """Serve until either side ends the connection; the socket is closed when this returns."""
        close: Close | None = None
        try:
            if handshake_token is not None:
                self._authenticate(handshake_token, confirm=False)
            async with asyncio.TaskGroup() as self._group:
                self._spawn(self._receive(), name=f"front receive {self.peer}")
                self._spawn(self._send(), name=f"front send {self.peer}")
                close = await self._ended
                for task in self._tasks:
                    task.cancel()
        except* JournalError as errors:
            log.warning("front.journal_failed", peer=self.peer, error=str(errors.exceptions[0]))
            close = close or self._context.unavailable_close()
        finally:
            self._release()
        if close is not None:
            await self._close_socket(close)

    def end(self, close: Close | None) -> None:
        """End the connection at once, whatever is queued; `close` None: the client is gone."""
        self.protocol.mark_closed()
        if not self._ended.done():
            self._ended.set_result(close)

    def tick(self) -> None:
        """Handle timeouts, expiry, positions and stalls that are due; never waits."""
        if self._ended.done():
            return
        self._perform(
            self.protocol.tick(elapsed=monotonic_ms(), wall_now=self._context.clock.wall_now()), immediately=True
        )
        self.delivery.tick(monotonic_ms())
        since = self._writer.sending_since
        if since is not None and self._loop.time() - since >= self._context.settings.stall_seconds:
            self.end(Close(CloseCode.STALLED, "no progress, resume"))

    async def _receive(self) -> None:
        try:
            while True:
                text = await self._socket.receive()
                self._check_expiry()
                self._perform(
                    self.protocol.receive(text, elapsed=monotonic_ms(), server_time=self._context.clock.now())
                )
                # A client that does not read its answers is not read either.
                await self.delivery.queue_not_full.wait()
        except Disconnected:
            self.end(None)
        except ConnectionEnded as ended:
            self.end(ended.close)

    async def _send(self) -> None:
        try:
            await self.delivery.run()
        except Disconnected:
            self.end(None)
        except ConnectionEnded as ended:
            self.end(ended.close)

    def _perform(self, actions: list[Action], *, immediately: bool = False) -> None:
        for index, action in enumerate(actions):
            match action:
                case Send(frame):
                    self.delivery.enqueue(encode_frame(frame))
                case Authenticate(token):
                    self._authenticate(token, confirm=True)
                case StartSubscription(subscription, deferred):
                    self._start_subscription(subscription, deferred=deferred)
                case UpdateGrants(viewer, subscriptions):
                    self._update_grants(viewer, subscriptions)
                case EndSubscription(subscription_id):
                    self._end_subscription(subscription_id)
                case RunCommand() | AcknowledgeEvent():
                    # This command's answer may be the first one: unrequested frames wait for it.
                    self._start_command(action, enable_push=EnablePush() in actions[index:])
                    return
                case Close() as close if immediately:
                    self.end(close)
                case EnablePush() | SendSnapshot() | ResumeFrom() | SetBatching() | Close():
                    self.delivery.enqueue(action)

    def _authenticate(self, token: str, *, confirm: bool) -> None:
        former = self.viewer
        try:
            viewer = self._context.admit(token)
        except (TokenError, AdmissionError) as error:
            log.info("front.token_refused", peer=self.peer, reason=type(error).__name__)
            self._perform(self.protocol.reject(error))
            return
        if former is None and not self._context.has_room_for(viewer):
            self.delivery.enqueue(Close(CloseCode.TOO_MANY, "too many connections"))
            self.protocol.mark_closed()
            return
        self._perform(self.protocol.accept(viewer, server_info=self._context.server_info(), confirm=confirm))
        if former is None and self.viewer is not None:
            self._context.connections_by_user[viewer.user_id] += 1
            assignments = AssignmentSubscription(viewer, self._context.journal.position.offset)
            self.delivery.subscriptions.assignments.append(assignments)
            self._context.router.add_assignee(assignments, self.delivery)

    def _start_subscription(self, subscription: Subscription, *, deferred: bool) -> None:
        former = self.delivery.subscriptions.by_id.get(subscription.request.id)
        if former is not None:
            # Its queued events are still sent; for those spilled to the journal, the new one's snapshot follows.
            self._context.router.remove(former)
            former.subscription = None
        self._context.router.add(self.delivery.add_subscription(subscription, deferred=deferred), self.delivery)

    def _end_subscription(self, subscription_id: str) -> None:
        former = self.delivery.subscriptions.by_id.pop(subscription_id, None)
        if former is not None:
            self._context.router.remove(former)
            former.subscription = None
            self.delivery.drop_unwanted()

    def _update_grants(self, viewer: Viewer, subscriptions: Mapping[str, Subscription | None]) -> None:
        for assignments in self.delivery.subscriptions.assignments:
            assignments.viewer = viewer
        for subscription_id, subscription in subscriptions.items():
            active = self.delivery.subscriptions.by_id[subscription_id]
            self._context.router.remove(active)
            active.subscription = subscription
            self._context.router.add(active, self.delivery)
        self.delivery.drop_unwanted()

    def _start_command(self, action: RunCommand | AcknowledgeEvent, *, enable_push: bool) -> None:
        viewer = self.viewer
        assert viewer is not None, "only a session asks for commands"
        command_id = action.request.id if isinstance(action, RunCommand) else action.id
        if len(self._tasks) >= MAX_COMMANDS + 2:
            refusal = Error(code=ErrorCode.LIMIT_EXCEEDED, message="too many commands at once", id=command_id)
            self._answer(refusal, enable_push=enable_push)
            return
        self._spawn(self._run_command(action, viewer, enable_push=enable_push), name=f"front command {self.peer}")

    async def _run_command(self, action: RunCommand | AcknowledgeEvent, viewer: Viewer, *, enable_push: bool) -> None:
        answer: CommandResult | Error
        try:
            if isinstance(action, RunCommand):
                answer = await self._context.commands.execute(action.request, viewer)
            else:
                answer = await self._context.commands.acknowledge(action, viewer)
        except InvalidFrame as error:
            answer = error_frame(error)
        self._answer(answer, enable_push=enable_push)

    def _answer(self, answer: CommandResult | Error, *, enable_push: bool) -> None:
        self.delivery.enqueue(encode_frame(answer))
        if enable_push:
            self.delivery.enqueue(EnablePush())

    def _spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        assert self._group is not None, "the connection runs"
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _check_expiry(self) -> None:
        if self.protocol.is_expired(self._context.clock.wall_now()):
            raise ConnectionEnded(Close(CloseCode.EXPIRED, "token expired"))

    def _release(self) -> None:
        self.protocol.mark_closed()
        for active in self.delivery.subscriptions.by_id.values():
            self._context.router.remove(active)
        if self.viewer is not None:
            self._context.router.remove_assignee(self.viewer.user_id, self.delivery)
            self._context.release_connection(self.viewer)
        self.delivery.close()

    async def _close_socket(self, close: Close) -> None:
        try:
            async with asyncio.timeout(CLOSE_HANDSHAKE_SECONDS):
                await self._socket.close(close.code, close.reason)
        except (TimeoutError, Disconnected):
            log.debug("front.close_not_delivered", peer=self.peer, code=int(close.code))
