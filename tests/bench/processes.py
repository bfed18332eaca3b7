"""Processes of a benchmark: the compiled reader and publisher, the servers, and what each takes of a processor."""

import asyncio
import contextlib
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.support.command_line import ROOT

PROGRAMS: Final = Path(__file__).parent / "programs"
PATIENCE: Final = 120.0
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class NoCompiler(Exception):
    """There is no C compiler to build the benchmark's reader and publisher with."""

    def __init__(self) -> None:
        super().__init__("no `cc` found: install your distribution's package `gcc` or `clang`")


def compile_program(name: str, folder: Path, *, programs: Path = PROGRAMS) -> Path:
    """Compile `{name}.c` of `programs` into this folder, unless that was done; raise NoCompiler."""
    program = folder / name
    if not program.exists():
        compiler = shutil.which("cc")
        if compiler is None:
            raise NoCompiler
        subprocess.run([compiler, "-O2", "-Wall", "-Werror", "-o", program, programs / f"{name}.c"], check=True)
    return program


def write_records(path: Path, records: Iterable[bytes]) -> Path:
    """Write records as the programs read them: each with its size before it."""
    path.write_bytes(b"".join(struct.pack("!I", len(record)) + record for record in records))
    return path


def cpu_seconds(pid: int) -> float:
    """Return the processor time of all threads of a process, user and system, to the nanosecond.

    /proc/{pid}/stat has the same sum in ticks of 10 ms.
    """
    return time.clock_gettime(~pid << 3 | 2)  # clock_getcpuclockid(3)


def waiting_seconds(pid: int) -> float:
    """Return for how long the main thread of a process was able to run and had no processor."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def open_descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes took, each by its part; `cores` and `waited` are parts of the time."""

    seconds: float
    cores: Mapping[str, float]
    waited: Mapping[str, float]


class Meter:
    """Measures what processes take from its creation on."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._began = time.monotonic()
        self._cpu, self._waited = self._counters()

    def read(self) -> Usage:
        seconds = time.monotonic() - self._began
        cpu, waited = self._counters()
        return Usage(
            seconds,
            {part: (cpu[part] - self._cpu[part]) / seconds for part in cpu},
            {part: (waited[part] - self._waited[part]) / seconds for part in waited},
        )

    def _counters(self) -> tuple[Mapping[str, float], Mapping[str, float]]:
        pids = self._pids.items()
        return {part: cpu_seconds(pid) for part, pid in pids}, {part: waiting_seconds(pid) for part, pid in pids}


class Handshake(NamedTuple):
    """What a dashboard sends, and what it receives when it is ready; empty: when it is accepted."""

    upgrade: bytes
    frames: bytes = b""
    awaited: bytes = b""


@dataclass(frozen=True, slots=True)
class Talking:
    """A process that reads commands on stdin, and answers each with a line of JSON."""

    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command.encode() + b"\n")

    async def answer(self) -> Any:
        """Return the next answer."""
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), PATIENCE)
        assert line, f"the process ended with {await self.process.wait()}"
        return json.loads(line)

    async def ask(self, command: str) -> Any:
        self.tell(command)
        return await self.answer()


@contextlib.asynccontextmanager
async def talking(*command: str | Path) -> AsyncIterator[Talking]:
    """Run a process until the end of the block, and kill it then."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, limit=1 << 20
    )
    try:
        yield Talking(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Server:
    """A server under measurement, which feeds itself or is fed by a publisher."""

    name: str
    pid: int
    port: int
    talking: Talking | None = None
    mqtt_port: int = 0

    async def statistics(self) -> Any:
        assert self.talking is not None
        return await self.talking.ask('{"do": "statistics"}')


@contextlib.asynccontextmanager
async def python_server(name: str, *arguments: str) -> AsyncIterator[Server]:
    """Run a module of tests/bench/servers."""
    async with talking(sys.executable, "-m", f"tests.bench.servers.{name}", *arguments) as process:
        yield Server(name, process.pid, await process.answer(), process)


@contextlib.asynccontextmanager
async def running_reader(
    folder: Path,
    port: int,
    dashboards: Sequence[Handshake],
    *,
    opening: int = 100,
    sampled: int = 10,
    stalled: int = 0,
    counted: str | None = None,
) -> AsyncIterator[Talking]:
    """Run the compiled reader, with `opening` connections at most that are not ready yet.

    `counted`: the text that is an event each time; None: each stamp is one.
    """
    records = write_records(folder / "dashboards", (part for dashboard in dashboards for part in dashboard))
    program = compile_program("reader", folder)
    numbers = map(str, (opening, sampled, stalled))
    async with talking(program, str(port), records, *numbers, *([counted] if counted else [])) as reader:
        yield reader


async def all_ready(reader: Talking, count: int, *, seconds: float = 60.0) -> dict[str, Any]:
    """Wait until all connections are ready; return the reader's counts."""
    deadline = time.monotonic() + seconds
    while True:
        counts: dict[str, Any] = await reader.ask("print")
        if counts["ready"] == count:
            return counts
        assert not counts["closed"], counts
        assert time.monotonic() < deadline, counts
        await asyncio.sleep(0.05)
