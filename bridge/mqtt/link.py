"""The link to the broker: a client that connects, subscribes and reconnects for as long as it runs."""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import structlog

from bridge.domain.messages import Message, Publication, Will
from bridge.mqtt.connection import BrokerConnection
from bridge.mqtt.inbox import Inbox
from bridge.mqtt.paho_client import CLOSE_SECONDS, ClientIdentity
from bridge.mqtt.tls import TlsFileError
from bridge.ports.broker import (
    BrokerUnavailable,
    ConnectRefused,
    LinkStatus,
    MqttVersion,
    PublishRefused,
    SubscribeRefused,
    TopicRefused,
)
from bridge.settings.broker import BrokerSettings

FIRST_BACKOFF_SECONDS = 0.2
STABLE_SECONDS = 5.0  # a connection that lived this long was stable: the next backoff starts small again
STOPPED = "stopped"
MAX_SHORT_LIVES = 3
UNSUPPORTED_PROTOCOL_VERSION = 0x84
RECEIVE_MAXIMUM_OVERSHOOT = 4  # Mosquitto 2.0 sends up to about this many times the receive maximum

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _ConnectionEnd:
    """The end of a connection, or of an attempt to connect."""

    reason: str
    retries_at_once: bool = False  # the next attempt uses the other protocol version: no backoff
    was_stable: bool = False
    taken_over: bool = False


