"""Queue of a connection's writer: answers and tasks, bound to the subscriptions they were requested for."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from bridge.protocol.actions import EnablePush, ResumeFrom, SendSnapshot, SetBatching
from bridge.protocol.active_subscriptions import ActiveSubscription, SubscriptionSet
from bridge.protocol.server_frames import Close


@dataclass(frozen=True, slots=True)
class SnapshotTask:
    """A snapshot to send, unless its subscription has ended, or was replaced by one with the same id, by its turn."""

    subscription: ActiveSubscription


@dataclass(frozen=True, slots=True)
class ResumeTask:
    """An answer to `resume`, and the replay for those of its subscriptions that are still in force."""

    resume: ResumeFrom
    subscriptions: tuple[ActiveSubscription, ...]


WriteRequest = bytes | SetBatching | EnablePush | SendSnapshot | ResumeFrom | Close
WriteTask = bytes | SetBatching | EnablePush | SnapshotTask | ResumeTask | Close


MAX_QUEUED_TASKS: Final = 256  # for a client that sends requests and does not read
MAX_ANSWER_BYTES: Final = 16_384  # of all queued answers; a single answer may be larger
MAX_ANSWERS_PER_WRITE: Final = 256  # of one write


class WriteQueue:
    """Encoded answers and tasks, in order. `not_full` is cleared while no more requests may be read."""

    def __init__(self) -> None:
        self.not_full = asyncio.Event()
        self.not_full.set()
        self._waiting: deque[WriteTask] = deque()
        self._answer_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def head(self) -> WriteTask | None:
        return self._waiting[0] if self._waiting else None

    @property
    def has_snapshot_or_replay(self) -> bool:
        """Return whether a snapshot or a replay is queued."""
        return any(isinstance(task, SnapshotTask | ResumeTask) for task in self._waiting)

    def put(self, item: WriteRequest, subscriptions: SubscriptionSet) -> None:
        """Append the item, bound to the subscriptions now in force, not to later ones with the same ids."""
        match item:
            case SendSnapshot(subscription_id):
                self._waiting.append(SnapshotTask(subscriptions.by_id[subscription_id]))
            case ResumeFrom(resumed):
                active = (subscriptions.by_id[subscription.request.id] for subscription in resumed)
                self._waiting.append(ResumeTask(item, tuple(active)))
            case _:
                self._waiting.append(item)
        if isinstance(item, bytes):
            self._answer_bytes += len(item)
        if self._is_full:
            self.not_full.clear()

    def take(self) -> WriteTask:
        task = self._waiting.popleft()
        if isinstance(task, bytes):
            self._answer_bytes -= len(task)
        return task

    def take_answers(self) -> list[bytes]:
        """Take the answers at the head, up to the next task."""
        answers: list[bytes] = []
        while isinstance(self.head, bytes) and len(answers) < MAX_ANSWERS_PER_WRITE:
            answer = self.take()
            assert isinstance(answer, bytes)
            answers.append(answer)
        return answers

    def mark_written(self) -> None:
        """Allow more requests after answers were written, unless the queue is still full."""
        if not self._is_full:
            self.not_full.set()

    @property
    def _is_full(self) -> bool:
        return len(self._waiting) >= MAX_QUEUED_TASKS or self._answer_bytes >= MAX_ANSWER_BYTES
