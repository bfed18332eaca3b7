"""An HTTP connection: uvicorn's, read in turns, with a bound for each thing that it may wait for."""

import asyncio
from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, cast

from typing_extensions import override
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from bridge.http.acceptor import Arrival
from bridge.http.answer_parts import PART_BYTES
from bridge.http.flow import ReadSwitch, WaitingFlow
from bridge.http.handshake import HandshakeWebSocket
from bridge.http.load import EndReason, ServerLoad
from bridge.http.ordered_http import OrderedHttp
from bridge.http.peers import WorkAccount, host_of
from bridge.http.request_body import MAX_BODY_BYTES
from bridge.http.request_checks import MAX_HEADERS
from bridge.http.requester import WORK_ACCOUNT
from bridge.http.small_reads import PassedReads

SLICE_BYTES: Final = 512  # parsed at once: at most 28 requests, which thus wait for their answers at most
HEADER_SECONDS: Final = 10.0  # for a request's head: stops connections that send nothing, or a byte a minute
HEADER_BYTES: Final = 16_384  # of a request's head; llhttp itself sets no bound
REQUEST_WORK_MS: Final = 0.6  # of the task of a request, which is not measured
LATE_BODY_SECONDS: Final = 12.0  # for a body, read or not; the app answers earlier that it is late: `BODY_SECONDS`
CHECK_SECONDS: Final = 1.0  # between two checks of a deadline that passes because input waits for its turn
IDLE_SECONDS: Final = 5.0  # without a request, after an answer
# Bytes a second that a client takes at least of an answer that waits for it: bounds the time of the whole. One part in
# `WORK_BURST_SECONDS`, for which a user may owe, is more.
MIN_ANSWER_PACE: Final = 8_192

HEAD_TOO_LARGE_RESPONSE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)


class Phase(StrEnum):
    """What a connection waits for."""

    HEAD = "head"  # of a request, from the connection or its first byte on
    BODY = "body"  # also behind an early answer
    ANSWER = "answer"  # ours, and the client's reading of it
    IDLE = "idle"


