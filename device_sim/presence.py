"""The presence of a run: a second run of the same plant finds the first one and refuses, before it disturbs a device.

A client id belongs to one connection (MQTT 5 3.1.4-3), so a second plant would push the first one's devices out, one
after the other, and they would push back. On one machine a locked file says that a run is there. From another machine
only the broker can help: each run holds one more connection, of an id of its own. A run that begins takes that id;
where another run lives, it takes it back within a moment, and the newcomer knows. With an account for each device there
is no such id: the newcomer takes the first device's for a moment.
"""

import asyncio
import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import aiomqtt

from device_sim.wire import BrokerAccess, BrokerError

CLAIM_SECONDS: Final = 0.6  # within which another run takes its id back
BORROWED_SECONDS: Final = 1.5  # within which a device does
SOON: Final = 0.05
LONGEST_PAUSE: Final = 30.0


class AlreadyRunning(BrokerError):
    """Another run of the plant is connected to the broker."""

    def __init__(self, broker: BrokerAccess, site: str) -> None:
        super().__init__(
            f"another device-sim runs {site} on the broker at {broker.host}:{broker.port}: stop it first\n"
            "  (make demo runs one), or give this one a site of its own with --plant, or another --broker. "
            "`device-sim press` works beside it"
        )


@contextlib.contextmanager
def lock_plant(broker: BrokerAccess, site: str) -> Iterator[None]:
    """Hold this machine's lock on a plant; raises `AlreadyRunning`. It goes with the process, also at kill -9."""
    name = f"device-sim-{os.getuid()}-{broker.host}-{broker.port}-{broker.client_prefix}{site}.lock"
    with (Path(tempfile.gettempdir()) / name.replace("/", "+")).open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(broker, site) from error
        yield


class SimulatorPresence:
    """A connection that says on the broker that a run is there."""

    def __init__(self, broker: BrokerAccess, identity: str, site: str) -> None:
        self._broker = broker
        self._identity = identity
        self._site = site
        self._borrowed = bool(broker.credentials) and broker.username is None
        plain = site.replace(".", "-")  # NATS refuses dots
        self.client_id = None if self._borrowed else f"{broker.client_prefix}device-sim-{plain}"
        self._claimed = asyncio.Event()
        self._refused: AlreadyRunning | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def probe_id(self) -> str | None:
        """A client id that nobody else has, to find out about the broker with; None where the account names it."""
        return None if self.client_id is None else f"{self.client_id}-{os.getpid()}"

    async def claim(self) -> None:
        """Wait until it is sure that no other run is there; raises `AlreadyRunning`."""
        found, wanted = self._broker.version.found, self._broker.version.wanted
        if found is aiomqtt.ProtocolVersion.V311 and wanted == "auto":
            return  # nats-server keeps a client that was pushed out waiting for long: it could not take its id back
        self._task = asyncio.create_task(self._hold(), name="presence")
        waiting = asyncio.create_task(self._claimed.wait(), name="presence claimed")
        await asyncio.wait((self._task, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._refused is not None:
            raise self._refused

    def release(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _hold(self) -> None:
        pause = SOON
        while True:
            connected = False
            try:
                async with self._client() as client:
                    connected = True
                    if not self._claimed.is_set():
                        if await self._is_pushed_out(client):
                            self._refused = AlreadyRunning(self._broker, self._site)
                            return
                        self._claimed.set()
                    if self._borrowed:
                        return
                    await _until_lost(client)
            except aiomqtt.MqttError:
                # pushed out, it comes back before the newcomer is sure; where two insist, the broker is spared
                await asyncio.sleep(pause)
                pause = min(pause * 1.2, CLAIM_SECONDS / 2) if connected else min(pause * 2, LONGEST_PAUSE)

    def _client(self) -> aiomqtt.Client:
        version = self._broker.version.candidates()[0]
        return self._broker.build_client(self._identity, version, client_id=self.client_id, will=None)

    async def _is_pushed_out(self, client: aiomqtt.Client) -> bool:
        try:
            async with asyncio.timeout(BORROWED_SECONDS if self._borrowed else CLAIM_SECONDS):
                await _until_lost(client)
        except TimeoutError:
            return False
        except aiomqtt.MqttError:
            return True
        return True


async def _until_lost(client: aiomqtt.Client) -> None:
    async for _ in client.messages:  # raises MqttError when the connection is lost
        pass
