"""Inputs of strangers and of users: HTTP requests, heads, tokens, frames and bytes of a WebSocket, chosen by chance."""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, Final

from tests.http.client_frames import MASK, close, frame
from tests.support.http_requests import COMMANDS, ODD_VALUES, SUBSCRIBE, WORDS, Document, random_request
from tests.support.raw_http import SECONDS, Answer, answer_of, exchange
from tests.support.tokens import token

Tokens = Sequence[str | None]

UPGRADE: Final = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
FRAMES: Final[Sequence[Mapping[str, Any]]] = (
    {"type": "auth", "token": "a.b.c"},
    {"type": "subscribe", **SUBSCRIBE},
    {"type": "unsubscribe", "id": "s"},
    {"type": "resume", "subscriptions": [SUBSCRIBE] * 3, "since": {"main": {"epoch": "e", "offset": 0}}},
    {"type": "options", "batch": True, "batch_ms": 20},
    {"type": "ping", "timestamp": 1},
    {"type": "acknowledge", "event_id": "main:e:1", "id": "a"},
    {"type": "explain", **SUBSCRIBE},
    *({"type": "command", **command} for command in COMMANDS),
)
HEADS: Final = (
    b"\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"GET  /  HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET / HTTP/1.1\nHost: localhost\n\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"CONNECT example.com:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /api/commands HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    b"POST /api/commands HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    b"POST /api/events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"POST /api/commands HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n\r\n",
    b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 3_000 + b"\r\n",
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nConnection: close\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    b"GET /%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
)
HEADERS: Final = (
    b"Origin: null\r\n",
    b"Origin: http://evil.example\r\n",
    b"Origin: \xff\r\n",
    b"Sec-WebSocket-Protocol: bearer.,a b\r\n",
    b"Sec-WebSocket-Protocol: floor.v1, bearer.a.b.c\r\n",
    b"Sec-WebSocket-Version: 12\r\n",
    b"Sec-WebSocket-Key: x\r\n",
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=99\r\n",
    b"X-Forwarded-For: 1.2.3.4\r\n",
    b"Authorization: Bearer \r\n",
    b"Authorization: Basic eA==\r\n",
    b"Authorization: Bearer \xff\r\n",
    b"Cookie: " + b"a" * 4_000 + b"\r\n",
)

CLAIMS: Final = ("sub", "exp", "nbf", "iat", "aud", "iss", "roles", "lines", "grants", "typ", "jti", "events")


async def send_http(port: int, document: Document, tokens: Tokens, chance: Random) -> Answer:
    return await exchange(port, random_request(document, tokens, chance).encode())


async def send_head(port: int, _: Document, __: Tokens, chance: Random) -> Answer:
    """Send a head that is none, or one of a WebSocket with something wrong; half of them damaged."""
    upgrade = UPGRADE + b"".join(chance.sample(HEADERS, chance.randint(1, 3))) + b"\r\n"
    head = chance.choice((chance.choice(HEADS), upgrade))
    return await converse(port, _damaged(head, chance) if chance.random() < 0.5 else head, b"")


async def send_token(port: int, _: Document, __: Tokens, chance: Random) -> Answer:
    """Use a token that is not accepted, or grants little, for a query or a handshake."""
    claims = chance.choice(
        ("sub", "exp", "nbf", "iat", "aud", "iss", "roles", "lines", "grants", "typ", "jti", "events")
    )
    try:
        forged = token(**{claims: chance.choice((*ODD_VALUES[:-1], 253_402_300_799, -1.5))})
    except (TypeError, ValueError):
        forged = "a.b.c"
    match chance.randrange(4):
        case 0:
            header = base64.urlsafe_b64encode(
                json.dumps({"alg": chance.choice(("none", "HS512", "ES256", 7))}).encode()
            )
            forged = f"{header.decode().rstrip('=')}.{forged.partition('.')[2]}"
        case 1:
            forged = _damaged(forged.encode(), chance).decode("latin-1").replace("\r", "").replace("\n", "")
        case 2:
            forged = chance.choice((".", "..", "a.b", "a.b.c.d", "x" * 9_000, "é.b.c"))
        case _:
            pass
    bearer = b"Authorization: Bearer " + forged.encode("latin-1", "replace") + b"\r\n"
    if chance.random() < 0.5:
        return await converse(port, UPGRADE + bearer + b"\r\n", frame(1, b'{"type": "ping"}'))
    return await exchange(
        port, b"GET /api/snapshot HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + bearer + b"\r\n"
    )


