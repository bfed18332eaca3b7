"""Commands to a server under measurement: it reads one JSON object per line on stdin, and answers each with a line.

The server feeds itself, so the only thing that its process does beside serving is to wait for the next batch.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from tests.bench.load import Load, StampedBatch, feed, stamped_batches

T = TypeVar("T")

Prepare = Callable[[Sequence[StampedBatch]], Sequence[tuple[int, T]]]
"""Makes of the batches what is sent, and when: done before the measurement begins."""


async def obey(
    port: int, prepare: Prepare[T], send: Callable[[T], Awaitable[None]], statistics: Callable[[], Any] = lambda: None
) -> None:
    """Tell the port, then feed and answer until the end of stdin."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    answer(port)
    offset = 1
    while line := await reader.readline():
        match json.loads(line):
            case {"do": "feed", "start": start, "load": load}:
                batches = list(stamped_batches(Load(**load), start=start, first_offset=offset))
                work = prepare(batches)
                gc.collect()
                gc.freeze()  # what was prepared is no garbage, and no collection need look through it
                in_time = time.monotonic_ns() < start
                answer({"in_time": in_time})
                if in_time:
                    offset += sum(len(batch.events) for batch in batches)
                    answer({"late_ms": await feed(work, send)})
            case {"do": "statistics"}:
                answer(statistics())
            case unknown:
                raise AssertionError(unknown)


def answer(content: object) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()
