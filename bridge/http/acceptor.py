"""Acceptor of connections: takes them quickly, and lets each wait until it is its client's turn."""

import asyncio
import contextlib
import errno
import select
import socket
import ssl
import sys
from collections.abc import Callable
from functools import partial
from itertools import islice, takewhile
from typing import Final

from bridge.http.load import EndReason, ServerLoad
from bridge.http.peers import WorkAccount
from bridge.http.tls_connection import bound_handshakes
from bridge.http.tls_transport import TlsTransport

ACCEPTED: Final = 32  # between two polls of the sockets, some 1 ms; also of those that speak, or are late
ARRIVAL_SECONDS: Final = 10.0  # for the first byte, and the client's turn
LOOK_SECONDS: Final = 1.0  # between two searches for late ones
CONNECTION_WORK_MS: Final = 0.2  # of making a connection, which is not measured
NO_ROOM: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE_SECONDS: Final = 1.0  # without file descriptors or memory, before the next attempt

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
        if tls is not None:
            bound_handshakes(tls)
        self._loop = asyncio.get_running_loop()
        self._arrivals: dict[Arrival, float] = {}  # loop times, oldest first
        self.silent = _SilentSockets(self._loop)
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        listener.setblocking(False)
        self._listen()
        self._end_late()

    # For uvicorn.

    def close(self) -> None:
        """Accept no more, and end what has no connection yet; the listening socket stays open."""
        self._loop.remove_reader(self._listener)
        for timer in self._timers.values():
            timer.cancel()
        for arrival in list(self._arrivals):
            arrival.abort()
        self.silent.close()

    async def wait_closed(self) -> None:
        """Return once what had no connection has ended."""
        for arrival in list(self._arrivals):
            await arrival.wait_ended()

    # For arrivals.

    async def connect(self, accepted: socket.socket, arrival: "Arrival") -> OSError | None:
        """Make a connection; return why there is none if the TLS handshake fails."""
        make = partial(self._make_protocol, arrival)
        if self._tls is None:
            await self._loop.connect_accepted_socket(make, accepted)
            return None
        transport = arrival.tls = TlsTransport(make, self._tls, self.load, arrival.account)
        await self._loop.connect_accepted_socket(lambda: transport, accepted)
        return await transport.opened

    def forget(self, arrival: "Arrival") -> None:
        del self._arrivals[arrival]

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
                    continue  # this connection was reset
                self.load.note_no_room(str(error))
                self._loop.remove_reader(self._listener)
                self._call_later(PAUSE_SECONDS, self._listen)
                return
            arrival = Arrival(accepted, address[0], self)
            self._arrivals[arrival] = self._loop.time()

    def _end_late(self) -> None:
        """End some sockets that have not become a connection within `ARRIVAL_SECONDS`."""
        before = self._loop.time() - ARRIVAL_SECONDS
        late = takewhile(lambda arrival: self._arrivals[arrival] < before, self._arrivals)
        ended = list(islice((arrival for arrival in late if not arrival.is_connecting), ACCEPTED))
        for arrival in ended:
            self.load.note_end(EndReason.HEAD_LATE, peer=arrival.account.address.name)
            arrival.abort()
        self._call_later(0 if len(ended) == ACCEPTED else LOOK_SECONDS, self._end_late)

    def _call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timers[callback] = self._loop.call_later(seconds, callback)


class Arrival:
    """An accepted socket that is no connection yet: it waits for the client, for its turn, for the TLS handshake."""

    def __init__(self, accepted: socket.socket, host: str, acceptor: Acceptor) -> None:
        self.is_aborted = False
        self.account = WorkAccount(acceptor.load.peers, host, accepted)
        self.tls: TlsTransport | None = None
        self._socket = accepted
        self._acceptor = acceptor
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[OSError | None] | None = None
        self._has_ended = False
        self._is_silent = True
        acceptor.silent.add(accepted, self._speak)
        acceptor.load.pool.add(self, self.account.address)

    @property
    def is_connecting(self) -> bool:
        """Return whether its connection is being made: a TLS handshake has a time of its own."""
        return self._task is not None

    def abort(self) -> None:
        """End it. The connection that may just be made has to end itself."""
        self.is_aborted = True
        if self._task is None:
            self._close()
        elif self.tls is not None:
            self.tls.abort()
        else:
            with contextlib.suppress(OSError):  # the client is gone
                self._socket.shutdown(socket.SHUT_RDWR)

    def take_over(self) -> WorkAccount:
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
            if not self.account.is_abandoned() and self._socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                self._socket.setblocking(False)
                self._acceptor.load.turns.charge(self.account, CONNECTION_WORK_MS)
                self._task = self._loop.create_task(self._acceptor.connect(self._socket, self), name="connection")
                self._task.add_done_callback(self._take_result)
                return
        self._close()

    def _take_result(self, task: "asyncio.Task[OSError | None]") -> None:
        self._task = self.tls = None  # they refer to us
        error = None if task.cancelled() else task.exception() or task.result()
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
        self._acceptor.load.turns.forget(self.account, self._begin)
        self._acceptor.load.pool.remove(self)
        self._acceptor.forget(self)

    def _stop_waiting(self) -> None:
        if self._is_silent:
            self._is_silent = False
            self._acceptor.silent.remove(self._socket)


class _SilentSockets:
    """Sockets whose clients have sent nothing; on Linux the event loop has one handle for all of them."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll() if sys.platform == "linux" else None
        if self._epoll is not None:
            loop.add_reader(self._epoll.fileno(), self._look)

    def add(self, silent: socket.socket, on_first_byte: Callable[[], None]) -> None:
        """Call `on_first_byte` when its client has sent something, or is gone."""
        if self._epoll is None:
            self._loop.add_reader(silent, on_first_byte)
        else:
            self._callbacks[silent.fileno()] = on_first_byte
            self._epoll.register(silent, select.EPOLLIN)

    def remove(self, silent: socket.socket) -> None:
        if self._epoll is None:
            self._loop.remove_reader(silent)
        else:
            del self._callbacks[silent.fileno()]
            self._epoll.unregister(silent)

    def close(self) -> None:
        """End, with no socket left."""
        if self._epoll is not None:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _look(self) -> None:
        assert self._epoll is not None
        for descriptor, _ in self._epoll.poll(0, ACCEPTED):
            callback = self._callbacks.get(descriptor)
            if callback is not None:  # none: one before has ended it
                callback()
