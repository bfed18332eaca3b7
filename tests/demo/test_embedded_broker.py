"""The demo's own broker, both kinds: ready when entered, gone when left, its data kept."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import pytest

from bridge.demo.embedded_broker import BrokerDied, BrokerKind, BrokerPortInUse, EmbeddedBroker, find_broker
from bridge.mqtt.link import BrokerLink
from bridge.settings.broker import BrokerSettings
from tests.support.brokers import find_mosquitto, find_nats, free_port, linked, until

PROGRAM = {"mosquitto": find_mosquitto, "nats-server": find_nats}

DEMO = """\
import asyncio, pathlib, sys
from bridge.demo.embedded_broker import EmbeddedBroker

async def main():
    kind, program, folder, port = sys.argv[1:]
    start = (kind, pathlib.Path(program))
    async with EmbeddedBroker(folder=pathlib.Path(folder), port=int(port), broker=start) as broker:
        print('pid', broker.pid, flush=True)
        await broker.wait_exited()

asyncio.run(main())
"""


@pytest.fixture(params=["mosquitto", "nats-server"])
def program(request: pytest.FixtureRequest) -> tuple[BrokerKind, Path]:
    kind: BrokerKind = request.param
    return kind, PROGRAM[kind]()


def device(port: int) -> BrokerLink:
    return BrokerLink(BrokerSettings(port=port), client_id="one", durable=True, subscriptions=[("a/#", 1)])


def alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


async def test_a_second_start_finds_sessions_and_messages_again(
    tmp_path: Path, program: tuple[BrokerKind, Path]
) -> None:
    port = free_port()
    async with EmbeddedBroker(folder=tmp_path, port=port, broker=program) as broker:
        assert (broker.kind, broker.host, broker.port) == (program[0], "127.0.0.1", port)
        async with linked(device(port)):
            pass
        async with linked(BrokerLink(BrokerSettings(port=port), client_id="two", durable=False)) as sender:
            await sender.publish("a/b", b"kept")
        pid = broker.pid
    assert not alive(pid)
    async with EmbeddedBroker(folder=tmp_path, port=port, broker=program), linked(device(port)) as link:
        (message,) = await link.receive(most=10)
        assert link.status.session_present
        assert message.payload == b"kept"


async def test_a_taken_port_is_named(tmp_path: Path, program: tuple[BrokerKind, Path]) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(BrokerPortInUse, match=str(port)):
            await EmbeddedBroker(folder=tmp_path, port=port, broker=program).__aenter__()


async def test_last_log_lines_of_a_broker_that_dies_at_start_are_printed(tmp_path: Path) -> None:
    nonsense = tmp_path / "program"
    nonsense.write_text("#!/bin/sh\necho nothing works >&2\nexit 3\n")
    nonsense.chmod(0o755)
    with pytest.raises(BrokerDied, match="nothing works") as caught:
        await EmbeddedBroker(folder=tmp_path, port=free_port(), broker=("mosquitto", nonsense)).__aenter__()
    assert caught.value.exit_code == 3


async def test_a_broker_that_dies_while_running_is_reported(tmp_path: Path, program: tuple[BrokerKind, Path]) -> None:
    async with EmbeddedBroker(folder=tmp_path, port=free_port(), broker=program) as broker:
        os.kill(broker.pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            assert (await broker.wait_exited()).exit_code == -signal.SIGKILL


async def test_ctrl_c_in_the_terminal_does_not_reach_it(tmp_path: Path, program: tuple[BrokerKind, Path]) -> None:
    async with EmbeddedBroker(folder=tmp_path, port=free_port(), broker=program) as broker:
        # a terminal signals the foreground process group, and the broker must not be in ours
        assert os.getpgid(broker.pid) != os.getpgid(0)


async def test_kill_9_of_the_demo_leaves_no_orphan(tmp_path: Path, program: tuple[BrokerKind, Path]) -> None:
    assert shutil.which("setpriv") is not None, "no setpriv found: install the package `util-linux`"
    demo = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DEMO, program[0], str(program[1]), str(tmp_path), str(free_port())),
        stdout=asyncio.subprocess.PIPE,
    )
    assert demo.stdout is not None
    async with asyncio.timeout(20):
        line = await demo.stdout.readline()
        while not line.startswith(b"pid "):
            assert line, "the demo ended"
            line = await demo.stdout.readline()
    pid = int(line.split()[1])
    assert alive(pid)
    demo.kill()
    await demo.wait()
    await until(lambda: not alive(pid), what="the broker ended with its demo")


def test_a_mosquitto_is_preferred_even_off_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_broker()[0] == "mosquitto"
