"""Ownership of a stream: one process publishes it, and listens on the stream's own status for a live rival.

A journal's lock keeps a second process off the same file. Two processes with journals of their own, on one broker,
would take over each other's connections and mix two histories under one name; only the broker sees both.
"""

import asyncio

import structlog

from bridge.domain.messages import Message
from bridge.domain.stream_status import STATUS_SECONDS, StreamOwner, StreamStatus, read_status, status_topic
from bridge.ports.broker import BrokerUnavailable, StatusChannel, TopicRefused

CONNECT_SECONDS = 2.0  # a broker that has not answered by then does not hold up the start
LIVENESS_SECONDS = 3 * STATUS_SECONDS  # a live process has published its status by then

log = structlog.get_logger(__name__)


def ownership_subscriptions(root: str, stream: str, owner: StreamOwner) -> list[tuple[str, int]]:
    """Return the topics to subscribe to, with QoS 0: the status is published again every second."""
    return [(status_topic(root, stream), 0), (echo_topic(root, stream, owner), 0)]


def echo_topic(root: str, stream: str, owner: StreamOwner) -> str:
    return f"{status_topic(root, stream)}/echo/{owner.id}"


class StreamInUse(Exception):
    """Another process publishes the stream, and has precedence."""

    def __init__(self, stream: str, rival: StreamStatus) -> None:
        super().__init__(
            f"another process publishes stream {stream} (epoch {rival.epoch}, since {rival.since or 'unknown'}): "
            "stop it, or give this one a stream of its own"
        )
        self.stream = stream
        self.rival = rival


class StreamOwnership:
    """Detects rivals over a connection of its own, whose unique client id no rival takes over."""

    def __init__(self, channel: StatusChannel, *, root: str, stream: str, owner: StreamOwner) -> None:
        """Listen on `channel`, which must be subscribed to `ownership_subscriptions`."""
        self._channel = channel
        self._topic = status_topic(root, stream)
        self._echo = echo_topic(root, stream, owner)
        self._stream = stream
        self._owner = owner
        self._logged_rival: str | None = None
        self.lost = False
        """Return whether another process owns the stream: then nothing more may be published in its name."""

    async def claim(self) -> None:
        """Return if no other process publishes the stream; raise `StreamInUse`. Call before its client ids connect.

        Waits only if the retained status is online; a process that stopped, or whose Will was published, costs no time.
        If the broker is unreachable the stream stays unclaimed, and `watch` detects a rival later.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                while not self._channel.status.connected:
                    await self._channel.wait_status_change(self._channel.status)
                await self._channel.publish(self._echo, b"")
                rival = await self._read_retained_rival()
        except (TimeoutError, BrokerUnavailable, TopicRefused) as error:
            reason = self._channel.status.reason or str(error) or "the broker does not deliver our own publications"
            log.warning("stream.unclaimed", stream=self._stream, reason=reason)
            return
        if rival is None or not rival.online:
            return
        log.info("stream.owner_check", stream=self._stream, epoch=rival.epoch, seconds=LIVENESS_SECONDS)
        try:
            async with asyncio.timeout(LIVENESS_SECONDS):
                await self._wait_rival_gone()
        except TimeoutError:
            log.info("stream.owner_gone", stream=self._stream, epoch=rival.epoch)

    async def _read_retained_rival(self) -> StreamStatus | None:
        """Return the retained status of another process; the echo arrives after all retained messages."""
        rival = None
        while True:
            message = await self._next()
            if message.topic == self._echo:
                return rival
            rival = self._parse_rival(message) or rival

    async def _wait_rival_gone(self) -> None:
        """Return when the other process goes offline; raise `StreamInUse` when it publishes a live status."""
        while True:
            message = await self._next()
            rival = self._parse_rival(message)
            if rival is not None and not rival.online:
                return
            if rival is not None and not message.retained:
                raise StreamInUse(self._stream, rival)

    async def watch(self) -> None:
        """Listen forever; raise `StreamInUse` on a live status of a process that started before this one.

        A retained status does not prove that its process lives: a killed broker restarts with what it had stored.
        """
        while True:
            message = await self._next()
            rival = None if message.retained else self._parse_rival(message)
            if rival is None or not rival.online:
                continue
            if rival.precedes(self._owner):
                self.lost = True
                raise StreamInUse(self._stream, rival)
            if rival.owner != self._logged_rival:
                self._logged_rival = rival.owner
                log.error("stream.second_publisher", stream=self._stream, epoch=rival.epoch, since=rival.since)

    async def _next(self) -> Message:
        (message,) = await self._channel.receive(most=1)
        return message

    def _parse_rival(self, message: Message) -> StreamStatus | None:
        status = read_status(message.payload) if message.topic == self._topic else None
        return None if status is None or status.is_owned_by(self._owner) else status
