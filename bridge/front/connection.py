"""One dashboard's connection: its socket, its protocol, its delivery, and the two tasks that serve it."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final, Protocol

import structlog

from bridge.core.access.claims import TokenError
from bridge.core.access.subscriptions import Admitted
from bridge.core.access.viewer import AdmissionError, Viewer
from bridge.core.dashboard.actions import (
    AcknowledgeEvent,
    Action,
    Authenticate,
    Follow,
    Greet,
    Regrant,
    ResumeFrom,
    RunCommand,
    Send,
    SendSnapshot,
    SetBatch,
    Unfollow,
)
from bridge.core.dashboard.dashboard import Dashboard
from bridge.core.dashboard.following import Assignments
from bridge.core.dashboard.frames import CloseCode, ErrorCode, InvalidFrame
from bridge.core.dashboard.outbox import Outbox
from bridge.core.dashboard.server_frames import Close, CommandResult, Error, encode_frame, error_frame
from bridge.core.events import Millis
from bridge.core.records import JournalError
from bridge.front.delivery import Delivery
from bridge.front.shared import OUTBOX_BYTES, Shared
from bridge.front.writer import Disconnected, Ended, FrameWriter, Wire

MAX_COMMANDS: Final = 20  # of one connection, on their way at once
GOODBYE_SECONDS: Final = 2.0  # for the closing handshake of a client that may not be reading

log = structlog.get_logger()


class Socket(Wire, Protocol):
    """An open WebSocket. `send` waits while the client does not read."""

    async def receive(self) -> str | bytes:
        """The next message; raises Disconnected."""

    async def send(self, text: str) -> None:
        """Send a text message; raises Disconnected."""

    async def close(self, code: int, reason: str) -> None:
        """Close with this code; `reason` has at most 123 bytes (RFC 6455 5.5)."""


class Connection:
    """Lives from the accepted handshake to the end; the protocol decides, this file does."""

    def __init__(self, socket: Socket, shared: Shared, *, peer: str) -> None:
        self.peer = peer
        self._socket = socket
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self.dashboard = Dashboard(shared.limits, parse_json=shared.parse_json, elapsed=self._elapsed())
        self._writer = FrameWriter(socket, check=self._check)
        self.delivery = Delivery(
            writer=self._writer,
            journal=shared.journal,
            outbox=Outbox(max_events=shared.outbox_events, max_bytes=OUTBOX_BYTES),
            link=shared.link,
        )
        self._ended: asyncio.Future[Close | None] = self._loop.create_future()
        self._tasks: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None

    @property
    def viewer(self) -> Viewer | None:
        return self.dashboard.viewer

    async def run(self, offered_token: str | None) -> None:
        """Serve until either side ends it; the socket is closed when this returns."""
        close: Close | None = None
        try:
            if offered_token is not None:
                self._authenticate(offered_token, asked=False)
            async with asyncio.TaskGroup() as self._group:
                self._spawn(self._receive(), name=f"front receive {self.peer}")
                self._spawn(self._send(), name=f"front send {self.peer}")
                close = await self._ended
                for task in self._tasks:
                    task.cancel()
        except* JournalError as errors:
            log.warning("front_journal_failed", peer=self.peer, error=str(errors.exceptions[0]))
            close = close or self._shared.unavailable()
        finally:
            self._leave()
        if close is not None:
            await self._say_goodbye(close)

    def end(self, close: Close | None) -> None:
        """End it now, whatever waits; None: the client is gone."""
        self.dashboard.end()
        if not self._ended.done():
            self._ended.set_result(close)

    def pulse(self) -> None:
        """Do what is due by time; never waits."""
        if self._ended.done():
            return
        self._act(self.dashboard.tick(elapsed=self._elapsed(), real=self._shared.clock.real()), now=True)
        self.delivery.pulse(self._elapsed())
        since = self._writer.sending_since
        if since is not None and self._loop.time() - since >= self._shared.stall_seconds:
            self.end(Close(CloseCode.STALLED, "no progress, resume"))

    async def _receive(self) -> None:
        try:
            while True:
                text = await self._socket.receive()
                self._check()
                self._act(self.dashboard.receive(text, elapsed=self._elapsed(), facts=self._shared.facts()))
                # Who asks without reading the answers is not read either.
                await self.delivery.room.wait()
        except Disconnected:
            self.end(None)
        except Ended as ended:
            self.end(ended.close)

    async def _send(self) -> None:
        try:
            await self.delivery.run()
        except Disconnected:
            self.end(None)
        except Ended as ended:
            self.end(ended.close)

    def _act(self, actions: list[Action], *, now: bool = False) -> None:
        for at, action in enumerate(actions):
            match action:
                case Send(frame):
                    self.delivery.put(encode_frame(frame))
                case Authenticate(token):
                    self._authenticate(token, asked=True)
                case Follow(admitted, awaits):
                    self._follow(admitted, awaits=awaits)
                case Regrant(viewer, admitted_by_id):
                    self._regrant(viewer, admitted_by_id)
                case Unfollow(name):
                    self._unfollow(name)
                case RunCommand() | AcknowledgeEvent():
                    # The first answer may be this command's: the greeting waits for it.
                    self._command(action, greet=Greet() in actions[at:])
                    return
                case Close() as close if now:
                    self.end(close)
                case Greet() | SendSnapshot() | ResumeFrom() | SetBatch() | Close():
                    self.delivery.put(action)

    def _authenticate(self, token: str, *, asked: bool) -> None:
        former = self.viewer
        try:
            viewer = self._shared.admit(token)
        except (TokenError, AdmissionError) as error:
            log.info("token_refused", peer=self.peer, fact=type(error).__name__)
            self._act(self.dashboard.rejected(error))
            return
        if former is None and not self._shared.has_room_for(viewer):
            self.delivery.put(Close(CloseCode.TOO_MANY, "too many connections"))
            self.dashboard.end()
            return
        self._act(self.dashboard.admitted(viewer, facts=self._shared.facts(), asked=asked))
        if former is None and self.viewer is not None:
            self._shared.viewers[viewer.user_id] += 1
            assignments = Assignments(viewer, self._shared.journal.position.offset)
            self.delivery.interests.assignments.append(assignments)
            self._shared.routes.expect_assignments(assignments, self.delivery)

    def _follow(self, admitted: Admitted, *, awaits: bool) -> None:
        former = self.delivery.interests.followings.get(admitted.selection.id)
        if former is not None:
            # What waits for it stays, and goes out; what was left to the journal is the new one's snapshot to tell.
            self._shared.routes.unfollow(former)
            former.admitted = None
        self._shared.routes.follow(self.delivery.follow(admitted, awaits=awaits), self.delivery)

    def _unfollow(self, name: str) -> None:
        former = self.delivery.interests.followings.pop(name, None)
        if former is not None:
            self._shared.routes.unfollow(former)
            former.admitted = None
            self.delivery.revoke()

    def _regrant(self, viewer: Viewer, admitted_by_id: Mapping[str, Admitted | None]) -> None:
        for assignments in self.delivery.interests.assignments:
            assignments.viewer = viewer
        for name, admitted in admitted_by_id.items():
            following = self.delivery.interests.followings[name]
            self._shared.routes.unfollow(following)
            following.admitted = admitted
            self._shared.routes.follow(following, self.delivery)
        self.delivery.revoke()

    def _command(self, action: RunCommand | AcknowledgeEvent, *, greet: bool) -> None:
        viewer = self.viewer
        assert viewer is not None, "only a session asks for commands"
        name = action.request.id if isinstance(action, RunCommand) else action.id
        if len(self._tasks) >= MAX_COMMANDS + 2:
            refusal = Error(code=ErrorCode.LIMIT_EXCEEDED, message="too many commands at once", id=name)
            self._answer(refusal, greet=greet)
            return
        self._spawn(self._run_command(action, viewer, greet=greet), name=f"front command {self.peer}")

    async def _run_command(self, action: RunCommand | AcknowledgeEvent, viewer: Viewer, *, greet: bool) -> None:
        answer: CommandResult | Error
        try:
            if isinstance(action, RunCommand):
                answer = await self._shared.desk.run(action.request, viewer)
            else:
                answer = await self._shared.desk.acknowledge(action, viewer)
        except InvalidFrame as error:
            answer = error_frame(error)
        self._answer(answer, greet=greet)

    def _answer(self, answer: CommandResult | Error, *, greet: bool) -> None:
        self.delivery.put(encode_frame(answer))
        if greet:
            self.delivery.put(Greet())

    def _spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        assert self._group is not None, "the connection runs"
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _check(self) -> None:
        if self.dashboard.expired(self._shared.clock.real()):
            raise Ended(Close(CloseCode.EXPIRED, "token expired"))

    def _elapsed(self) -> Millis:
        return int(self._loop.time() * 1_000)

    def _leave(self) -> None:
        self.dashboard.end()
        for following in self.delivery.interests.followings.values():
            self._shared.routes.unfollow(following)
        if self.viewer is not None:
            self._shared.routes.forget_assignments(self.viewer.user_id, self.delivery)
            self._shared.leave(self.viewer)
        self.delivery.close()

    async def _say_goodbye(self, close: Close) -> None:
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._socket.close(close.code, close.reason)
        except (TimeoutError, Disconnected):
            log.debug("front_close_unheard", peer=self.peer, code=int(close.code))
