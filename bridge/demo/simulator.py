"""The simulated plant as the demo starts it: a command of its own, which nothing of the bridge imports."""

import asyncio
import sys
from pathlib import Path

from bridge.demo.errors import DemoError


class Simulator:
    """What is to be known of `device-sim` to run it disturbed."""

    def __init__(self, disturb: str | None, seed: int, folder: Path, broker_port: int) -> None:
        self._disturb = disturb
        self._seed = str(seed)
        self._broker = f"127.0.0.1:{broker_port}"
        self._truth_file = folder / "truth.jsonl"
        self.cuts_file = folder / "cuts.jsonl"

    @property
    def options(self) -> tuple[str, ...]:
        """Options of `device-sim run`."""
        if self._disturb is None:
            return ()
        files = ("--truth", str(self._truth_file), "--cuts", str(self.cuts_file))
        return ("--disturb", self._disturb, *files)

    async def require_profile(self) -> None:
        """Raise `DemoError` where the profile cannot be used."""
        if self._disturb is not None:
            self.cuts_file.write_text("")
            await self._device_sim("disturbances", self._disturb, "--hours", "0.01")

    async def leave_leftovers(self) -> None:
        """Retain on the broker what the profile says is left there, before the bridge subscribes."""
        if self._disturb is not None:
            await self._device_sim("leave", "--disturb", self._disturb, "--seed", self._seed, "--broker", self._broker)

    async def _device_sim(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "device_sim", *arguments),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()
        if process.returncode:
            raise DemoError(errors.decode().strip())