async def send_frames(port: int, _: Document, tokens: Tokens, chance: Random) -> Answer:
    """Send some frames of the dashboard protocol, good, odd and broken, as somebody or nobody."""
    sent = b"".join(frame(chance.choice((1, 1, 1, 2)), _text(chance)) for _ in range(chance.randint(1, 6)))
    return await converse(port, _handshake(tokens, chance), sent + close(chance.choice((1000, 1001, 4000))))


async def send_bytes(port: int, _: Document, tokens: Tokens, chance: Random) -> Answer:
    """Send bytes that may be frames on an open WebSocket."""
    frames = b"".join(
        frame(chance.randrange(16), chance.randbytes(chance.choice((0, 1, 125, 126, 3_000))), fin=chance.random() < 0.7,
              reserved=chance.choice((0, 0, 0, 4)), mask=chance.choice((MASK, MASK, MASK, None)))
        for _ in range(chance.randint(1, 8))
    )  # fmt: skip
    sent = chance.choice((frames, _damaged(frames, chance), chance.randbytes(200), b"\x82\xff" + b"\xff" * 12))
    return await converse(port, _handshake(tokens, chance), sent)


Send = Callable[[int, Document, Tokens, Random], Any]
KINDS: Final[Mapping[Send, int]] = {send_http: 20, send_frames: 12, send_bytes: 8, send_head: 5, send_token: 5}
"""How to send an input of each kind -> its share."""


async def converse(port: int, head: bytes, behind: bytes) -> Answer:
    """Send a head, and what follows it where it opens a WebSocket; then end our side, and read to the end."""
    received = b""
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head)
            if head.startswith(b"GET /ws ") and head.endswith(b"\r\n\r\n"):
                received = await reader.readuntil(b"\r\n\r\n")
                writer.write(behind)
            writer.write_eof()
            while piece := await reader.read(65_536):
                received += piece
        except (OSError, asyncio.IncompleteReadError):
            pass  # the server has ended it
        finally:
            writer.transport.abort()
    return answer_of(received)


def _handshake(tokens: Tokens, chance: Random) -> bytes:
    bearer = chance.choice(tokens)
    return UPGRADE + (b"" if bearer is None else f"Authorization: Bearer {bearer}\r\n".encode()) + b"\r\n"


def _text(chance: Random) -> bytes:
    tree = dict(chance.choice(FRAMES))
    for _ in range(chance.choice((0, 1, 1, 3))):
        tree[chance.choice([*tree, "x"])] = chance.choice((*ODD_VALUES, chance.choice(WORDS)))
    encoded = json.dumps(tree).encode()
    match chance.randrange(12):
        case 0:
            return _damaged(encoded, chance)
        case 1:
            return chance.choice((b"", b"[]", b"null", b"[" * 5_000, b"{" * 20, b"\xff", b'{"type":"ping"}' * 2))
        case 2:
            return encoded[:-1] + b',"type":"auth"}'
        case _:
            return encoded


def _damaged(data: bytes, chance: Random) -> bytes:
    """Return the data with a byte changed, a piece left out, or its end cut off."""
    if not data:
        return b"\x00"
    at, count = chance.randrange(len(data)), chance.randint(1, 8)
    return chance.choice((
        data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :], data[:at] + data[at + count :], data[:at],
    ))  # fmt: skip
