"""A TLS client over plain sockets that sends what no library does: any records, half handshakes, changes of keys."""

import asyncio
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.http.served_sockets import DEADLINE, RawClient, connected

APPLICATION_DATA: Final = 23
HANDSHAKE: Final = 22
KEY_UPDATE: Final = 24


def key_update(*, asks_for_one: bool = False) -> bytes:
    return struct.pack("!B3sB", KEY_UPDATE, (1).to_bytes(3), asks_for_one)


@dataclass
class Sealer:
    """Encrypts records of TLS 1.3 with TLS_AES_256_GCM_SHA384, as RFC 8446 says, from a traffic secret."""

    secret: bytes
    sequence: int = 0
    _cipher: AESGCM = field(init=False)
    _iv: int = field(init=False)

    def __post_init__(self) -> None:
        self._cipher = AESGCM(self._expand(b"key", 32))
        self._iv = int.from_bytes(self._expand(b"iv", 12))

    def record(self, content: bytes, content_type: int = APPLICATION_DATA) -> bytes:
        inner = content + bytes((content_type,))
        head = struct.pack("!BHH", APPLICATION_DATA, 0x0303, len(inner) + 16)
        nonce = (self._iv ^ self.sequence).to_bytes(12)
        self.sequence += 1
        return head + self._cipher.encrypt(nonce, inner, head)

    def key_update(self, *, asks_for_one: bool = False) -> bytes:
        """Return the record that announces new keys; what follows is encrypted with them."""
        record = self.record(key_update(asks_for_one=asks_for_one), HANDSHAKE)
        self.secret, self.sequence = self._expand(b"traffic upd", 48), 0
        self.__post_init__()
        return record

    def _expand(self, label: bytes, length: int) -> bytes:
        label = b"tls13 " + label
        info = struct.pack("!HB", length, len(label)) + label + b"\0"
        return HKDFExpand(SHA384(), length, info).derive(self.secret)


class TlsClient:
    """A TLS client whose records are written by hand, behind a handshake of OpenSSL."""

    def __init__(self, raw: RawClient, certificate: Path, key_log: Path) -> None:
        self.raw = raw
        self._key_log = key_log
        self._content = b""  # decrypted
        context = ssl.create_default_context(cafile=str(certificate))
        context.keylog_filename = str(key_log)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    @classmethod
    async def connect(cls, port: int, certificate: Path, key_log: Path, *, narrow: bool = False) -> "TlsClient":
        return cls(RawClient(*await connected(port, narrow=narrow)), certificate, key_log)

    def hello(self) -> bytes:
        """Return the first flight."""
        self._advance()
        return self._outgoing.read()

    async def shake_hands(self) -> Sealer:
        """Finish the handshake, and return what encrypts the records that follow."""
        async with asyncio.timeout(DEADLINE):
            while not self._advance():
                self.raw.writer.write(self._outgoing.read())
                self._incoming.write(await self.raw.reader.read(16_384))
        self.raw.writer.write(self._outgoing.read())
        name, version = (self._tls.cipher() or ("", ""))[:2]
        assert (name, version) == ("TLS_AES_256_GCM_SHA384", "TLSv1.3")
        lines = [line.split() for line in self._key_log.read_text().splitlines() if not line.startswith("#")]
        (secret,) = [bytes.fromhex(last) for label, *_, last in lines if label == "CLIENT_TRAFFIC_SECRET_0"]
        return Sealer(secret)

    async def received(self, size: int) -> bytes:
        """Return the next bytes, decrypted; fewer at the end of the connection."""
        await self._receive(lambda: len(self._content) >= size)
        content, self._content = self._content[:size], self._content[size:]
        return content

    async def received_head(self) -> bytes:
        """Return what is received up to an empty line."""
        await self._receive(lambda: b"\r\n\r\n" in self._content)
        head, end, self._content = self._content.partition(b"\r\n\r\n")
        return head + end

    async def _receive(self, is_enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not is_enough():
                try:
                    self._content += self._tls.read(16_384)
                except ssl.SSLWantReadError:
                    data = await self.raw.reader.read(16_384)
                    if not data:
                        return
                    self._incoming.write(data)
                except ssl.SSLZeroReturnError:
                    return

    def _advance(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True
