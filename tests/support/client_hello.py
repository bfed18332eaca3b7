"""The first record of a TLS client, whose part of the key costs it nothing: it may be sent any number of times."""

import struct
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HANDSHAKE: Final = 22
P256: Final = 0x0017


def hello_with(group: int, share: bytes) -> bytes:
    """Return the first record of a client of TLS 1.3 that knows only this group, with its part of the key."""
    shares = struct.pack("!HH", group, len(share)) + share
    extensions = b"".join(
        struct.pack("!HH", kind, len(content)) + content
        for kind, content in (
            (10, struct.pack("!HH", 2, group)),  # supported_groups
            (13, bytes.fromhex("00080403080408070806")),  # signature_algorithms
            (43, bytes.fromhex("020304")),  # supported_versions: TLS 1.3
            (51, struct.pack("!H", len(shares)) + shares),  # key_share
        )
    )
    body = b"\x03\x03" + bytes(32) + b"\0" + bytes.fromhex("00021302") + b"\x01\0"
    body += struct.pack("!H", len(extensions)) + extensions
    message = b"\x01" + len(body).to_bytes(3) + body
    return struct.pack("!BHH", HANDSHAKE, 0x0301, len(message)) + message


def p256_hello() -> bytes:
    return hello_with(P256, point_of(ec.SECP256R1()))


def point_of(curve: ec.EllipticCurve) -> bytes:
    """Return a client's part of the key on a curve."""
    public = ec.derive_private_key(2, curve).public_key()
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
