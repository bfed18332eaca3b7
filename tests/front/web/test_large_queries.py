"""Large snapshots and pages over HTTP: what they hold in memory while nobody reads them, and their bytes."""

import asyncio
import contextlib
import gc
import json
import socket
import tracemalloc
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from bridge.domain.steps import complete
from bridge.front.events_answer import answer_with
from bridge.http.answer_parts import PART_BYTES
from bridge.http.load import ServerLoad
from bridge.settings.web import WebSettings
from tests.http.test_large_answers import waiting_bytes
from tests.support.brokers import until
from tests.support.committed_events import event
from tests.support.front_server import call, served_front
from tests.support.tokens import bearer, token

EVENTS = 1_000
ANSWERS = 10  # at once, of one user
HELD_BYTES = 3 * PART_BYTES  # by each: two parts, the one that is being made, and what any connection takes


@contextlib.contextmanager
def unread(port: int, path: str) -> Iterator[None]:
    """Ask for this `ANSWERS` times, and read nothing."""
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token()}\r\n\r\n".encode()
    with contextlib.ExitStack() as sockets:
        for _ in range(ANSWERS):
            client = sockets.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
            client.connect(("127.0.0.1", port))
            client.sendall(head)
        yield


async def test_snapshots_that_nobody_reads_hold_little_beside_what_is_shared(tmp_path: Path) -> None:
    load = ServerLoad(WebSettings())
    description = "x" * 1_900
    async with served_front(tmp_path, send_buffer=4_096, load=load) as served:
        committed = served.commit(*(call(f"L1.call.{number}", description=description) for number in range(EVENTS)))
        whole = await served.get("/api/snapshot", bearer())
        assert whole.content.startswith(b'{"events":[' + b",".join(event.body for event in committed) + b"],")
        assert len(whole.content) > 5 * HELD_BYTES
        user, waiting = load.peers.user("eva"), waiting_bytes(load)
        tracemalloc.start()
        try:
            with unread(served.port, "/api/snapshot"):
                await until(lambda: user.requests == ANSWERS and waiting() > ANSWERS * PART_BYTES, what="they wait")
                for _ in range(50):
                    await asyncio.sleep(0)
                gc.collect()
                held, _ = tracemalloc.get_traced_memory()
            assert held < ANSWERS * HELD_BYTES
            await until(lambda: user.requests == 0, what="they have ended")
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("path", ["/api/snapshot", "/api/events?limit=1000"])
async def test_the_bytes_are_those_of_the_journal_and_their_number_is_known(tmp_path: Path, path: str) -> None:
    async with served_front(tmp_path) as served:
        for number in (0, 1, 300):
            committed = served.commit(*(call(f"L1.call.{index}", revision=number + 1) for index in range(number)))
            answer = await served.get(path, bearer())
            head = await served.head(path, bearer())
            assert answer.headers["content-length"] == head.headers["content-length"] == f"{len(answer.content)}"
            assert answer.headers["content-type"] == "application/json"
            assert (answer.headers, head.content) == (head.headers, b"")
            bodies = b",".join(event.body for event in committed)
            assert bodies + b"]," in answer.content
            data = json.loads(answer.content)
            assert [item["offset"] for item in data["events"]][-number or 1 :] == [item.offset for item in committed]


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [0],
        [0, 0],
        [200] * 1_000,
        [PART_BYTES],
        [PART_BYTES + 1, 0, PART_BYTES + 1],
        [PART_BYTES, PART_BYTES // 2, PART_BYTES // 2 - 1],
        *([PART_BYTES - less, 100, 100] for less in range(9, 16)),
        *([PART_BYTES // 2 - less] * 5 for less in range(4)),
    ],
    ids=str,
)
def test_parts_are_the_whole_and_none_is_larger_or_smaller_than_it_must_be(sizes: list[int]) -> None:
    events = [event(number, size=size) for number, size in enumerate(sizes, start=1)]
    answer = complete(answer_with(events, {"effective": ["#"]}))
    *parts, last = answer.parts()
    whole = b"".join(parts) + last
    assert whole == b'{"events":[' + b",".join(b"x" * size for size in sizes) + b'],"effective":["#"]}'
    assert answer.size == len(whole)
    parts.append(last.removesuffix(answer.end))
    assert all(len(part) <= PART_BYTES or part.count(b",") < 2 for part in parts)
    for part, later in pairwise(parts):
        first_body = f"{later.decode()},".index(",", 1)
        assert len(part) + first_body > PART_BYTES