class BrokerLink:
    """A broker client that owns its connection while `run` runs. It never drops a message itself.

    Call every method on the loop that runs `run`. One consumer receives; any task may publish.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        client_id: str,
        durable: bool,
        subscriptions: Sequence[tuple[str, int]] = (),
        optional: Sequence[tuple[str, int]] = (),
        will: Will | None = None,
        last_publication: Callable[[], Publication | None] | None = None,
        queue_bound: int | None = None,
    ) -> None:
        """Describe the client, which connects as the user of the settings; `run` connects it.

        `subscriptions` are (full topic filter, QoS 0 or 1). The link also runs when the broker refuses an `optional`
        one. `last_publication` is called when `run` is cancelled, for a publication to send before disconnecting.
        `queue_bound` limits the messages waiting for `receive`; None: what the broker may send unacknowledged.
        """
        if any(qos not in (0, 1) for _, qos in (*subscriptions, *optional)):
            raise ValueError("subscriptions have QoS 0 or 1: the journal provides exactly-once, not the broker")
        self._settings = settings
        self._identity = ClientIdentity(client_id=client_id, durable=durable)
        self._subscriptions = list(subscriptions)
        self._optional = list(optional)
        self._will = will
        self._last_publication = last_publication
        self._inbox = Inbox(queue_bound or RECEIVE_MAXIMUM_OVERSHOOT * settings.receive_maximum)
        self._protocol: MqttVersion = "3.1.1" if settings.protocol == "3.1.1" else "5"
        self._connection: BrokerConnection | None = None
        self._generation = 0
        self._short_lives = 0
        self._status = _not_connected("not started", since=0.0, generation=0)
        self._changed = asyncio.Event()
        self._log = log.bind(client_id=client_id, host=settings.host, port=settings.port)

    # -- status -----------------------------------------------------------------------------------------------------

    @property
    def status(self) -> LinkStatus:
        return self._status

    @property
    def queued(self) -> int:
        """Return how many messages wait for `receive`."""
        return len(self._inbox)

    async def wait_status_change(self, seen: LinkStatus) -> LinkStatus:
        """Wait until the status is no longer `seen`; return the new one."""
        while self._status is seen:
            await self._changed.wait()
        return self._status

    def _set_status(self, status: LinkStatus) -> None:
        self._status = status
        self._changed.set()
        self._changed = asyncio.Event()

    # -- messages ---------------------------------------------------------------------------------------------------

    async def receive(self, *, most: int) -> list[Message]:
        """Wait for at least one message; return up to `most`, in order of arrival."""
        return await self._inbox.take(most=most)

    def acknowledge(self, messages: Iterable[Message]) -> int:
        """Acknowledge messages that are stored safely; return how many PUBACKs were sent.

        PUBACKs are sent in order of arrival: each waits for those before it. Receipts of an earlier connection are
        void; a broker that still holds those messages sends them again.
        """
        if self._connection is None:
            return 0
        return self._connection.acknowledge([message.pending_ack for message in messages])

    # -- publishing -------------------------------------------------------------------------------------------------

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> None:
        """Publish, and return when the broker has confirmed; raise `BrokerUnavailable` or `PublishRefused`.

        After `BrokerUnavailable` the broker may or may not have the message; nothing is kept for sending later.
        """
        confirmation = await self._require_connection().submit(Publication(topic, payload, retain, qos))
        await confirmation

    async def publish_many(self, publications: Sequence[Publication]) -> list[PublishRefused]:
        """Publish in order, many at a time; return the refused ones when the broker has answered all.

        A refusal does not hold up the others. Raise `BrokerUnavailable`, after which any of them may be missing.
        """
        connection = self._require_connection()
        confirmations: list[asyncio.Future[None]] = []
        gone: BrokerUnavailable | None = None
        try:
            for publication in publications:
                confirmations.append(await connection.submit(publication))  # noqa: PERF401 - kept when one raises
        except BrokerUnavailable as error:
            gone = error
        except asyncio.CancelledError:
            for confirmation in confirmations:
                confirmation.cancel()
            raise
        refusals: list[PublishRefused] = []
        for outcome in await asyncio.gather(*confirmations, return_exceptions=True):
            if isinstance(outcome, PublishRefused):
                refusals.append(outcome)
            elif outcome is not None:
                raise outcome
        if gone is not None:
            raise gone
        return refusals

    def _require_connection(self) -> BrokerConnection:
        if self._connection is None or not self._status.connected:
            raise BrokerUnavailable(self._status.reason or "not connected")
        return self._connection

    # -- the connection ---------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the link up until cancelled; then send the last publication and disconnect, which discards the Will."""
        failures = 0
        while True:
            self._generation += 1
            ending = await self._run_connection()
            self._down(ending.reason, taken_over=ending.taken_over)
            failures = 0 if ending.was_stable else failures + 1
            if ending.retries_at_once:
                continue
            ceiling = min(self._settings.max_backoff_seconds, FIRST_BACKOFF_SECONDS * 2.0 ** min(failures, 16))
            delay = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - spreads clients, guards nothing
            self._log.warning("broker.retry", reason=ending.reason, seconds=round(delay, 2))
            await asyncio.sleep(delay)

    async def _run_connection(self) -> _ConnectionEnd:
        """Connect, wait until the connection is lost, and release what it held."""
        try:
            connection = self._connection = BrokerConnection(
                self._settings,
                self._identity,
                protocol=self._protocol,
                will=self._will,
                generation=self._generation,
                deliver=self._inbox.put,
            )
        except TlsFileError as error:
            return _ConnectionEnd(str(error))
        try:
            return await self._connect_and_stay(connection)
        except asyncio.CancelledError:
            await self._disconnect(connection)
            raise
        except ConnectRefused as refused:
            return _ConnectionEnd(refused.reason, retries_at_once=self._switch_protocol(refused))
        except BrokerUnavailable as gone:
            return _ConnectionEnd(gone.reason)
        except TopicRefused as refused:
            self._log.warning("broker.refused", topic=refused.topic, reason=refused.reason, code=refused.reason_code)
            return _ConnectionEnd(f"refused: {refused}")
        finally:
            connection.abort("abandoned")

    async def _connect_and_stay(self, connection: BrokerConnection) -> _ConnectionEnd:
        await connection.open()
        await connection.subscribe_all(self._subscriptions)
        try:
            await connection.subscribe_all(self._optional)
        except SubscribeRefused as refused:
            self._log.warning("broker.refused", topic=refused.topic, reason=refused.reason, code=refused.reason_code)
        self._up(connection)
        began = self._status.since
        reason = await asyncio.shield(connection.lost)
        settled = asyncio.get_running_loop().time() - began >= STABLE_SECONDS
        self._short_lives = 0 if settled else self._short_lives + 1
        # two clients that take over from each other must not do so at full speed; Mosquitto 2.0 does not send 0x8E
        if connection.taken_over or self._short_lives >= MAX_SHORT_LIVES:
            reason = f"{reason}; another client may use the client id {self._identity.client_id}"
        taken_over = connection.taken_over
        return _ConnectionEnd(reason, was_stable=settled and not taken_over, taken_over=taken_over)

    def _switch_protocol(self, refused: ConnectRefused) -> bool:
        """Switch the protocol version if it may be why; return whether to try again at once."""
        # nats-server hangs up without a CONNACK on MQTT 5; others answer 0x84, or 1 in the format of 3.1.1
        if self._settings.protocol != "auto" or refused.code not in (None, UNSUPPORTED_PROTOCOL_VERSION):
            return False
        self._protocol = "3.1.1" if self._protocol == "5" else "5"
        return self._protocol == "3.1.1"

    async def _disconnect(self, connection: BrokerConnection) -> None:
        last = self._last_publication() if self._last_publication is not None and self._status.connected else None
        try:
            if last is not None:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await (await connection.submit(last))
        except (TimeoutError, BrokerUnavailable, PublishRefused) as error:
            self._log.warning("broker.last_publication_failed", reason=str(error))
            connection.abort("last publication failed")  # without a DISCONNECT, so that the broker publishes the Will
        self._down(STOPPED)
        await connection.close()

    def _up(self, connection: BrokerConnection) -> None:
        self._set_status(
            LinkStatus(
                connected=True,
                since=asyncio.get_running_loop().time(),
                protocol=connection.protocol,
                session_present=connection.session_present,
                generation=connection.generation,
                reason=None,
            )
        )
        # update the status at once, not at the next turn of `run`
        connection.lost.add_done_callback(lambda lost: self._lost(lost.result(), taken_over=connection.taken_over))
        self._log.info("broker.connected", protocol=connection.protocol, session_present=connection.session_present)

    def _lost(self, reason: str, *, taken_over: bool) -> None:
        if self._status.connected:
            self._down(reason, taken_over=taken_over)

    def _down(self, reason: str, *, taken_over: bool = False) -> None:
        if not self._status.connected and self._status.reason == reason:
            return
        since = self._status.since
        if not self._status.connected:
            taken_over = taken_over or self._status.taken_over  # until the next connection
        else:
            since = asyncio.get_running_loop().time()
            if reason != STOPPED:
                self._log.warning("broker.lost", reason=reason)
        self._set_status(_not_connected(reason, since=since, generation=self._status.generation, taken_over=taken_over))


def _not_connected(reason: str, *, since: float, generation: int, taken_over: bool = False) -> LinkStatus:
    return LinkStatus(
        connected=False,
        since=since,
        protocol=None,
        session_present=False,
        generation=generation,
        reason=reason,
        taken_over=taken_over,
    )
