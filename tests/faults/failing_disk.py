"""A disk that fails or lingers under a running process: strace answers its system calls in the kernel's place."""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from typing import Final, NoReturn

import pytest

from tests.support.bridge_process import BridgeProcess

SYNCS: Final = "fdatasync,fsync"
WRITES: Final = "pwrite64"
ATTACH_SECONDS: Final = 10.0
LET_GO_SECONDS: Final = 2.0


@contextlib.asynccontextmanager
async def failing_disk(bridge: BridgeProcess, calls: str, how: str) -> AsyncIterator[Callable[[], bool]]:
    """Let system calls of the bridge fail, as strace's `inject` has it: `error=EIO:when=3+3`, `delay_enter=2s`.

    `calls` are names with commas. Counted for each thread. Yields whether one has failed, as a function. Where this
    machine lets nobody trace, the test fails with strace's own words.
    """
    log = bridge.config.parent / "strace.log"
    log.unlink(missing_ok=True)
    assert bridge.process is not None
    strace = shutil.which("strace")
    assert strace is not None, "no strace found: install the package `strace`"
    tracing = await asyncio.create_subprocess_exec(
        *(strace, "-f", "-p", str(bridge.process.pid), "-e", f"trace={calls}"),
        *("-e", f"inject={calls}:{how}", "-o", str(log)),
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await _attached(tracing)
        yield lambda: "(INJECTED)" in log.read_text()
    finally:
        await _let_go(tracing)
    assert "(INJECTED)" in log.read_text() or not how.startswith("error"), "nothing failed"


async def _let_go(tracing: asyncio.subprocess.Process) -> None:
    """End the tracing; the bridge continues."""
    with contextlib.suppress(ProcessLookupError):
        tracing.send_signal(signal.SIGINT)
    try:
        await asyncio.wait_for(tracing.wait(), LET_GO_SECONDS)
    except TimeoutError:  # strace 6.1 waits for ever for a thread that ends while it is delayed
        tracing.kill()
        await tracing.wait()


async def _attached(tracing: asyncio.subprocess.Process) -> None:
    assert tracing.stderr is not None
    output = b""
    async with asyncio.timeout(ATTACH_SECONDS):
        while b"attached" not in output:
            line = await tracing.stderr.readline()
            if not line:
                cannot_trace(output.decode())
            output += line


def cannot_trace(output: str) -> NoReturn:
    """Fail with strace's own words."""
    pytest.fail(
        f"strace cannot trace here, so no disk can fail (in a container: --cap-add=SYS_PTRACE): {output.strip()}"
    )
