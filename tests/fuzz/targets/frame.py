"""Fuzz target: what a dashboard sends. The first byte decides.

`{`: frames of the dashboard protocol, one a line, to an admitted user. Else bytes of an open WebSocket: the first is
the size of the pieces in which the rest is read, 0 for one piece.
"""

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from bridge.domain.access.subscription_types import SubscriptionType
from bridge.domain.access.topic_layout import ACTIONS
from bridge.domain.records import Position
from bridge.protocol.client_frames import BODY_OF, CLIENT_FRAMES
from bridge.protocol.delivery_automaton import TakeTurns
from bridge.protocol.event_feed import (
    CheckResume,
    Read,
    ReadEvents,
    ReadPage,
    ReadResult,
    ReadSnapshot,
    SnapshotOffsets,
)
from bridge.protocol.server_frames import Close
from tests.http.memory_connection import check, pieces_of
from tests.http.served_sockets import masked
from tests.protocol.dashboard import Dashboard, joined
from tests.support.memory_socket import texts_of

MAX_BYTES: Final = 16_384
MAX_ANSWER_BYTES: Final = 200_000  # to one frame of at most 2,000 bytes
WORDS: Final = (
    *(f'{{"type":"{kind}",' for kind in CLIENT_FRAMES),
    *sorted(
        {f'"{name}":' for frame in (*CLIENT_FRAMES.values(), *BODY_OF.values()) for name in frame.__struct_fields__}
    ),
    *(f'"{action}"' for action in ACTIONS),
    *(f'"{kind}"' for kind in SubscriptionType),
    *(
        '"me"',
        '"all"',
        '"priority:high"',
        '"equipment:E1"',
        '"line:L1"',
        '"+/+/L1/#"',
        '{"main":{"epoch":"e","offset":',
    ),
)


def seeds() -> Iterable[bytes]:
    subscribe: dict[str, object] = {"type": "subscribe", "subscription_type": "andon", "target_id": ["L1", "line:L2"]}
    frames: list[dict[str, object]] = [
        subscribe,
        {**subscribe, "id": "a", "filters": {"event_types": ["andon_event"], "priorities": ["high"]}, "strict": True},
        {"type": "subscribe", "mqtt_filter": "+/+/L1/#", "snapshot": False},
        {"type": "explain", "subscription_type": "escalation", "target": "me"},
        {"type": "options", "batch": True, "batch_ms": 20},
        {"type": "resume", "subscriptions": [subscribe], "since": {"main": {"epoch": "e", "offset": 0}}},
        {"type": "ping", "timestamp": 1},
        {"type": "command", "id": "c1", "action": "andon.raise", "line_id": "L1", "andon_type": "material"},
        {"type": "acknowledge", "event_id": "main:e:1", "id": "x"},
        {"type": "unsubscribe", "subscription_type": "andon", "target_id": "L1"},
        {"type": "auth", "token": "t"},
    ]
    lines = [json.dumps(frame).encode() for frame in frames]
    yield from lines
    yield b"\n".join(lines)
    wire = masked(1, b"K\xc3", fin=False) + masked(9, b"p") + masked(0, b"\xa4se") + masked(2, b"\xff")
    yield b"\0" + wire + masked(8, (1000).to_bytes(2) + b"bye")
    yield b"\1" + wire + b"\x81\xfe\0\x80abcd" + b"x" * 128


def run(data: bytes) -> None:
    """Take frames or bytes: answered in bounds, or closed with a code; never an exception."""
    if data[:1] == b"{":
        _converse(data)
    elif data:
        asyncio.run(check(data[1:], pieces_of(data[1:], data[0])))


def _converse(data: bytes) -> None:
    dashboard = joined(user="eva")
    for number, line in enumerate(data.split(b"\n")):
        frame: str | bytes = line  # binary, unless it is text
        with suppress(UnicodeDecodeError):
            frame = line.decode()
        dashboard.protocol.receive(frame, elapsed=number * 100, server_time=0)
        written, closed = _drain(dashboard)
        assert written <= MAX_ANSWER_BYTES
        if closed:
            break


def _drain(dashboard: Dashboard) -> tuple[int, bool]:
    """Read all answers, with a journal that holds nothing; return their bytes, and whether the connection ends."""
    written, turns = 0, 0
    while (output := dashboard.delivery.next(0)) is not None:
        turns += 1
        assert turns < 1_000, "it comes to an end"
        if isinstance(output, Read):
            output = dashboard.delivery.read_done(_result(output)) or b""
        if isinstance(output, Close):
            return written, True
        if not isinstance(output, TakeTurns):
            written += len(output)
            for text in texts_of(output):
                parsed = json.loads(text)
                frames = parsed if isinstance(parsed, list) else [parsed]  # an array while batching is on
                assert all(isinstance(frame["type"], str) for frame in frames)
    return written, False


def _result(read: Read) -> ReadResult:
    match read:
        case ReadPage():
            return None
        case ReadSnapshot(_, at_least):
            return SnapshotOffsets(Position("main", "e", at_least), ())
        case ReadEvents():
            return ()
        case CheckResume(since):
            claim = since.get("main")
            return 0 if claim is not None and (claim.epoch, claim.offset) == ("e", 0) else None
