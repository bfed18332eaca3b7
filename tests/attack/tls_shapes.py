"""Shapes of attacks on TLS, by strangers, against a bridge with HTTPS."""

from typing import Final

from tests.attack.budgets import ADDRESS_WORK, NO_TLS
from tests.attack.shape import Attack, Shape
from tests.support.client_hello import hello_with, p256_hello

TLS: Final = "C20"
SERVER_HELLO: Final = b"\x16\x03\x03"
ALERT: Final = b"\x15\x03\x03\x00\x02\x02\x28"  # RFC 8446 6.2: handshake_failure


def tls_shapes() -> tuple[Shape, ...]:
    """Return the shapes against any front with TLS."""
    return (
        Shape(number=32, name="S: TLS handshakes, given up after the expensive part", threat=TLS, tls=True,
              budget=NO_TLS, attacks=(
            Attack(connections=150, sources=50, records=[(p256_hello() + ALERT, b"")], answer=SERVER_HELLO),
            Attack(connections=50, sources=50, records=[(_largest_group(), b"")], answer=ALERT),
        )),
        Shape(number=33, name="S: TLS key updates", threat=TLS, tls=True, budget=ADDRESS_WORK, attacks=(
            Attack(connections=4, records=[], answer=b"", key_updates=True),
        )),
    )  # fmt: skip


def _largest_group() -> bytes:
    """Return a ClientHello for ffdhe8192, with which a handshake would cost a server 150 ms."""
    return hello_with(0x0104, bytes(1_023) + b"\x04")
