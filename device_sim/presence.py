"""The presence of a run on the broker: a second run of the same plant finds the first one there and refuses.

A client id belongs to one connection (MQTT 5 3.1.4-3), so a second plant would push the first one's devices out, one
after the other, and they would push back. Each run therefore holds one more connection, of an id of its own. A run that
begins takes that id; where another run lives, it takes it back within a moment, and the newcomer knows. No device is
disturbed by it. With an account for each device there is no such id: the newcomer takes the first device's for a
moment.
"""

import asyncio
from typing import Final

import aiomqtt

from device_sim.wire import Broker, WireError

CLAIM_SECONDS: Final = 0.6  # within which another run takes its id back
SLOW_CLAIM_SECONDS: Final = 2.0  # nats-server lets a client that was pushed out wait for a second
SOON: Final = 0.05
LONGEST_PAUSE: Final = 30.0


class AlreadyRunning(WireError):
    """Another run of the plant is connected to the broker."""

    def __init__(self, broker: Broker, site: str) -> None:
        super().__init__(
            f"another device-sim runs {site} on the broker at {broker.host}:{broker.port}: stop it first\n"
            "  (make demo runs one), or give this one a site of its own with --plant, or another --broker. "
            "`device-sim press` works beside it"
        )


class Presence:
    def __init__(self, broker: Broker, identity: str, site: str) -> None:
        self._broker = broker
        self._identity = identity
        self._site = site
        self.client_id: str | None = (
            f"{broker.client_prefix}device-sim-{site.replace('.', '-')}"  # no dots: NATS refuses them
        )
        self._borrowed = bool(broker.credentials) and broker.username is None
        if self._borrowed:
            self.client_id = None  # the device's own
        self._claimed = asyncio.Event()
        self._refused: AlreadyRunning | None = None

    async def claim(self) -> None:
        """Wait until it is sure that no other run is there; raises `AlreadyRunning`."""
        self._task = asyncio.create_task(self._hold(), name="presence")
        waiting = asyncio.create_task(self._claimed.wait(), name="presence claimed")
        await asyncio.wait((self._task, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._refused is not None:
            raise self._refused

    def release(self) -> None:
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
        return self._broker.client(self._identity, version, client_id=self.client_id, will=None)

    async def _is_pushed_out(self, client: aiomqtt.Client) -> bool:
        quick = self._broker.version.found is aiomqtt.ProtocolVersion.V5 and not self._borrowed
        try:
            async with asyncio.timeout(CLAIM_SECONDS if quick else SLOW_CLAIM_SECONDS):
                await _until_lost(client)
        except TimeoutError:
            return False
        except aiomqtt.MqttError:
            return True
        return True


async def _until_lost(client: aiomqtt.Client) -> None:
    async for _ in client.messages:  # raises MqttError when the connection is lost
        pass
