"""What waits for a connection's writer to do in its turn, bound to the subscriptions it was asked for."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Final

from bridge.core.dashboard.actions import Greet, ResumeFrom, SendSnapshot, SetBatch
from bridge.core.dashboard.following import Following
from bridge.core.dashboard.interests import Interests
from bridge.core.dashboard.server_frames import Close


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot to be sent, unless what it is for has ended when its turn comes: also by asking again with its id."""

    following: Following


@dataclass(frozen=True, slots=True)
class Resumption:
    """An answer to `resume`, and what is to be read again for those of its subscriptions that are still there."""

    resume: ResumeFrom
    followings: tuple[Following, ...]


Item = bytes | SetBatch | Greet | SendSnapshot | ResumeFrom | Close
Work = bytes | SetBatch | Greet | Snapshot | Resumption | Close


MAX_WAITING: Final = 256  # for a client that asks and does not read,
MAX_ANSWER_BYTES: Final = 16_384  # and of what size; an answer may be larger, then it waits alone
MAX_ANSWERS: Final = 256  # of one write


class WorkQueue:
    """In order: answers, encoded, and pieces of work. `room` is cleared while too much waits to ask for more."""

    def __init__(self) -> None:
        self.room = asyncio.Event()
        self.room.set()
        self._waiting: deque[Work] = deque()
        self._answer_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    @property
    def head(self) -> Work | None:
        return self._waiting[0] if self._waiting else None

    @property
    def changes_state(self) -> bool:
        """Whether a snapshot or a replay waits."""
        return any(isinstance(each, Snapshot | Resumption) for each in self._waiting)

    def put(self, item: Item, interests: Interests) -> None:
        """Append the item, for the subscriptions that are in force now, whatever has their ids later."""
        match item:
            case SendSnapshot(name):
                self._waiting.append(Snapshot(interests.followings[name]))
            case ResumeFrom(admitted):
                followings = (interests.followings[each.selection.id] for each in admitted)
                self._waiting.append(Resumption(item, tuple(followings)))
            case _:
                self._waiting.append(item)
        if isinstance(item, bytes):
            self._answer_bytes += len(item)
        if self._full:
            self.room.clear()

    def take(self) -> Work:
        work = self._waiting.popleft()
        if isinstance(work, bytes):
            self._answer_bytes -= len(work)
        return work

    def take_answers(self) -> list[bytes]:
        """The answers at the head, up to the next piece of work."""
        found: list[bytes] = []
        while isinstance(self.head, bytes) and len(found) < MAX_ANSWERS:
            answer = self.take()
            assert isinstance(answer, bytes)
            found.append(answer)
        return found

    def written(self) -> None:
        """What was taken is on its way to the client: ask on, unless too much waits still."""
        if not self._full:
            self.room.set()

    @property
    def _full(self) -> bool:
        return len(self._waiting) >= MAX_WAITING or self._answer_bytes >= MAX_ANSWER_BYTES
