"""Dispatch of users' commands: authorized, published under `command/`, and answered with the committed result."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from bridge.domain.access.command_admission import PlantPlaces
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommandRecord
from bridge.domain.report_fields import MAX_COMMAND_ID
from bridge.front.journal_reads import FrontJournal
from bridge.ports.broker import BrokerUnavailable, TopicRefused
from bridge.protocol.client_frames import Acknowledge, InvalidFrame
from bridge.protocol.commands import CommandRequest, acknowledge_request, authorize, command_message
from bridge.protocol.error_codes import ErrorCode
from bridge.protocol.server_frames import CommandResult

Publish = Callable[[str, bytes], Awaitable[None]]
"""Publishes on a topic relative to the root; raises BrokerUnavailable or TopicRefused."""

Sender = Callable[[], Awaitable[Viewer]]
"""Returns the sender of a command with the grants of now; raises TokenError or AdmissionError if there are none."""

REFUSAL_SECONDS: Final = 0.05  # longer than a read of the journal, which an unknown event does not take
MAX_PENDING_COMMANDS: Final = 1_000  # of all dashboards: bounds what piles up behind a stopped pipeline


class _CallData(Struct):
    call_id: str | None = None


class _CallEvent(Struct):
    data: _CallData


class CommandDispatcher:
    """Publishes commands and returns their results; the journal keeps each (user, id) for 24 h."""

    def __init__(self, *, journal: FrontJournal, places: PlantPlaces, publish: Publish, timeout_seconds: float) -> None:
        self._journal = journal
        self._places = places
        self._publish = publish
        self._timeout = timeout_seconds
        self._waiting: dict[tuple[str, str], list[asyncio.Future[CommandRecord]]] = {}
        self._count = 0

    @property
    def pending(self) -> Sequence[tuple[str, str]]:
        """Return the (user, id) of all commands that await their results."""
        return list(self._waiting)

    def deliver_result(self, record: CommandRecord) -> None:
        """Pass a committed result to all who await it."""
        for waiter in self._waiting.get((record.user, record.command_id), ()):
            if not waiter.done():
                waiter.set_result(record)

    async def execute(self, request: CommandRequest, sender: Sender) -> CommandResult:
        """Return the committed result, or `unknown` after the timeout; raise InvalidFrame if it cannot be sent."""
        async with _held_refusals():
            return await self._execute(request, sender)

    async def acknowledge(self, frame: Acknowledge, sender: Sender) -> CommandResult:
        """Execute andon.acknowledge for an event's call.

        Raise InvalidFrame, the same for an unknown event and one that the sender may not read.
        """
        async with _held_refusals():
            return await self._execute(await self._request_for(frame, sender), sender)

    async def _execute(self, request: CommandRequest, sender: Sender) -> CommandResult:
        viewer = await sender()
        authorize(request, viewer, self._places)
        if self._count >= MAX_PENDING_COMMANDS:
            raise InvalidFrame(ErrorCode.UNAVAILABLE, "too many commands are pending", id=request.id)
        key = (viewer.user_id, request.id)
        # Start waiting before the journal is read, so that no result falls in between.
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(waiter)
        self._count += 1
        try:
            async with asyncio.timeout(self._timeout):
                record = await self._journal.command(*key)
                if record is None:
                    viewer = await sender()  # a new token may grant less
                    message = command_message(request, authorize(request, viewer, self._places), viewer)
                    # When the link breaks, the broker may or may not have it: await the result, or the timeout.
                    with contextlib.suppress(BrokerUnavailable):
                        await self._publish(message.topic, message.payload)
                    record = await waiter
        except TimeoutError:
            return CommandResult(id=request.id, outcome="unknown", event_ids=[], reason="no answer in time")
        except TopicRefused:
            raise InvalidFrame(ErrorCode.UNAVAILABLE, "the broker refuses commands", id=request.id) from None
        finally:
            self._forget(key, waiter)
        return CommandResult(
            id=request.id, outcome=record.outcome, event_ids=list(record.event_ids), reason=record.reason
        )

    async def _request_for(self, frame: Acknowledge, sender: Sender) -> CommandRequest:
        event = await self._journal.readable_event(frame.event_id, sender)
        if event is None:
            raise InvalidFrame(ErrorCode.FORBIDDEN, "no such event, or it is not granted", id=frame.id)
        call_id = msgspec.json.decode(event.body, type=_CallEvent).data.call_id
        if call_id is None:
            raise InvalidFrame(ErrorCode.INVALID_MESSAGE, "the event belongs to no Andon call", id=frame.id)
        command_id = frame.id or f"ack:{event.id}"[-MAX_COMMAND_ID:]  # an event's id ends with epoch and offset
        return acknowledge_request(id=command_id, call_id=call_id, line_id=event.topic.place.line)

    def _forget(self, key: tuple[str, str], waiter: asyncio.Future[CommandRecord]) -> None:
        self._count -= 1
        waiters = self._waiting[key]
        waiters.remove(waiter)
        if not waiters:
            del self._waiting[key]


@contextlib.asynccontextmanager
async def _held_refusals() -> AsyncIterator[None]:
    """Let a refusal wait until `REFUSAL_SECONDS` have passed: how long it took would tell what exists."""
    loop = asyncio.get_running_loop()
    answer_at = loop.time() + REFUSAL_SECONDS
    try:
        yield
    except InvalidFrame as refusal:
        if refusal.code is ErrorCode.FORBIDDEN:
            await asyncio.sleep(answer_at - loop.time())
        raise
