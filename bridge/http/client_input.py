"""Input of an open WebSocket: what its client sends, read in turns and within a budget."""

import asyncio
import math
from collections.abc import Generator
from typing import Protocol

from websockets.protocol import SEND_EOF
from websockets.protocol import Protocol as WebSocketProtocol

from bridge.http.flow import ReadSwitch
from bridge.http.load import ServerLoad
from bridge.http.message_reader import Message, MessageReader
from bridge.http.peers import WorkAccount
from bridge.protocol.token_bucket import TokenBucket


class InputHandler(Protocol):
    """Takes what is read. All of it may be followed by more in the same call, unless the input is closed."""

    def take_message(self, message: Message) -> None:
        """Take a complete message."""

    def take_pong(self, payload: bytes) -> None:
        """Take a pong."""

    def take_pongs_to_send(self, pongs: list[bytes]) -> None:
        """Take the answers to pings."""

    def take_end(self, output: list[bytes]) -> None:
        """Take the last output: the client's close frame was read, or a violation of the protocol."""

    def take_overdraft(self) -> None:
        """The total that the client may send is exceeded."""

    def take_fault(self) -> None:
        """One of these methods has raised; the exception is logged."""


class ClientInput:
    """Reads messages of `transport`, whose data is passed to `feed`; takes more from it only while nothing waits."""

    __slots__ = (
        "_account",
        "_budget",
        "_handler",
        "_has_work",
        "_is_discarding",
        "_is_paused",
        "_last_output",
        "_load",
        "_overdrawn",
        "_reader",
        "_reading",
        "_steps",
        "_transport",
    )

    def __init__(
        self, transport: asyncio.Transport, handler: InputHandler, *, load: ServerLoad, account: WorkAccount
    ) -> None:
        self._transport = transport
        self._reading = ReadSwitch()
        self._handler: InputHandler | None = handler
        self._load = load
        self._account = account
        self._reader = MessageReader(max_size=load.web.max_frame_bytes)
        self._budget = TokenBucket(per_second=0, burst=load.web.max_unauthenticated_bytes, at=load.clock())
        self._is_paused = False  # by the handler
        self._is_discarding = False
        self._has_work = False  # which waits for its turn, or is done now
        self._overdrawn: asyncio.TimerHandle | None = None  # until the budget is refilled
        self._steps: Generator[None, None, None] | None = None  # to be done before more is read
        self._last_output: list[bytes] = []  # behind the answers to what was sent before

    @property
    def protocol(self) -> WebSocketProtocol:
        """Return the state of the connection, and what is to be sent."""
        return self._reader.protocol

    @property
    def is_waiting(self) -> bool:
        """Return whether something waits for its turn, or is read now."""
        return self._has_work

    def limit(self, *, per_second: float, burst: float) -> None:
        """Begin a new budget, in bytes as MessageReader counts them; a total if `per_second` is 0."""
        self._budget = TokenBucket(per_second=per_second, burst=burst, at=self._load.clock())

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        if self._handler is not None:
            self._reader.feed(data)
            self._go_on()

    def run_steps(self, steps: Generator[None, None, None]) -> None:
        """Do these steps, and then read on."""
        assert self._steps is None, "nothing is passed on before the end of the former"
        if self._handler is None or self._is_discarding:
            steps.close()
            return
        self._steps = steps
        self._go_on()

    def pause(self) -> None:
        """Pass on no more messages."""
        self._is_paused = True
        self._update_reading()

    def resume(self) -> None:
        """Pass on messages again, from the next turn on."""
        self._is_paused = False
        self._go_on(later=True)

    def discard(self, *, at_most: int) -> None:
        """Pass on nothing but the end, which must come within so many bytes."""
        self._is_discarding = True
        self._reader.discard()
        self._end_steps()
        self.limit(per_second=0, burst=at_most)
        self._cancel_wait()
        self.resume()

    def close(self) -> None:
        """Read no more."""
        self._handler = None
        self._cancel_wait()
        self._end_steps()
        self._reader.close()

    @property
    def _may_go_on(self) -> bool:
        if self._steps is not None:
            return True
        return self._handler is not None and self._reader.has_input and not self._is_paused and self._overdrawn is None

    def _go_on(self, *, later: bool = False) -> None:
        """Have the input read in turns, unless that is under way, or is to wait."""
        if not self._has_work and self._may_go_on:
            self._has_work = True
            self._load.turns.run(self._account, self._work, later=later)
        self._update_reading()

    def _update_reading(self) -> None:
        if self._handler is not None:
            self._reading.turn(
                self._transport, on=not (self._has_work or self._is_paused or self._overdrawn is not None)
            )

    def _work(self) -> bool:
        """Do a step, or read a slice, or up to the end of the next message in it; return whether there is more."""
        if self._account.is_abandoned():
            self._transport.abort()
            return False
        handler = self._handler
        if handler is not None and self._may_go_on:
            try:
                if self._steps is not None:
                    self._do_step(self._steps)
                else:
                    self._read(handler)
            except Exception:
                self._has_work = False
                handler.take_fault()
                raise
        self._has_work = self._may_go_on
        if not self._has_work:
            self._update_reading()
        return self._has_work

    def _do_step(self, steps: Generator[None, None, None]) -> None:
        self._steps = None  # a step that ends the connection is the last
        try:
            next(steps)
        except StopIteration:
            self._pass_end()
            return
        if self._handler is None or self._is_discarding:
            steps.close()
        else:
            self._steps = steps

    def _end_steps(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()

    def _read(self, handler: InputHandler) -> None:
        reader = self._reader
        if not reader.has_frames:
            self._parse(reader, handler)
        if self._overdrawn is None and not self._is_discarding:
            message = reader.next_message(handler.take_pong)
            if message is not None:
                handler.take_message(message)
        self._pass_end()

    def _pass_end(self) -> None:
        """Pass on the end, if it was read and all that came before it is done."""
        if self._steps is None and not self._reader.has_frames and self._handler is not None:
            output = self._last_output + self._reader.protocol.data_to_send()
            if SEND_EOF in output:
                self._handler.take_end(output)

    def _parse(self, reader: MessageReader, handler: InputHandler) -> None:
        count = reader.parse()
        output = reader.protocol.data_to_send()
        if SEND_EOF in output:  # of the client's close frame, or of a violation of the protocol
            self._last_output = output
        elif output:
            handler.take_pongs_to_send(output)
        if self._is_discarding:
            reader.discard()
        now = self._load.clock()
        if not self._budget.take(count, now):
            return
        wait_ms = self._budget.wait_ms(now)
        if math.isinf(wait_ms):
            handler.take_overdraft()
        else:
            self._load.byte_delays += 1
            self._overdrawn = asyncio.get_running_loop().call_later(wait_ms / 1_000, self._read_on)

    def _read_on(self) -> None:
        self._overdrawn = None
        self._go_on()

    def _cancel_wait(self) -> None:
        if self._overdrawn is not None:
            self._overdrawn.cancel()
            self._overdrawn = None
