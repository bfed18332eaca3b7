"""Small reads: a protocol that takes little of a transport at once, so that little waits in memory for its turn."""

import asyncio
from abc import ABC, abstractmethod
from typing import Final

from typing_extensions import override

READ_BYTES: Final = 8_192

_buffer: Final = memoryview(bytearray(READ_BYTES))  # of all: it is filled and copied in one call of the event loop


class SmallReads(asyncio.BufferedProtocol, ABC):
    """Calls `data_received` with at most `READ_BYTES`, where an `asyncio.Protocol` gets up to 256 KiB."""

    __slots__ = ()

    @abstractmethod
    def data_received(self, data: bytes) -> None:
        """Take what was received."""

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(_buffer[:nbytes]))


class PassedReads(SmallReads):
    """Passes small reads, and all else, to an `asyncio.Protocol`: set it as the transport's protocol in its place."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol

    @override
    def data_received(self, data: bytes) -> None:
        self._protocol.data_received(data)

    @override
    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    @override
    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    @override
    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
