"""Flow control of connections whose input may wait for its turn."""

import asyncio
from typing import Protocol

from typing_extensions import override
from uvicorn.protocols.http.flow_control import FlowControl


class ReadSwitch:
    """Whether more is taken from a transport, which is told only when that changes."""

    __slots__ = ("_is_on",)

    def __init__(self) -> None:
        self._is_on = True

    def turn(self, transport: asyncio.Transport, *, on: bool) -> None:
        """Take more from the transport, or no more."""
        if on == self._is_on:
            return
        self._is_on = on
        if on:
            transport.resume_reading()
        else:
            transport.pause_reading()


class ReadConnection(Protocol):
    """A connection that decides when it is read."""

    def go_on(self, *, later: bool = False) -> None: ...


class WaitingFlow(FlowControl):
    """uvicorn's flow control, but reading goes on as the connection decides, which may have input that waits."""

    def __init__(self, transport: asyncio.Transport, connection: ReadConnection) -> None:
        super().__init__(transport)
        self._connection: ReadConnection | None = connection

    @override
    def pause_reading(self) -> None:
        self.read_paused = True

    @override
    def resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            if self._connection is not None:
                self._connection.go_on(later=True)

    def close(self) -> None:
        """Break the cycle of references."""
        self._connection = None
