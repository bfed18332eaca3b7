"""What a front alone hears from a broker, said by a test."""

import asyncio
import json
from collections.abc import Iterable

from bridge.domain.events import rfc3339
from bridge.domain.messages import Message, PendingAck
from bridge.ports.broker import LinkStatus

NOON = 1_767_700_800_000


class Hints:
    """A link to a broker, without the broker: hears what the test says."""

    def __init__(self) -> None:
        self.status = LinkStatus(
            connected=True, since=0.0, protocol="5", session_present=False, generation=1, reason=None
        )
        self.acknowledged = 0
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._arrived = 0
        self._stored: set[int] = set()  # serials of messages to acknowledge once those before them are

    def say(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        receipt = PendingAck(generation=1, serial=self._arrived, mid=self._arrived % 65_535 + 1, qos=1)
        self._arrived += 1
        self._messages.put_nowait(
            Message(f"floor/v1/{topic}", payload, qos=1, retained=retained, redelivered=False, pending_ack=receipt)
        )

    def say_status(
        self, epoch: str, *, online: bool = True, ready: bool = True, retained: bool = False, offset: int | None = None
    ) -> None:
        status = {"online": online, "epoch": epoch, "offset": offset, "ready": ready, "time": rfc3339(NOON)}
        self.say("bridge/main", json.dumps(status).encode(), retained=retained)

    async def receive(self, *, most: int) -> list[Message]:
        found = [await self._messages.get()]
        while len(found) < most and not self._messages.empty():
            found.append(self._messages.get_nowait())
        return found

    def acknowledge(self, messages: Iterable[Message]) -> int:
        before = self.acknowledged
        self._stored |= {message.pending_ack.serial for message in messages}
        while self.acknowledged in self._stored:
            self._stored.remove(self.acknowledged)
            self.acknowledged += 1
        self._stored = {serial for serial in self._stored if serial > self.acknowledged}
        return self.acknowledged - before
