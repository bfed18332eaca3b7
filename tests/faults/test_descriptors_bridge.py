"""threats.md, «Faults»: no file descriptors. The whole bridge degrades, lives, and recovers by itself."""

import asyncio
import contextlib
import resource
import socket
from pathlib import Path
from typing import Final

from tests.faults.bridge_under_load import BridgeUnderLoad, bridge_under_load
from tests.support.brokers import RunningBroker, until
from tests.support.tcp_proxy import ConnectionEnd, tcp_proxy

REPORTS: Final = 60
NEWCOMERS: Final = 20
HEALED_SECONDS: Final = 40.0


def pid_of(loaded: BridgeUnderLoad) -> int:
    assert loaded.bridge.process is not None
    return loaded.bridge.process.pid


def allow_descriptors(loaded: BridgeUnderLoad, *, allowed: bool) -> None:
    """Let the bridge open files and sockets, or none from now on, whichever it closes; the open ones stay usable.

    A limit at the number of the open ones would leave to the links what is freed when they are cut.
    """
    hard = resource.prlimit(pid_of(loaded), resource.RLIMIT_NOFILE)[1]
    resource.prlimit(pid_of(loaded), resource.RLIMIT_NOFILE, (hard if allowed else 0, hard))


async def knock(port: int, times: int) -> list[socket.socket]:
    """Open connections without waiting for an answer."""
    loop, plugs = asyncio.get_running_loop(), []
    for _ in range(times):
        plug = socket.socket()
        plug.setblocking(False)
        with contextlib.suppress(OSError):
            await loop.sock_connect(plug, ("127.0.0.1", port))
        plugs.append(plug)
    return plugs


async def test_without_descriptors_it_lives_and_reaches_the_broker_again_when_there_are_some(
    tmp_path: Path, mosquitto: RunningBroker
) -> None:
    """Newcomers are not accepted, the lost link cannot be made again; and then it can."""
    async with tcp_proxy(mosquitto.port) as network:
        elsewhere = {"FLOOR_BROKER__PORT": str(network.port)}
        async with bridge_under_load(tmp_path, mosquitto, environment=elsewhere) as loaded:
            await loaded.load.more(REPORTS)
            allow_descriptors(loaded, allowed=False)
            newcomers = await knock(loaded.bridge.port, NEWCOMERS)
            network.cut(ConnectionEnd.RESET)
            await until(lambda: not loaded.dashboard.live, seconds=5, what="not live")
            await loaded.load.more(REPORTS)
            assert not loaded.dashboard.live
            assert loaded.bridge.process is not None
            assert loaded.bridge.process.returncode is None, loaded.bridge.log()[-2_000:]
            allow_descriptors(loaded, allowed=True)
            for newcomer in newcomers:
                newcomer.close()
            await until(lambda: loaded.dashboard.live, seconds=HEALED_SECONDS, what="healed")
            await until(loaded.bridge.is_ready, what="newcomers are accepted")
            ledger = await loaded.close_ledger("no file descriptors while the broker's links were cut")
    assert ledger.wrong == {}
