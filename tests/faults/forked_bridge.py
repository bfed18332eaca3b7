"""A bridge that starts in a fraction of a second, because it is forked, and that can kill itself at a named step.

A launcher of `bridge_process.py`, for tests that start many.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys

from tests.support.bridge_process import ROOT, BridgeProcess, Launcher

LINE_BYTES = 1_000


class ForkedProcess:
    """A child of the fork server, as asyncio shows processes."""

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
            with contextlib.suppress(ProcessLookupError):  # it died, and was not reaped yet
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkLauncher(Launcher):
    """Forks `floor run` from tests/faults/crash_points.py, one at a time."""

    def __init__(self) -> None:
        self._server: asyncio.subprocess.Process | None = None
        self._crash: dict[str, object] = {"at": None, "nth": 0}

    def crash_next(self, at: str, *, nth: int) -> None:
        """Let the next bridge kill itself when it passes this one of crash_points.PLACES for the nth time."""
        self._crash = {"at": at, "nth": nth}

    async def launch(self, bridge: BridgeProcess) -> ForkedProcess:
        if self._server is None:
            self._server = await self._open(bridge)
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(self._crash).encode() + b"\n")
        self._crash = {"at": None, "nth": 0}
        child = ForkedProcess((await self._answer(bridge))["pid"])
        self._watching = asyncio.create_task(self._watch(bridge, child), name="forked-bridge")
        return child

    async def close(self) -> None:
        if self._server is not None:
            self._server.kill()  # its child dies with it
            await self._server.wait()

    @staticmethod
    async def _open(bridge: BridgeProcess) -> asyncio.subprocess.Process:
        with bridge.log_file.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.faults.crash_points", str(bridge.config)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, **bridge.environment, "PYTHONPATH": str(ROOT)},
                limit=LINE_BYTES,
            )

    async def _watch(self, bridge: BridgeProcess, child: ForkedProcess) -> None:
        child.ended((await self._answer(bridge))["ended"])

    async def _answer(self, bridge: BridgeProcess) -> dict[str, int]:
        assert self._server is not None
        assert self._server.stdout is not None
        line = await self._server.stdout.readline()
        assert line, bridge.log()
        answer: dict[str, int] = json.loads(line)
        return answer
