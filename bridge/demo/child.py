"""A child process of the demo, which ends with the demo."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bridge.demo.embedded_broker import parent_death_prefix

STOP_SECONDS: Final = 12.0  # the bridge drains within 10
RUN_MODULE: Final = (sys.executable, "-P", "-m")  # -P: not a folder of that name where the demo was started


class ChildProcess:
    """A process that logs to a file. `environment` is called at each start for additional environment variables."""

    def __init__(
        self, name: str, folder: Path, *command: str, environment: Callable[[], dict[str, str]] = dict
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = command
        self._environment = environment
        self._process: asyncio.subprocess.Process | None = None
        self._log_begin = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._log_begin = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *parent_death_prefix(),
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment()},
                start_new_session=True,  # the demo stops its processes in order at Ctrl-C
            )

    async def wait(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    def kill(self) -> None:
        """Kill the process, like a power cut."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def last_lines(self, count: int = 8) -> str:
        """Return the last log lines since the latest start: those of an earlier run would mislead."""
        with self.log.open("rb") as log:
            log.seek(self._log_begin)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-count:])
