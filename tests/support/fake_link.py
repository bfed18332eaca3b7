"""A broker client without a broker: it receives the test's messages, and records acknowledgements and publications."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from msgspec import structs

from bridge.domain.messages import Message, PendingAck, Publication
from bridge.domain.utc_time import rfc3339
from bridge.ports.broker import LinkStatus, PublishRefused
from tests.support.journal_samples import NOON

ROOT = "floor/v1"
Publish = Callable[[str, bytes], Awaitable[None]]


async def ignore(_topic: str, _payload: bytes) -> None:
    """Confirm a publication, and forget it."""


class FakeLink:
    """Connected until the test disconnects it. Topics are those below the root."""

    def __init__(self, publish: Publish = ignore) -> None:
        self.status = LinkStatus(
            connected=True, since=0.0, protocol="5", session_present=False, generation=1, reason=None
        )
        self.acknowledged: list[int] = []  # the numbers of messages, from 1 in the order of their delivery
        self.most_held = 0  # handed over and not acknowledged, at once
        self._held: dict[int, Message] = {}  # these, by their numbers
        self._delivered = 0
        self._waiting = deque[Message]()
        self._arrived = asyncio.Event()
        self._changed = asyncio.Event()
        self._publish = publish

    def deliver(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        self._delivered += 1
        generation, number = self.status.generation, self._delivered
        ack = PendingAck(generation=generation, serial=number, packet_id=number, qos=1)
        self._waiting.append(
            Message(f"{ROOT}/{topic}", payload, qos=1, retained=retained, redelivered=False, pending_ack=ack)
        )
        self._arrived.set()

    def deliver_status(
        self, epoch: str, *, online: bool = True, ready: bool = True, retained: bool = False, offset: int | None = None
    ) -> None:
        status = {"online": online, "epoch": epoch, "offset": offset, "ready": ready, "time": rfc3339(NOON)}
        self.deliver("bridge/main", json.dumps(status).encode(), retained=retained)

    def disconnect(self, *, reason: str = "lost", taken_over: bool = False) -> None:
        since = asyncio.get_running_loop().time()
        self.status = replace(
            self.status, connected=False, since=since, session_present=True, reason=reason, taken_over=taken_over
        )
        self._changed.set()

    def reconnect(self, *, session_present: bool = True) -> None:
        """Connect again to the session: what was received and not acknowledged is delivered again, and first."""
        since, generation = asyncio.get_running_loop().time(), self.status.generation + 1
        self.status = replace(
            self.status,
            connected=True,
            since=since,
            session_present=session_present,
            generation=generation,
            reason=None,
            taken_over=False,
        )
        self._changed.set()
        held, self._held = self._held.values(), {}
        for message in reversed(held):
            pending_ack = structs.replace(message.pending_ack, generation=generation)
            self._waiting.appendleft(structs.replace(message, redelivered=True, pending_ack=pending_ack))
        self._arrived.set()

    # What a broker client does.

    @property
    def queued(self) -> int:
        return len(self._waiting)

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def receive(self, *, most: int) -> list[Message]:
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        taken = [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]
        self._held |= {message.pending_ack.serial: message for message in taken}
        self.most_held = max(self.most_held, len(self._held))
        return taken

    def acknowledge(self, messages: Iterable[Message]) -> int:
        serials = [message.pending_ack.serial for message in messages]
        self.acknowledged += serials
        for serial in serials:
            del self._held[serial]
        return len(serials)

    async def wait_status_change(self, seen: LinkStatus) -> LinkStatus:
        while self.status is seen:
            self._changed.clear()
            await self._changed.wait()
        return self.status

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, qos: int = 1) -> None:
        del retain, qos
        await self._publish(topic.removeprefix(f"{ROOT}/"), payload)

    async def publish_many(self, publications: Sequence[Publication]) -> Sequence[PublishRefused]:
        for publication in publications:
            await self.publish(publication.topic, publication.payload)
        return []
