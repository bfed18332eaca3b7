"""TLS of the web server: handshakes and records are processed in turns, and at the client's expense.

The event loop's own TLS processes all that was received, handshakes too, before anything else happens.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any, Final, cast

from typing_extensions import override

from bridge.http.flow import ReadSwitch
from bridge.http.load import EndReason, ServerLoad
from bridge.http.peers import WorkAccount
from bridge.http.small_reads import SmallReads
from bridge.http.tls_connection import TlsConnection

SLICE_BYTES: Final = 512  # processed at once: at most some 20 records without content, 0.3 ms
HANDSHAKE_SECONDS: Final = 10.0
CHECK_SECONDS: Final = 1.0  # before the next check, if the handshake is late because its input waits for its turn
CONTROL_BYTES: Final = 4_096  # of TLS itself (alerts, key updates), for a client that does not read


class TlsTransport(asyncio.Transport, SmallReads):
    """A transport over TLS for a protocol; towards the transport below it is the protocol, and the only one.

    `opened` is None when the handshake is done, and the protocol has its connection; else why there is none.
    """

    def __init__(
        self,
        make_protocol: Callable[[], asyncio.BaseProtocol],
        context: ssl.SSLContext,
        load: ServerLoad,
        account: WorkAccount,
    ) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[OSError | None] = self._loop.create_future()
        self._make_protocol = make_protocol
        self._protocol = asyncio.Protocol()  # a placeholder before the handshake and after the end
        self._context = context
        self._load = load
        self._account = account
        self._tls = TlsConnection(context)
        self._below: asyncio.Transport | None = None
        self._reading = ReadSwitch()
        self._input = b""
        self._has_work = False  # which waits for its turn, or is done now
        self._has_eof = False
        self._error: OSError | None = None  # why it is not
        self._is_paused = False
        self._is_write_paused = False
        self._is_closing = False
        self._control_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None

    # Calls of the transport below.

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = cast("asyncio.Transport", transport)
        if self._is_closing:
            self._below.abort()
            return
        self._deadline = self._loop.call_later(HANDSHAKE_SECONDS, self._end_late)

    @override
    def data_received(self, data: bytes) -> None:
        self._input += data
        self._go_on()

    @override
    def eof_received(self) -> bool:
        self._has_eof = True
        self._go_on()
        return True  # what was received before is still to be processed

    @override
    def pause_writing(self) -> None:
        self._is_write_paused = True
        self._protocol.pause_writing()

    @override
    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._control_bytes = 0
        self._protocol.resume_writing()
        self._go_on()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._is_closing = True
        self._input = b""
        self._load.turns.forget(self._account, self._work)
        self._cancel_deadline()
        self._protocol.connection_lost(exc)
        self._protocol = asyncio.Protocol()
        if not self.opened.done():
            self.opened.set_result(self._error or ConnectionResetError())

    # Processing.

    @property
    def _may_go_on(self) -> bool:
        return (
            bool(self._input) and not self._is_paused and not self.is_closing() and self._control_bytes < CONTROL_BYTES
        )

    def _go_on(self, *, later: bool = False) -> None:
        """Have what was received processed in turns, unless that is under way, or is to wait."""
        if not self._has_work and self._may_go_on:
            self._has_work = True
            self._load.turns.run(self._account, self._work, later=later)
        self._update()

    def _update(self) -> None:
        """Take more from below only while no input waits; pass on the end behind all input."""
        if self._below is None or self.is_closing():
            return
        self._reading.turn(self._below, on=not self._input)
        if self._has_eof and not self._input:
            self._protocol.eof_received()
            self.close()

    def _work(self) -> bool:
        """Process a slice; return whether there is more."""
        if self._account.is_abandoned():
            self.abort()
        if self._may_go_on:
            piece, self._input = self._input[:SLICE_BYTES], self._input[SLICE_BYTES:]
            try:
                self._process(piece)
            except ssl.SSLError as error:
                self._fail(error)
            except Exception:
                self.abort()
                raise
        self._has_work = self._may_go_on
        if not self._has_work:
            self._update()
        return self._has_work

    def _process(self, piece: bytes) -> None:
        parts: list[bytes] = []
        try:
            was_open = self._tls.is_open
            self._tls.feed(piece)
            if not was_open and self._tls.is_open:
                self._open()
            if self._tls.is_open:
                self._tls.read(parts)
        finally:
            self._write_control()
            if parts:
                self._protocol.data_received(b"".join(parts))
        if self._tls.has_ended:
            self._has_eof, self._input = True, b""

    def _open(self) -> None:
        self._write_control()
        self._cancel_deadline()
        self.opened.set_result(None)
        self._protocol = cast("asyncio.Protocol", self._make_protocol())
        self._protocol.connection_made(self)

    def _write_control(self) -> None:
        """Write the output of TLS itself."""
        assert self._below is not None
        output = self._tls.output()
        if output:
            self._below.write(output)
            if self._is_write_paused:
                self._control_bytes += len(output)

    def _fail(self, error: OSError) -> None:
        """Send the alert, and end a connection whose input is not valid TLS."""
        self._write_control()
        if self._tls.is_open:
            self._load.note_end(EndReason.NO_TLS, peer=self._account.address.name)
        else:
            self._error = error.with_traceback(None)  # whose frames refer to us
        self._end()

    def _end(self) -> None:
        self._is_closing = True
        if self._below is not None:
            self._below.close()

    def _end_late(self) -> None:
        """End a handshake that is late; check again later if input of the client waits for its turn."""
        if self._has_work:
            self._deadline = self._loop.call_later(CHECK_SECONDS, self._end_late)
        else:
            self._error = self._error or TimeoutError()
            self.abort()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    # The transport of the protocol.

    @override
    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        if self.is_closing():
            return
        assert self._below is not None
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._below.write(self._tls.output())

    @override
    def close(self) -> None:
        """Send what is written, then close_notify, without waiting for the client's."""
        if self.is_closing():
            return
        self._tls.end()
        self._write_control()
        self._end()

    @override
    def abort(self) -> None:
        self._is_closing = True
        if self._below is not None:
            self._below.abort()

    @override
    def is_closing(self) -> bool:
        return self._is_closing or (self._below is not None and self._below.is_closing())

    @override
    def pause_reading(self) -> None:
        self._is_paused = True

    @override
    def resume_reading(self) -> None:
        self._is_paused = False
        self._go_on(later=True)

    @override
    def is_reading(self) -> bool:
        return not self._is_paused and not self.is_closing()

    @override
    def get_write_buffer_size(self) -> int:
        """Return how many bytes of TLS wait for the client."""
        return 0 if self._below is None else self._below.get_write_buffer_size()

    @override
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert self._below is not None, "the protocol has its connection"
        self._below.set_write_buffer_limits(high, low)

    @override
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        match name:
            case "sslcontext":
                return self._context
            case "ssl_object":
                return self._tls.tls
            case _:
                return default if self._below is None else self._below.get_extra_info(name, default)

    @override
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("asyncio.Protocol", protocol)

    @override
    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol
