"""Shapes of attacks on HTTP, by strangers and by the user of one line."""

from collections.abc import Sequence
from typing import Final

from tests.attack.budgets import (
    ADDRESS_WORK,
    BODY_TOO_LARGE,
    EVICTED,
    HEAD_LATE,
    NOT_ADMITTED,
    TOO_MANY_REQUESTS,
    USER_WORK,
)
from tests.attack.shape import LINE, Attack, Shape, costly_bodies, flood, users_token
from tests.attack.websocket_shapes import UNREAD, silent_sockets
from tests.support.bytes_dashboard import CLOSE, UPGRADE, encoded, masked
from tests.support.tokens import token

LIVE: Final = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n"
EXPLAINED: Final = {"subscription_type": "line", "target_id": LINE}
HISTORY: Final = f"/api/events?filter=%2B/%2B/{LINE}/%2B/changeover/%23&limit=1000"  # there are none
CLOSING: Final = b"Connection: close\r\n\r\n"
OK: Final = b"HTTP/1.1 200"
FEW_DESCRIPTORS: Final = 1_200  # of the bridge: fewer than the attackers' connections
SLOW: Final = "C8"
FLOOD: Final = "C9"
GUESSING: Final = "C10"
DESCRIPTORS: Final = "C11"
REQUESTS: Final = "C14"


def http_shapes() -> tuple[Shape, ...]:
    """Return the shapes against any front."""
    return (
        Shape(number=21, name="S: slow heads", threat=SLOW, budget=HEAD_LATE, seconds=12, attacks=(_slow_heads(),)),
        Shape(number=22, name="U: slow bodies", threat=SLOW, budget=TOO_MANY_REQUESTS, attacks=(
            _slow(_command(b"Content-Length: 60000"), answer=b""),
        )),
        Shape(number=23, name="S: a body that never comes, with 1,200 descriptors", threat=SLOW,
              budget=EVICTED, attacks=(
            Attack(
                connections=2_000, records=[(LIVE + b"Content-Length: 1000000\r\n\r\n", bytes(1_000))], answer=OK,
                opens_per_second=2_000, bytes_per_second=200, piece=1,
            ),
        ), descriptors=FEW_DESCRIPTORS),
        Shape(number=24, name="S: 10,000 silent connections, others come and go", threat=FLOOD,
              budget=EVICTED, attacks=_comers(1)),
        Shape(number=25, name="S: the same from 4,000 addresses", threat=FLOOD, budget=EVICTED, attacks=_comers(4_000)),
        Shape(number=26, name="S: pipelined requests", threat=FLOOD, budget=ADDRESS_WORK, attacks=(
            Attack(connections=20, records=[(b"", flood(LIVE + b"\r\n"))], answer=OK),
        )),
        Shape(number=27, name="U: one-byte chunks, and 100 tiny headers", threat=FLOOD, budget=BODY_TOO_LARGE, attacks=(
            Attack(
                connections=4, answer=b"",
                records=[(_command(b"Transfer-Encoding: chunked"), flood(b"1\r\nx\r\n"))],
            ),
            Attack(connections=4, records=[(_many_headers(), b"")], answer=OK),
        )),
        Shape(number=28, name="U: history that selects nothing, and snapshots, unread", threat=UNREAD,
              budget=TOO_MANY_REQUESTS, attacks=(
            Attack(connections=10, answer=OK, records=[(_get(HISTORY, users_token()) + CLOSING, b"")]),
            Attack(connections=50, answer=OK, reads=False, records=[(_get("/api/snapshot", token()) + b"\r\n", b"")]),
        )),
        Shape(number=29, name="S: guessed tokens in requests, handshakes and frames", threat=GUESSING,
              budget=NOT_ADMITTED, attacks=(
            *(
                Attack(connections=10, sources=3, records=[records], answer=answer) for records, answer in _guesses()
            ),
        )),
        Shape(number=30, name="S: slow heads, silent sockets, with 1,200 descriptors", threat=DESCRIPTORS,
              budget=EVICTED, attacks=(
            _slow_heads(), silent_sockets(),
        ), descriptors=FEW_DESCRIPTORS),
        Shape(number=31, name="U: expensive JSON in bodies", threat=REQUESTS, budget=USER_WORK, attacks=(
            *(Attack(connections=5, records=[(b"", _explain(body))], answer=OK) for body in costly_bodies(EXPLAINED)),
        )),
    )  # fmt: skip


def _slow_heads() -> Attack:
    return _slow(LIVE + b"X-Slow: ", answer=b"")


def _slow(opening: bytes, *, answer: bytes) -> Attack:
    """Return 2,000 connections of which each sends a byte a second."""
    return Attack(
        connections=2_000, records=[(opening, b"x" * 1_000)], answer=answer,
        opens_per_second=2_000, bytes_per_second=2_000, piece=1,
    )  # fmt: skip


def _comers(sources: int) -> tuple[Attack, ...]:
    silent = Attack(connections=10_000, sources=sources, records=[(b"", b"")], answer=b"", opens_per_second=10_000)
    return silent, Attack(connections=200, sources=sources, records=[(b"", b"")], answer=b"", leaves=True)


def _many_headers() -> bytes:
    headers = b"".join(b"X%d:\r\n" % number for number in range(100))
    return LIVE + headers + CLOSING


def _get(path: str, proof: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {proof}\r\n".encode()


def _command(body: bytes) -> bytes:
    """Return the head of a command whose body this header announces."""
    head = f"POST /api/commands HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {users_token()}\r\n"
    return head.encode() + b"Content-Type: application/json\r\n" + body + b"\r\n\r\n"


def _explain(body: bytes) -> bytes:
    """Return a request that is answered with 200, whatever else is in its body."""
    head = f"POST /api/explain HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {users_token()}\r\n"
    length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + length).encode() + body


def _guesses() -> Sequence[tuple[tuple[bytes, bytes], bytes]]:
    """Return a request, a handshake and a frame with a token of another issuer's key, each with the answer.

    The close frames of the client end the connection at once.
    """
    guess = f"{users_token().rpartition('.')[0]}.{'A' * 43}"
    request = _get("/api/snapshot", guess) + CLOSING
    handshake = UPGRADE.replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {guess}\r\n\r\n".encode())
    close = masked(b"", CLOSE)
    frame = UPGRADE + encoded({"type": "auth", "token": guess})
    return (
        ((request, b""), b" 401 "),
        ((handshake, close), b"token invalid"),
        ((frame, close), b"token invalid"),
    )
