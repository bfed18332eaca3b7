"""Starts `floor demo` as a user would, and looks at it from outside: its output, its sockets, its processes."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.brokers import free_port, until
from tests.support.dashboard import Frame
from tests.support.socket_dashboard import dashboard

READY_SECONDS = 60.0


@dataclass
class Demo:
    process: asyncio.subprocess.Process
    folder: Path
    port: int
    output: str = ""

    async def until(self, pattern: str, *, seconds: float = READY_SECONDS) -> re.Match[str]:
        """Read the demo's output until the pattern matches all of it so far."""
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            while True:
                match = re.search(pattern, self.output, re.DOTALL)
                if match is not None:
                    return match
                line = await self.process.stdout.readline()
                assert line, f"the demo ended without {pattern!r}:\n{self.output}"
                self.output += line.decode()

    @property
    def token(self) -> str:
        match = re.search(r"^\s*token\s+(\S+)$", self.output, re.MULTILINE)
        assert match is not None, self.output
        return match.group(1)

    @property
    def bridge_pid(self) -> int:
        pids = re.findall(r"bridge(?: runs again:)?\s+pid (\d+)", self.output)
        return int(pids[-1])

    async def child(self, command: str) -> int:
        """Return the id of the demo's own process whose command line holds these words; waits until there is one."""
        pids: list[int] = []

        def look() -> bool:
            pids[:] = [pid for pid in self._children() if command in _command_line(pid)]
            return len(pids) == 1

        await until(look, what=f"a process with {command!r}")
        return pids[0]

    def _children(self) -> list[int]:
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    async def stop(self) -> int:
        """Press Ctrl-C and wait for the end."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)
        return await self.end()

    async def end(self) -> int:
        """Wait until it ends by itself; returns its exit code."""
        output, _ = await asyncio.wait_for(self.process.communicate(), 60)
        self.output += output.decode()
        return self.process.returncode or 0


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:  # it ended meanwhile
        return ""


@asynccontextmanager
async def demo(folder: Path, *options: str) -> AsyncIterator[Demo]:
    """Run `floor demo` in `folder` on free ports; killed at the end if it still runs."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "bridge", "demo"),  # as the script `floor`: nothing from `folder`
        *("--port", str(port), "--broker-port", str(free_port()), *options),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "COLUMNS": "500", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    running = Demo(process, folder, port)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def watch(port: int, proof: str, until: Callable[[Frame], bool], *, seconds: float) -> list[Frame]:
    """Subscribe to everything as a dashboard, and return all frames up to the one `until` is true for."""
    async with dashboard(port, proof) as board:
        await board.send("subscribe", id="all", subscription_type="line")
        await board.until(lambda: until(board.frames[-1]), seconds=seconds)
        return board.frames
