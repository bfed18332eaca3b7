"""A bridge that starts in a fraction of a second, because it is forked, and dies where it is told to."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.support.bridge_process import ROOT, RunningFloor

BEGIN_SECONDS = 30.0
LINE_BYTES = 1_000


class ForkedProcess:
    """A child of the forking process, as asyncio shows processes."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    def ended(self, code: int) -> None:
        self.returncode = code
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it died, and we have not heard of it yet
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@dataclass
class ForkedFloor(RunningFloor):
    """`floor run` as tests/faults/crash_points.py forks it."""

    nursery: asyncio.subprocess.Process | None = None

    async def open_nursery(self) -> None:
        with (self.config.parent / "bridge.log").open("ab") as log:
            self.nursery = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.faults.crash_points", str(self.config)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},
                limit=LINE_BYTES,
            )

    async def launch(self) -> None:
        await self.launch_to_die(None, 0)

    async def launch_to_die(self, at: str | None, nth: int) -> None:
        """Start a bridge that kills itself at the n-th passing of a place of failing_floor.PLACES."""
        assert self.nursery is not None
        assert self.nursery.stdin is not None
        self.nursery.stdin.write(json.dumps({"at": at, "nth": nth}).encode() + b"\n")
        self.process = child = ForkedProcess((await self._answer())["pid"])
        self._watching = asyncio.create_task(self._watch(child), name="forked-floor")

    async def _watch(self, child: ForkedProcess) -> None:
        child.ended((await self._answer())["ended"])

    async def _answer(self) -> dict[str, int]:
        assert self.nursery is not None
        assert self.nursery.stdout is not None
        line = await self.nursery.stdout.readline()
        assert line, self.log()
        answer: dict[str, int] = json.loads(line)
        return answer


@contextlib.asynccontextmanager
async def nursery(floor: ForkedFloor) -> AsyncIterator[None]:
    await floor.open_nursery()
    assert floor.nursery is not None
    try:
        yield
    finally:
        floor.nursery.kill()  # its child dies with it
        await floor.nursery.wait()
