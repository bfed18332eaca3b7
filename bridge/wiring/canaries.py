"""Canary reports under way: sent by the probe of the broker, and expected in the journal.

A canary that the broker delivered to the probe must also reach the intake, behind the reports that wait there.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bridge.domain.probe_topics import canary_topic
from bridge.domain.records import JournalEntry
from bridge.domain.topic_tree import TopicBranch

OVERDUE_SECONDS: Final = 60.0
MAX_PENDING: Final = 16  # those of a quarter of an hour: bounds what an intake that stands still leaves here


@dataclass(slots=True)
class _Canary:
    payload: bytes
    sent_at: float  # on the loop's clock
    delivered: bool = False  # to the probe, so also to the intake, unless its queue is full


class Canaries:
    """The canaries that are not committed yet. Call every method on the loop."""

    def __init__(self, stream: str) -> None:
        self.seconds: float | None = None
        """Seconds from sending the latest committed canary to its commit."""
        self.lost = 0
        """Canaries that the broker dropped from the intake's queue: a later one was committed without them."""
        self._topic = canary_topic(TopicBranch.REPORT, stream)
        self._pending = deque[_Canary](maxlen=MAX_PENDING)

    def add(self, payload: bytes) -> None:
        """Take note of a canary that is about to be sent."""
        self._pending.append(_Canary(payload, asyncio.get_running_loop().time()))

    def set_delivered(self) -> None:
        """Take note that the probe itself received the canary that was sent last."""
        if self._pending:
            self._pending[-1].delivered = True

    def forget(self) -> None:
        """Expect none of them any more: the broker has a new session for the intake."""
        self._pending.clear()

    def on_committed(self, entries: Sequence[JournalEntry]) -> int:
        """Take note of committed canaries; return how many others that shows to be lost."""
        if not self._pending:
            return 0
        return sum(self._settle(entry.input.payload) for entry in entries if entry.input.topic == self._topic)

    def _settle(self, payload: bytes) -> int:
        if all(canary.payload != payload for canary in self._pending):
            return 0  # another process's, or sent again by the broker
        lost = 0
        while (canary := self._pending.popleft()).payload != payload:
            lost += canary.delivered
        self.lost += lost
        self.seconds = asyncio.get_running_loop().time() - canary.sent_at
        return lost

    def overdue_seconds(self) -> float | None:
        """Return the age of the oldest canary that the broker delivered and nobody committed; None below a minute."""
        delivered = next((canary for canary in self._pending if canary.delivered), None)
        if delivered is None:
            return None
        age = asyncio.get_running_loop().time() - delivered.sent_at
        return age if age >= OVERDUE_SECONDS else None
