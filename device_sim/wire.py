"""Access of simulated devices to the broker: address, identity, protocol version, and errors with their remedies."""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import aiomqtt
import paho.mqtt.client as paho

ProtocolChoice = Literal["auto", "5", "3.1.1"]
KEEPALIVE_SECONDS: Final = 15
CONNECT_SECONDS: Final = 10.0
IDENTITY_REFUSAL_CODES: Final = frozenset({2, 4, 5, 133, 134, 135, 140})  # CONNACK: client id, credentials, rights

# The run reports by itself which device lost its connection; the library names none, and would print to stderr.
UNREAD_LOG: Final = logging.getLogger("device_sim.mqtt")
UNREAD_LOG.disabled = True


class BreakableConnection(aiomqtt.Client):
    """An MQTT client whose connection may break at any moment.

    aiomqtt registers a socket with the event loop by its file descriptor, one iteration after reading it. If the socket
    closes in between, the descriptor is invalid or belongs to another connection. And the error of a connection that
    breaks while unused is never retrieved, which asyncio would log.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, logger=UNREAD_LOG, **options)
        self._disconnected.add_done_callback(_retrieve_error)

    def has_ended(self) -> bool:
        """Return whether the connection is over."""
        return self._disconnected.done()

    def _on_socket_register_write(self, client: paho.Client, userdata: Any, sock: Any) -> None:  # noqa: ARG002 - paho
        self._loop.call_soon_threadsafe(self._add_writer, sock)

    def _add_writer(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self._loop.add_writer(sock.fileno(), self._write)

    def _write(self) -> None:
        try:
            self._client.loop_write()
        except Exception as error:  # noqa: BLE001 - as in aiomqtt: after any error the connection is lost
            if not self._disconnected.done():
                self._disconnected.set_exception(error)


def _retrieve_error(ended: asyncio.Future[None]) -> None:
    if not ended.cancelled():
        ended.exception()


class BrokerError(Exception):
    """Raised when the broker cannot be used; the message names the remedy."""


class BrokerUnreachable(BrokerError):
    def __init__(self, broker: "BrokerAccess", why: str) -> None:
        super().__init__(
            f"no broker at {broker.host}:{broker.port}{broker.found_in}: {why}\n"
            "  start one (for example `mosquitto -p 1883`, or `make demo` for everything), "
            "or name another with --broker HOST:PORT"
        )


class IdentityRefused(BrokerError):
    def __init__(self, broker: "BrokerAccess", identity: str, why: str) -> None:
        super().__init__(
            f"the broker at {broker.host}:{broker.port} refuses {identity}: {why}\n"
            "  give one account for all with --username and --password-file, or one for each device with --credentials"
        )


class CredentialsError(BrokerError):
    """Raised when the password, credentials or CA file cannot be used."""


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

    async def find_version(self, identity: str, *, client_id: str | None = None) -> aiomqtt.ProtocolVersion:
        """Connect once to find the MQTT version; raise `BrokerUnreachable` or `IdentityRefused` if that fails."""
        failure: aiomqtt.MqttError | None = None
        for version in self.version.candidates():
            try:
                async with (
                    asyncio.timeout(CONNECT_SECONDS),
                    self.build_client(identity, version, client_id=client_id, will=None),
                ):
                    self.version.found = version
                    return version
            except TimeoutError:
                failure = aiomqtt.MqttError("no answer")
            except aiomqtt.MqttError as error:
                if _refuses_identity(error):
                    raise IdentityRefused(self, identity, str(error)) from error
                failure = failure or error
        raise BrokerUnreachable(self, str(failure)) from failure


def sever(client: aiomqtt.Client) -> None:
    """Close a connection without a DISCONNECT, as a power cut does: the broker publishes its Will."""
    connected = client._client.socket()  # noqa: SLF001 - aiomqtt cannot close without a DISCONNECT
    if isinstance(connected, socket.socket):  # a TLS socket is one, too
        with contextlib.suppress(OSError):  # already closed
            connected.shutdown(socket.SHUT_RDWR)


def _refuses_identity(error: aiomqtt.MqttError) -> bool:
    code = getattr(error, "rc", None)
    return getattr(code, "value", code) in IDENTITY_REFUSAL_CODES


def read_password(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"{path}: {error}") from error


def read_credentials(path: Path) -> Mapping[str, str]:
    """Read passwords by identity: a folder of mosquitto/make-passwords.sh, or a file of `identity:password` lines."""
    if path.is_dir():
        files = sorted(path.glob("password.*+*"))
        return {file.name.removeprefix("password.").replace("+", "/"): read_password(file) for file in files}
    found: dict[str, str] = {}
    for number, line in enumerate(read_password(path).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        identity, colon, password = line.partition(":")
        if not colon:
            raise CredentialsError(f"{path}, line {number}: expected `site/area/line/device:password`")
        found[identity.strip()] = password.strip()
    return found


def tls_context(ca_file: Path | None) -> ssl.SSLContext | None:
    """Return a verifying context that trusts one CA, or None for plain TCP."""
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:  # ssl.SSLError is one
        raise CredentialsError(f"{ca_file}: {error}") from error


async def publish_once(
    broker: BrokerAccess, identity: str, *, client_id: str, topic: str, payload: bytes, retain: bool = False
) -> None:
    """Publish one report over a connection of its own; raise `BrokerError` if the broker cannot be used."""
    version = await broker.find_version(identity, client_id=client_id)
    async with broker.build_client(identity, version, client_id=client_id, will=None) as client:
        await client.publish(f"{broker.root}/{topic}", payload, qos=1, retain=retain)
