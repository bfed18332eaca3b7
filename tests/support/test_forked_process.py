"""A forked `floor` does what the program does, and ends with the test that has it."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.support.bridge_process import configured
from tests.support.brokers import RunningBroker, until
from tests.support.command_line import floor, floor_program, write_config
from tests.support.forked_process import fork_floor


@pytest.mark.parametrize("command", ["check --offline", "journal verify", "no-such-command"])
def test_a_forked_command_ends_as_the_program_does(tmp_path: Path, command: str) -> None:
    write_config(tmp_path)
    forked, program = floor(tmp_path, *command.split()), floor_program(tmp_path, *command.split())
    assert (forked.returncode, forked.stdout, forked.stderr) == (program.returncode, program.stdout, program.stderr)


async def test_a_signal_is_the_return_code(tmp_path: Path, mosquitto: RunningBroker) -> None:
    bridge = configured(tmp_path, mosquitto)
    await bridge.start()
    assert await bridge.stop(signal.SIGKILL) == -signal.SIGKILL


def test_a_process_that_a_test_leaves_is_killed(tmp_path: Path) -> None:
    config = write_config(tmp_path)

    async def leave() -> int:
        with (tmp_path / "log").open("wb") as log:
            process = await fork_floor(
                "run", "--config", str(config), environment=dict(os.environ), output=log.fileno()
            )
        await until(lambda: "broker.retry" in (tmp_path / "log").read_text(), what="it runs")
        return process.pid

    left = Path(f"/proc/{asyncio.run(leave())}")
    asyncio.run(until(lambda: not left.exists(), what="killed"))
