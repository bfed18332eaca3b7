"""Detection of a second run of the same plant, which ends before it disturbs a device.

A client id belongs to one connection (MQTT 5 3.1.4-3), so a second plant would disconnect the first one's devices, one
after the other, and they would disconnect its own. On one machine a lock file reveals another run. From another machine
only the broker can: each run holds one more connection, with a client id for the plant. A new run takes over that id.
If another run exists, it takes the id back within a moment, and the new run ends. With an account for each device there
is no such id: the new run takes over the first device's for a moment.
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

from device_sim.mqtt.broker_access import BrokerAccess, BrokerError

CLAIM_SECONDS: Final = 0.6  # another run takes its id back within this time
BORROWED_SECONDS: Final = 1.5  # a device takes its id back within this time
SOON: Final = 0.05
LONGEST_PAUSE: Final = 30.0


class AlreadyRunning(BrokerError):
    """Raised when another run of the plant uses the broker."""

    def __init__(self, broker: BrokerAccess, site: str) -> None:
        super().__init__(
            f"another device-sim is running {site} on the broker at {broker.host}:{broker.port}\n"
            "  stop it first (`make demo` runs one), or use another --broker, or a --plant with another site; "
            "`device-sim press` works beside it"
        )


@contextlib.contextmanager
def lock_plant(broker: BrokerAccess, site: str) -> Iterator[None]:
    """Hold this machine's lock on a plant, or raise `AlreadyRunning`. It ends with the process, even at kill -9."""
    name = f"device-sim-{os.getuid()}-{broker.host}-{broker.port}-{broker.client_prefix}{site}.lock"
    with (Path(tempfile.gettempdir()) / name.replace("/", "+")).open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(broker, site) from error
        yield


class SimulatorPresence:
    """A connection to the broker by which other runs detect this one."""

    def __init__(self, broker: BrokerAccess, identity: str, site: str) -> None:
        self._broker = broker
        self._identity = identity
        self._site = site
        self._borrowed = bool(broker.credentials) and broker.username is None
        plain = site.replace(".", "-")  # NATS rejects dots
        self.client_id = None if self._borrowed else f"{broker.client_prefix}device-sim-{plain}"
        self._claimed = asyncio.Event()
        self._refused: AlreadyRunning | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def probe_id(self) -> str | None:
        """A unique client id for probing the broker; None if the account determines the client id."""
        return None if self.client_id is None else f"{self.client_id}-{os.getpid()}"

    async def claim(self) -> None:
        """Make sure that no other run exists, or raise `AlreadyRunning`."""
        version = self._broker.version
        if version.found is aiomqtt.ProtocolVersion.V311 and version.wanted == "auto":
            return  # nats-server makes a replaced client wait long to reconnect: it could not take its id back
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
                        if await self._is_replaced(client):
                            self._refused = AlreadyRunning(self._broker, self._site)
                            return
                        self._claimed.set()
                    if self._borrowed:
                        return
                    await _until_lost(client)
            except aiomqtt.MqttError:
                # if replaced, reconnect before the new run is sure; growing pauses protect the broker from two runs
                await asyncio.sleep(pause)
                pause = min(pause * 1.2, CLAIM_SECONDS / 2) if connected else min(pause * 2, LONGEST_PAUSE)

    def _client(self) -> aiomqtt.Client:
        version = self._broker.version.candidates()[0]
        return self._broker.build_client(self._identity, version, client_id=self.client_id, will=None)

    async def _is_replaced(self, client: aiomqtt.Client) -> bool:
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