class BoundedHttp(OrderedHttp):
    """Ends a connection whose head or body is late or too large, or whose client does not read its answer.

    What is received is parsed in turns, and not while an answer is to be sent: requests that are pipelined wait.
    """

    _account: WorkAccount | None = None  # until a WebSocket takes it over
    _timed: tuple[Phase, int] | None = None  # what the deadline is of
    _deadline: asyncio.TimerHandle | None = None
    _has_work = False  # which waits for its turn, or is done now
    _requests = 0
    _field_bytes = 0
    _discarded_bytes = 0  # of a body, behind its answer
    _answers = 0  # that are complete
    _untaken: tuple[int, bool, int] | None = None  # answers, whether the next is begun, and its bytes, at the last look
    _is_aborted = False

    def __init__(self, load: ServerLoad, arrival: Arrival, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._load = load
        self._arrival = arrival
        self._reading = ReadSwitch()

    # Calls of the transport.

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=PART_BYTES)  # of TLS it would be 512 KiB
        self.flow = WaitingFlow(transport, self)
        self._account = self._arrival.take_over()
        if self._arrival.is_aborted:
            transport.abort()
            return
        self._load.pool.add(transport, self._account.address)
        transport.set_protocol(PassedReads(self))
        self._update_deadline()

    @override
    def data_received(self, data: bytes) -> None:
        self._input += data
        self.go_on()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        if self._in_body and self._is_answering and not self._is_aborted:
            self._load.note_end(EndReason.BODY_CUT_OFF, peer=host_of(self.client))
        self._load.pool.remove(self.transport)
        if self._account is not None:
            self._account.close()
        super().connection_lost(exc)
        cast("WaitingFlow", self.flow).close()
        self.cycle = self.parser = None  # type: ignore[assignment]  # they refer to us

    # Reading.

    @property
    def _may_go_on(self) -> bool:
        return (
            bool(self._input)
            and not self._is_invalid
            and self._account is not None
            and not self.transport.is_closing()
            and not self.flow.read_paused
            and (self._in_body or not self._is_answering)
        )

    def go_on(self, *, later: bool = False) -> None:
        """Have the input parsed in turns, unless that is under way, or is to wait."""
        if self._account is None:
            return
        if not self._has_work and self._may_go_on:
            self._has_work = True
            self._load.turns.run(self._account, self._work, later=later)
        self._update_reading()

    def _update_reading(self) -> None:
        """Take more from the transport only while no input waits."""
        if self._account is not None:
            self._reading.turn(self.transport, on=not self._input)

    def _work(self) -> bool:
        """Parse a slice; return whether there is more."""
        if self._account is not None and self._account.is_abandoned():
            self.transport.abort()
        if self._may_go_on:
            size = min(len(self._input), SLICE_BYTES)
            self._parse(size)
            self._bound_fields(size)
            self._update_deadline()
        self._has_work = self._may_go_on
        if not self._has_work:
            self._update_reading()
        return self._has_work

    def _bound_fields(self, size: int) -> None:
        """Bound the bytes of a head, or of a body's trailers and chunk extensions."""
        self._field_bytes += size
        is_too_large = self._field_bytes > HEADER_BYTES or (self._in_head and len(self.headers or ()) > MAX_HEADERS)
        if not is_too_large or self.transport.is_closing():
            return
        if self._in_head:
            self._load.note_end(EndReason.HEAD_TOO_LARGE, peer=host_of(self.client))
            self.transport.write(HEAD_TOO_LARGE_RESPONSE)
            self.transport.close()
        elif self._in_body:
            self._abort(EndReason.BODY_TOO_LARGE)

    @override
    def send_400_response(self, msg: str) -> None:
        self._load.note_refusal(HTTPStatus.BAD_REQUEST, peer=host_of(self.client))
        super().send_400_response(msg)

    # Calls of the parser.

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._requests += 1
        self._field_bytes = self._discarded_bytes = 0

    @override
    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._field_bytes = 0

    @override
    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._field_bytes = 0
        if not self._is_answering:
            self._discarded_bytes += len(body)
            if self._discarded_bytes > MAX_BODY_BYTES:
                self._abort(EndReason.BODY_TOO_LARGE)

    @override
    def handle_websocket_upgrade(self) -> None:
        if self._is_answering:
            self._parse_again(with_upgrade=True)
            return
        early = self._take_rest()
        self._update_reading()
        self._cancel_deadline()
        account, self._account = self._account, None
        assert account is not None, "it is upgraded once"
        self._load.turns.charge(account, REQUEST_WORK_MS)
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # they refer to each other
        cast("WaitingFlow", self.flow).close()
        handshake = self.transport.get_protocol()
        assert isinstance(handshake, HandshakeWebSocket)
        handshake.account = account
        if early:
            handshake.data_received(early)

    # Requests and their answers.

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        assert self._account is not None, "the connection is open"
        self._load.turns.charge(self._account, REQUEST_WORK_MS)
        cycle.scope["extensions"] = {WORK_ACCOUNT: self._account}  # type: ignore[dict-item]
        super()._start_asgi_task(cycle, app)

    @override
    def on_response_complete(self) -> None:
        if self._account is not None:
            self._account.settle()
        self._answers += 1
        super().on_response_complete()
        self._unset_keepalive_if_required()  # this class has its own deadlines
        self._update_deadline()
        self.go_on(later=True)

    # Deadlines.

    def _update_deadline(self) -> None:
        """Begin the time of a new phase. No byte extends it, nor ends an early answer that of a body."""
        if self._account is None:
            return
        if self._in_body:
            phase = Phase.BODY
        elif self._is_answering:
            phase = Phase.ANSWER
        else:
            phase = Phase.HEAD if self._in_head else Phase.IDLE
        if (phase, self._requests) == self._timed:
            return
        self._timed = (phase, self._requests)
        self._cancel_deadline()
        match phase:
            case Phase.HEAD:
                self._call_later(HEADER_SECONDS, self._end_late, EndReason.HEAD_LATE)
            case Phase.BODY:
                self._call_later(LATE_BODY_SECONDS, self._end_late, EndReason.BODY_LATE)
            case Phase.ANSWER:
                self._untaken = None
                self._call_later(self._load.web.stall_seconds, self._check_progress)
            case Phase.IDLE:
                self._call_later(IDLE_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        """End a connection without a request; check again later if one waits for its turn."""
        if self._has_work:
            self._call_later(CHECK_SECONDS, self._end_idle)
            return
        self.transport.close()  # behind what is unsent
        self._call_later(self._load.web.stall_seconds, self._check_progress)

    def _check_progress(self) -> None:
        """End a connection whose client has taken little of what has waited for it since this was called last."""
        seconds = self._load.web.stall_seconds
        former, self._untaken = self._untaken, self._look_at_answer()
        if former is not None and self._untaken is not None and former[:2] == self._untaken[:2]:
            taken = former[2] - self._untaken[2]
            if taken < MIN_ANSWER_PACE * seconds:
                self._abort(EndReason.ANSWER_UNREAD)
                return
        self._call_later(seconds, self._check_progress)

    def _look_at_answer(self) -> tuple[int, bool, int] | None:
        """Return what is untaken, and of what; None if nothing waits for the client. Every answer has a length."""
        unsent, cycle = self.transport.get_write_buffer_size(), self._served
        if not unsent or cycle is None:
            return (self._answers, False, unsent) if unsent else None
        return self._answers, cycle.response_started, unsent + cycle.expected_content_length

    def _end_late(self, reason: EndReason) -> None:
        """End a connection whose client is late; look again later if what it has sent waits for its turn."""
        if self._has_work:
            self._call_later(CHECK_SECONDS, self._end_late, reason)
        else:
            self._abort(reason)

    def _abort(self, reason: EndReason) -> None:
        self._cancel_deadline()
        if not self._is_aborted:
            self._is_aborted = True
            self._load.note_end(reason, peer=host_of(self.client))
            self.transport.abort()

    def _call_later(self, seconds: float, callback: Callable[..., None], *arguments: object) -> None:
        self._deadline = self.loop.call_later(seconds, callback, *arguments)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
