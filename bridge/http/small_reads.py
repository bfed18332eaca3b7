"""Small reads: a protocol that takes little of a transport at once, so that little waits in memory for its turn."""

import asyncio
from typing import Final

from typing_extensions import override

READ_BYTES: Final = 8_192

_buffer: Final = memoryview(bytearray(READ_BYTES))  # of all: it is filled and copied in one call of the event loop


class SmallReads(asyncio.BufferedProtocol):
    """Calls `data_received` with at most `READ_BYTES`, where an `asyncio.Protocol` gets up to 256 KiB."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        """Take what was received."""
        raise NotImplementedError

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(_buffer[:nbytes]))
