"""Processes of `floor` that a fork server makes, of which each process that runs tests has one."""

import asyncio
import atexit
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINE_BYTES = 1_000
TERMINAL = {"COLUMNS": "200", "NO_COLOR": "1"}  # rich reads them when it is imported


class ForkedProcess:
    """A process of the fork server, as asyncio shows its own."""

    def __init__(self, pid: int, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._watching = asyncio.create_task(self._watch(answers, writer), name="forked-process")

    async def wait(self) -> int:
        await asyncio.shield(self._watching)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it died, and was not reaped yet
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    async def _watch(self, answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.returncode = (await _answer(answers))["ended"]
        finally:
            writer.close()


async def fork_floor(
    *arguments: str, environment: Mapping[str, str], output: int, first: Sequence[object] = ()
) -> ForkedProcess:
    """Run `floor` with its output to a descriptor; `first` is the module, function and arguments of a call before."""
    ours = _request(Path.cwd(), arguments, environment, output=output, errors=output, first=first)
    answers, writer = await asyncio.open_connection(sock=ours, limit=LINE_BYTES)
    return ForkedProcess((await _answer(answers))["pid"], answers, writer)


def run_floor(
    *arguments: str, folder: Path, environment: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run `floor` in a folder, to its end; raise TimeoutError after so many seconds."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        ours = _request(folder, arguments, environment, output=output.fileno(), errors=errors.fileno())
        ours.settimeout(seconds)
        with ours, ours.makefile() as answers:
            _, ended = (json.loads(line) for line in answers)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(["floor", *arguments], ended["ended"], *texts)


def _request(
    folder: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    output: int,
    errors: int,
    first: Sequence[object] = (),
) -> socket.socket:
    """Return where the answers come."""
    request = {"arguments": arguments, "folder": str(folder), "environment": dict(environment), "first": first}
    ours, theirs = socket.socketpair()
    with theirs:
        socket.send_fds(_server(), [json.dumps(request).encode()], [theirs.fileno(), output, errors])
    return ours


@functools.cache
def _server() -> socket.socket:
    """Start the fork server of this process; return where it takes requests."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fork_server"],
            stdin=theirs.fileno(),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **TERMINAL},
        )

    def end() -> None:
        ours.close()
        server.wait()

    atexit.register(end)
    return ours


async def _answer(answers: asyncio.StreamReader) -> dict[str, int]:
    line = await answers.readline()
    assert line, "the fork server is gone"
    answer: dict[str, int] = json.loads(line)
    return answer
