"""The demo's calls of `device-sim`, the simulated plant: a separate command that the bridge never imports."""

import asyncio
from pathlib import Path
from typing import Final

from bridge.demo.child import RUN_MODULE
from bridge.demo.errors import DemoError

PLAYED_CUTS: Final = {"bridge-cut": "the bridge", "broker-cut": "the broker"}
"""Kinds of disturbances that the demo plays itself, and the part that each one affects."""


class SimulatorCommands:
    """Options and calls of `device-sim` for a run with a profile of disturbances."""

    def __init__(self, disturb: str | None, seed: int, folder: Path, broker_port: int) -> None:
        self._disturb = disturb
        self._seed = str(seed)
        self._broker = f"127.0.0.1:{broker_port}"
        self._truth_file = folder / "truth.jsonl"
        self.cuts_file = folder / "cuts.jsonl"
        self._kinds: frozenset[str] = frozenset()  # of the profile's disturbances

    @property
    def run_options(self) -> tuple[str, ...]:
        """Return the profile's options for `device-sim run`."""
        if self._disturb is None:
            return ()
        files = ("--truth", str(self._truth_file), "--cuts", str(self.cuts_file))
        return ("--disturb", self._disturb, *files)

    async def prepare(self) -> None:
        """Delete the cuts of an earlier run and read the profile; raise `DemoError` for a bad profile."""
        self.cuts_file.unlink(missing_ok=True)
        if self._disturb is not None:
            self._kinds = frozenset((await self._run_device_sim("disturbances", self._disturb, "--kinds")).split())

    def describe_profile(self) -> str | None:
        """Return which disturbances of the profile the demo plays and which it does not; None without a profile."""
        if self._disturb is None:
            return None
        parts = " and ".join(name for kind, name in PLAYED_CUTS.items() if kind in self._kinds)
        facts = [f"{self._disturb}: " + (f"cuts of {parts}" if parts else "no cuts of bridge or broker")]
        if "bridge-link-loss" in self._kinds:
            facts.append("without its losses of the bridge's network, which the demo does not play")
        return "; ".join([*facts, f"true course of events: {self._truth_file}"])

    async def publish_leftovers(self) -> None:
        """Publish the profile's leftover retained messages, before the bridge subscribes."""
        if self._disturb is not None:
            await self._run_device_sim(
                "leave", "--disturb", self._disturb, "--seed", self._seed, "--broker", self._broker
            )

    async def _run_device_sim(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(*RUN_MODULE, "device_sim", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        if process.returncode:
            raise DemoError(errors.decode().strip())
        return output.decode()
