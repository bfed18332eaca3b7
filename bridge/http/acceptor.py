"""Acceptor of connections: takes them quickly, and lets each wait until it is its client's turn."""

import asyncio
import contextlib
import errno
import selectors
import socket
import ssl
from collections.abc import Callable
from functools import partial
from itertools import takewhile
from typing import Final

from bridge.http.load import EndReason, ServerLoad
from bridge.http.peers import Account

ACCEPTED: Final = 32  # between two looks at the sockets, some 1 ms
SILENT_SECONDS: Final = 10.0  # for the first byte
LOOK_SECONDS: Final = 1.0  # from one look for silent ones to the next
CONNECTION_WORK_MS: Final = 0.2  # of making a connection, which is not measured
TLS_SECONDS: Final = 10.0  # for the TLS handshake
NO_ROOM: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE_SECONDS: Final = 1.0  # without room, before the next look

MakeProtocol = Callable[["Arrival"], asyncio.BaseProtocol]


class Acceptor:
    """Accepts on a listening socket until it is closed; what it accepts belongs to nobody, in the pool of `load`.

    An event loop's own server makes each connection at once. Here silent ones cost little: what is accepted becomes a
    connection when its client has sent something, and it is that client's turn.
    """

    def __init__(
        self, listener: socket.socket, load: ServerLoad, make_protocol: MakeProtocol, *, tls: ssl.SSLContext | None
    ) -> None:
        self.load = load
        self._listener = listener
        self._make_protocol = make_protocol
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._arrivals: dict[Arrival, float] = {}  # loop times, oldest first
        self._silent = selectors.DefaultSelector()  # one handle of the event loop for all of them
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        listener.setblocking(False)
        self._listen()
        self._loop.add_reader(self._silent.fileno(), self._take_first_bytes)
        self._end_silent()

    # For uvicorn.

    def close(self) -> None:
        """Accept no more, and end what has no connection yet; the listening socket stays open."""
        self._loop.remove_reader(self._listener)
        for timer in self._timers.values():
            timer.cancel()
        for arrival in list(self._arrivals):
            arrival.abort()
        self._loop.remove_reader(self._silent.fileno())
        self._silent.close()

    async def wait_closed(self) -> None:
        """Return once what had no connection has ended."""
        for arrival in list(self._arrivals):
            await arrival.wait_ended()

    # For arrivals.

    async def connect(self, accepted: socket.socket, arrival: "Arrival") -> None:
        """Make a connection; raise OSError if the TLS handshake fails."""
        await self._loop.connect_accepted_socket(
            partial(self._make_protocol, arrival),
            accepted,
            ssl=self._tls,
            ssl_handshake_timeout=None if self._tls is None else TLS_SECONDS,
        )

    def forget(self, arrival: "Arrival") -> None:
        del self._arrivals[arrival]

    def wait_for(self, silent: socket.socket, on_first_byte: Callable[[], None]) -> None:
        """Call `on_first_byte` when its client has sent something, or is gone."""
        self._silent.register(silent, selectors.EVENT_READ, on_first_byte)

    def wait_no_more(self, silent: socket.socket) -> None:
        self._silent.unregister(silent)

    def _listen(self) -> None:
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTED):
            try:
                accepted, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in NO_ROOM:
                    continue  # of one connection, which is gone
                self.load.note_no_room(str(error))
                self._loop.remove_reader(self._listener)
                self._call_later(PAUSE_SECONDS, self._listen)
                return
            arrival = Arrival(accepted, address[0], self)
            self._arrivals[arrival] = self._loop.time()

    def _take_first_bytes(self) -> None:
        for key, _ in self._silent.select(0)[:ACCEPTED]:
            key.data()

    def _end_silent(self) -> None:
        """End those that have sent nothing for `SILENT_SECONDS`."""
        before = self._loop.time() - SILENT_SECONDS
        for arrival in list(takewhile(lambda arrival: self._arrivals[arrival] < before, self._arrivals)):
            if arrival.is_silent:
                self.load.note_end(EndReason.HEAD_LATE, peer=arrival.account.address.name)
                arrival.abort()
        self._call_later(LOOK_SECONDS, self._end_silent)

    def _call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timers[callback] = self._loop.call_later(seconds, callback)


class Arrival:
    """An accepted socket that is no connection yet: it waits for the client, for its turn, for the TLS handshake."""

    def __init__(self, accepted: socket.socket, host: str, acceptor: Acceptor) -> None:
        self.is_silent = True
        self.is_aborted = False
        self.account = Account(acceptor.load.peers, host)
        self._socket = accepted
        self._acceptor = acceptor
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._has_ended = False
        acceptor.wait_for(accepted, self._speak)
        acceptor.load.pool.add(self, self.account.address)

    def abort(self) -> None:
        """End it. The connection that may just be made has to end itself."""
        self.is_aborted = True
        if self._task is None:
            self._close()
        else:
            with contextlib.suppress(OSError):  # the client is gone
                self._socket.shutdown(socket.SHUT_RDWR)

    def take_over(self) -> Account:
        """Return who pays for the connection, which there is now."""
        self._end()
        return self.account

    async def wait_ended(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])

    def _speak(self) -> None:
        """Go on when it is its turn."""
        self._stop_waiting()
        self._acceptor.load.turns.run(self.account, self._begin)

    def _begin(self) -> None:
        """Make the connection, unless its client is gone."""
        if self._has_ended:
            return
        with contextlib.suppress(OSError):
            if self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                self._socket.setblocking(False)
                self._acceptor.load.turns.charge(self.account, CONNECTION_WORK_MS)
                self._task = self._loop.create_task(self._acceptor.connect(self._socket, self), name="connection")
                self._task.add_done_callback(self._take_result)
                return
        self._close()

    def _take_result(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, OSError):
            self._acceptor.load.note_end(EndReason.NO_TLS, peer=self.account.address.name)
        elif isinstance(error, Exception):
            self._acceptor.load.note_fault(error)
        if not self._has_ended:
            self._close()

    def _close(self) -> None:
        self._end()
        self.account.close()
        self._socket.close()

    def _end(self) -> None:
        self._has_ended = True
        self._stop_waiting()
        self._acceptor.load.pool.remove(self)
        self._acceptor.forget(self)

    def _stop_waiting(self) -> None:
        if self.is_silent:
            self.is_silent = False
            self._acceptor.wait_no_more(self._socket)
