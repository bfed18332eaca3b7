"""Who publishes a stream: one process. It listens on the stream's own status for another one that lives.

A journal's lock keeps a second process off the same file. Two with journals of their own, on one broker, would take
each other's connections and mix two histories under one name; only the broker hears both.
"""

import asyncio

import structlog

from bridge.domain.messages import Message
from bridge.domain.stream_status import STATUS_SECONDS, StreamOwner, StreamStatus, read_status, status_topic
from bridge.ports.broker import BrokerUnavailable, StatusChannel, TopicRefused

REACH_SECONDS = 2.0  # a broker that has not answered by then does not hold up the start
LIFE_SECONDS = 3 * STATUS_SECONDS  # whoever lives has told so by then

log = structlog.get_logger(__name__)


def ownership_subscriptions(root: str, stream: str, owner: StreamOwner) -> list[tuple[str, int]]:
    """What the ear subscribes to, with QoS 0: what is missed is told again a second later."""
    return [(status_topic(root, stream), 0), (echo_topic(root, stream, owner), 0)]


def echo_topic(root: str, stream: str, owner: StreamOwner) -> str:
    return f"{status_topic(root, stream)}/echo/{owner.id}"


class StreamTaken(Exception):
    """Another process publishes the stream, and has the older right to it."""

    def __init__(self, stream: str, rival: StreamStatus) -> None:
        super().__init__(
            f"another process publishes stream {stream} (epoch {rival.epoch}, since {rival.since or 'unknown'}): "
            "stop it, or give this one a stream of its own"
        )
        self.stream = stream
        self.rival = rival


class StreamOwnership:
    """Listens by a connection of its own, whose client id nobody shares: so it hears who takes the others' place."""

    def __init__(self, channel: StatusChannel, *, root: str, stream: str, owner: StreamOwner) -> None:
        """`ear` is subscribed to `heard_topics`."""
        self._channel = channel
        self._topic = status_topic(root, stream)
        self._echo = echo_topic(root, stream, owner)
        self._stream = stream
        self._owner = owner
        self._logged_rival: str | None = None
        self.taken = False
        """Whether the stream is another's: then nothing more is to be said in its name."""

    async def claim(self) -> None:
        """Return when no other process is heard; raises `StreamTaken`. Before the stream's client ids connect.

        Waits only where the retained status says that somebody is online; who stopped, or whose Will was published,
        costs nothing. A broker that is not there can be asked by nobody: `watch` listens on.
        """
        try:
            async with asyncio.timeout(REACH_SECONDS):
                while not self._channel.status.connected:
                    await self._channel.wait_status_change(self._channel.status)
                await self._channel.publish(self._echo, b"")
                known = await self._read_retained_rival()
        except (TimeoutError, BrokerUnavailable, TopicRefused) as error:
            reason = self._channel.status.reason or str(error) or "what we publish is not delivered to us"
            log.warning("stream.unclaimed", stream=self._stream, reason=reason)
            return
        if known is None or not known.online:
            return
        log.info("stream.listening", stream=self._stream, epoch=known.epoch, seconds=LIFE_SECONDS)
        try:
            async with asyncio.timeout(LIFE_SECONDS):
                await self._wait_rival_gone()
        except TimeoutError:
            log.info("stream.abandoned", stream=self._stream, epoch=known.epoch)

    async def _read_retained_rival(self) -> StreamStatus | None:
        """Return what is retained of another process; the echo comes after all that was retained."""
        known = None
        while True:
            message = await self._next()
            if message.topic == self._echo:
                return known
            known = self._parse_rival(message) or known

    async def _wait_rival_gone(self) -> None:
        """Return when the other process turns out to be gone; raises `StreamTaken` when it is heard."""
        while True:
            message = await self._next()
            rival = self._parse_rival(message)
            if rival is not None and not rival.online:
                return
            if rival is not None and not message.retained:
                raise StreamTaken(self._stream, rival)

    async def watch(self) -> None:
        """Listen for ever; raises `StreamTaken` when a process is heard that started before this one.

        What is retained proves no life: a killed broker comes back with what it remembers.
        """
        while True:
            message = await self._next()
            rival = None if message.retained else self._parse_rival(message)
            if rival is None or not rival.online:
                continue
            if rival.precedes(self._owner):
                self.taken = True
                raise StreamTaken(self._stream, rival)
            if rival.owner != self._logged_rival:
                self._logged_rival = rival.owner
                log.error("stream.rival", stream=self._stream, epoch=rival.epoch, since=rival.since)

    async def _next(self) -> Message:
        (message,) = await self._channel.receive(most=1)
        return message

    def _parse_rival(self, message: Message) -> StreamStatus | None:
        status = read_status(message.payload) if message.topic == self._topic else None
        return None if status is None or status.is_owned_by(self._owner) else status
