"""A served front in a separate process, so that its memory, descriptors and processor time can be measured.

Reads one JSON command per line on stdin, answers each with a line.
"""

import asyncio
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.adapters import logs
from bridge.domain.events import Event
from bridge.ports.journal import Batch, JournalUnavailable
from bridge.settings.web import WebSettings
from bridge.wiring import runtime
from tests.support.front_server import ServedFront, call, served_front, status
from tests.support.journal_samples import follow

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass
class FrontProcess:
    """The parent's end: `port` serves, `ask` has something done."""

    process: asyncio.subprocess.Process
    port: int = 0

    async def started(self) -> None:
        self.port = await self._answer()

    async def ask(self, do: str, **options: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **options}).encode() + b"\n")
        return await self._answer()

    async def commit(self, count: int, *, lines: int = 1, pause_ms: float = 0.0) -> list[tuple[int, int]]:
        """Commit and offer `count` events, a call and a state on each line in turn; returns (offset, when in ns)."""
        committed: list[tuple[int, int]] = await self.ask("commit", count=count, lines=lines, pause_ms=pause_ms)
        return committed

    async def statistics(self) -> dict[str, Any]:
        statistics: dict[str, Any] = await self.ask("statistics")
        return statistics

    @property
    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE_BYTES

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def allow_descriptors(self, more: int) -> None:
        """Let it open so many more files and sockets than it has now, and not one beyond."""
        limit = len(list(Path(f"/proc/{self.process.pid}/fd").iterdir())) + more
        resource.prlimit(
            self.process.pid, resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        )

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)
        assert line, "the front's process is gone"
        return json.loads(line)


@asynccontextmanager
async def front_process(
    folder: Path, *, port: int = 0, send_buffer: int = 0, **settings: Any
) -> AsyncIterator[FrontProcess]:
    """Serve the journal of this folder until the end of the block, as `served_front` does."""
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "tests.support.front_process",
            str(folder),
            str(port),
            str(send_buffer),
            json.dumps(settings),
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        limit=16 * 1024 * 1024,
    )
    front = FrontProcess(process)
    try:
        await front.started()
        yield front
    finally:
        await front.kill()


def _event(number: int, lines: int) -> Event:
    """Return an event of one of a fixed number of subjects, so that the current state does not grow."""
    name = f"L{number // 2 % lines + 1}"
    if number % 2:
        return status(name, product=f"P{number}", revision=number)
    return call(f"{name}.call.1", line=name, description=f"film torn for the {number}th time", revision=number)


async def _commit(served: ServedFront, *, count: int, lines: int, pause_ms: float) -> list[tuple[int, int]]:
    """As the pipeline does: the commit on a thread, the offer on the loop. Without a pause, many at a time."""
    done = []
    due = time.monotonic()
    began = served.front.position.offset
    step = 1 if pause_ms else 50
    for start in range(began, began + count, step):
        numbers = range(start, min(start + step, began + count))
        batch = await _next_batch(served, [_event(number, lines) for number in numbers])
        await asyncio.to_thread(served.journal.commit, batch)
        done += [(number + 1, time.monotonic_ns()) for number in numbers]
        served.front.on_committed(batch.entries)
        due += pause_ms / 1_000
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    return done


async def _next_batch(served: ServedFront, events: list[Event]) -> Batch:
    while True:
        try:
            return follow(served.journal, events)
        except JournalUnavailable:  # no descriptor is left to read it by: as the pipeline does, wait
            await asyncio.sleep(0.01)


async def _obey(served: ServedFront) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _tell(served.port)
    while line := await reader.readline():
        match json.loads(line):
            case {"do": "commit", "count": count, "lines": lines, "pause_ms": pause_ms}:
                _tell(await _commit(served, count=count, lines=lines, pause_ms=pause_ms))
            case {"do": "statistics"}:
                _tell(served.front.statistics())
            case unknown:
                raise AssertionError(unknown)


def _tell(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def _main(folder: str, port: str, send_buffer: str, settings: str) -> None:
    logs.configure(level="critical", log_format="console")
    web = WebSettings(**json.loads(settings))
    async with served_front(Path(folder), web, port=int(port), send_buffer=int(send_buffer)) as served:
        await _obey(served)


if __name__ == "__main__":
    runtime.run(_main(*sys.argv[1:]))
