"""Runs the commands in processes of their own, with their output and exit codes."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.brokers import free_port
from tests.support.forked_process import TERMINAL, run_floor

ROOT = Path(__file__).parents[2]
SECONDS = 60


def floor(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `floor` in a folder, to its end: forked, or as a user does where `environment` has more than settings."""
    texts = [str(argument) for argument in arguments]
    if all(name.startswith("FLOOR_") for name in environment):
        return run_floor(*texts, folder=folder, environment={**os.environ, **TERMINAL, **environment}, seconds=SECONDS)
    return floor_program(folder, *texts, **environment)


def floor_program(folder: Path, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `floor` in a folder as a user does, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bridge", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **TERMINAL, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def write_config(folder: Path, *, broker_port: int = 1, more: str = "") -> Path:
    """Write a `floor.toml` that is right but for a broker that need not be there."""
    config = folder / "floor.toml"
    config.write_text(
        f"""
plant_file = "{ROOT / "bridge" / "demo" / "plant.toml"}"
[token]
secret = "a-secret-of-the-tests-that-is-long-enough"
[broker]
port = {broker_port}
probe = "open"
[web]
port = {free_port()}
{more}"""
    )
    return config
