"""TLS of one connection, the server's side, without input and output: bytes of the client in, bytes for it out."""

import contextlib
import ssl
from typing import Any, Final

from bridge.http.small_reads import READ_BYTES

HANDSHAKE_BYTES: Final = 8_192  # of a client, until it is done; OpenSSL takes some 100 KiB
CURVE: Final = "prime256v1"  # P-256, which every client has; with ffdhe8192 one handshake would take 150 ms


def bound_handshakes(context: ssl.SSLContext) -> None:
    """Let no client choose an expensive key exchange, nor a second handshake on a connection."""
    context.set_ecdh_curve(CURVE)
    context.options |= ssl.OP_NO_RENEGOTIATION


class TlsConnection:
    """Decrypts what `feed` is given, and encrypts; whatever is for the client waits for `output`."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.is_open = False
        """Whether the handshake is done."""
        self.has_ended = False
        """Whether the client has ended TLS."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls: Final = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._handshake_bytes = 0

    def feed(self, received: bytes) -> None:
        """Take bytes of the client, and go on with the handshake; raise SSLError."""
        self._incoming.write(received)
        if self.is_open:
            return
        self._handshake_bytes += len(received)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
            self.is_open = True
        if not self.is_open and self._handshake_bytes > HANDSHAKE_BYTES:
            raise ssl.SSLError("the handshake is too large")

    def read(self, parts: list[bytes]) -> None:
        """Add the content of all records so far, little more than one of 16 KiB; raise SSLError for an invalid one."""
        with contextlib.suppress(ssl.SSLWantReadError):
            while part := self._read_part():
                parts.append(part)
            self.has_ended = True

    def _read_part(self) -> bytes:
        try:
            return self.tls.read(READ_BYTES)
        except ssl.SSLZeroReturnError:
            return b""

    def write(self, content: "bytes | bytearray | memoryview[Any]") -> None:
        """Encrypt; raise SSLError if the connection has failed."""
        rest = memoryview(content)
        while rest:
            rest = rest[self.tls.write(rest) :]

    def end(self) -> None:
        """Tell the client that nothing follows; its own end is not waited for."""
        if self.is_open:
            with contextlib.suppress(ssl.SSLError):
                self.tls.unwrap()

    def output(self) -> bytes:
        """Return what is for the client, once."""
        return self._outgoing.read()
