"""Access of simulated devices to the broker: address, identity, protocol version, and errors with their remedies."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import aiomqtt

from device_sim.errors import SimulatorError
from device_sim.mqtt.client import BreakableConnection

ProtocolChoice = Literal["auto", "5", "3.1.1"]
KEEPALIVE_SECONDS: Final = 15
CONNECT_SECONDS: Final = 10.0
IDENTITY_REFUSAL_CODES: Final = frozenset({2, 4, 5, 133, 134, 135, 140})  # CONNACK: client id, credentials, rights


class BrokerError(SimulatorError):
    """Raised when the broker cannot be used; the message names the remedy."""


class BrokerUnreachable(BrokerError):
    """The broker does not answer at its address."""

    def __init__(self, broker: "BrokerAccess", why: str) -> None:
        super().__init__(
            f"no connection to the broker at {broker.host}:{broker.port}{broker.found_in}: {why}\n"
            "  start one (`mosquitto -p 1883`, or `make demo` for everything), or name another with --broker HOST:PORT"
        )


class IdentityRefused(BrokerError):
    """The broker rejects a device's user name, password or client id."""

    def __init__(self, broker: "BrokerAccess", identity: str, why: str) -> None:
        super().__init__(
            f"the broker at {broker.host}:{broker.port} rejects {identity}: {why}\n"
            "  give one account for all devices with --username and --password-file, or an account each "
            "with --credentials"
        )


@dataclass(slots=True)
class NegotiatedVersion:
    """The MQTT version in use: the one asked for, or the one found by trying 5 first."""

    wanted: ProtocolChoice = "auto"
    found: aiomqtt.ProtocolVersion | None = None

    def candidates(self) -> tuple[aiomqtt.ProtocolVersion, ...]:
        if self.found is not None:
            return (self.found,)
        match self.wanted:
            case "5":
                return (aiomqtt.ProtocolVersion.V5,)
            case "3.1.1":
                return (aiomqtt.ProtocolVersion.V311,)
            case "auto":
                return (aiomqtt.ProtocolVersion.V5, aiomqtt.ProtocolVersion.V311)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAccess:
    """The address of the broker, and the devices' accounts on it."""

    host: str
    port: int
    found_in: str = ""  # source of the address, for error messages
    root: str = "floor/v1"
    username: str | None = None  # one account for all; None: each device's own, if in `credentials`
    password: str | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)  # identity -> password; the user name is the identity
    client_prefix: str = ""
    tls: ssl.SSLContext | None = None
    version: NegotiatedVersion = field(default_factory=NegotiatedVersion)

    def build_client(
        self,
        identity: str,
        version: aiomqtt.ProtocolVersion,
        *,
        client_id: str | None = None,
        will: aiomqtt.Will | None,
    ) -> BreakableConnection:
        """Return an unconnected client; its default client id is the prefix and the device's identity."""
        username, password = self._account(identity)
        return BreakableConnection(
            self.host,
            self.port,
            identifier=client_id or f"{self.client_prefix}{identity}",
            protocol=version,
            username=username,
            password=password,
            will=will,
            keepalive=KEEPALIVE_SECONDS,
            timeout=CONNECT_SECONDS,
            tls_context=self.tls,
        )

    def _account(self, identity: str) -> tuple[str | None, str | None]:
        if self.username is not None:
            return self.username, self.password
        if identity in self.credentials:
            return identity, self.credentials[identity]
        return None, None

    async def find_version(self, identity: str, *, client_id: str | None = None) -> None:
        """Connect once to find the MQTT version; raises `BrokerUnreachable` or `IdentityRefused`."""
        async with self.connect(identity, client_id=client_id):
            pass

    @contextlib.asynccontextmanager
    async def connect(self, identity: str, *, client_id: str | None = None) -> AsyncIterator[BreakableConnection]:
        """Connect with the first MQTT version that the broker accepts, for one exchange.

        Raises `BrokerUnreachable` if that fails or the connection is lost, `IdentityRefused` for a wrong account.
        """
        try:
            async with contextlib.AsyncExitStack() as stack:
                yield await self._enter_client(stack, identity, client_id)
        except aiomqtt.MqttError as error:
            raise BrokerUnreachable(self, str(error)) from error

    async def _enter_client(
        self, stack: contextlib.AsyncExitStack, identity: str, client_id: str | None
    ) -> BreakableConnection:
        failure: aiomqtt.MqttError | None = None
        for version in self.version.candidates():
            client = self.build_client(identity, version, client_id=client_id, will=None)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await stack.enter_async_context(client)
            except TimeoutError:
                failure = aiomqtt.MqttError("no answer")
            except aiomqtt.MqttError as error:
                if _refuses_identity(error):
                    raise IdentityRefused(self, identity, str(error)) from error
                failure = failure or error
            else:
                self.version.found = version
                return client
        raise BrokerUnreachable(self, str(failure)) from failure


def _refuses_identity(error: aiomqtt.MqttError) -> bool:
    code = getattr(error, "rc", None)
    return getattr(code, "value", code) in IDENTITY_REFUSAL_CODES


async def publish_once(
    broker: BrokerAccess, identity: str, *, client_id: str, topic: str, payload: bytes, retain: bool = False
) -> None:
    """Publish one report over a connection of its own; raises `BrokerError` if the broker cannot be used."""
    async with broker.connect(identity, client_id=client_id) as client:
        await client.publish(f"{broker.root}/{topic}", payload, qos=1, retain=retain)
