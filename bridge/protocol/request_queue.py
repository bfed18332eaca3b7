"""Queue of one dashboard's requests that are to be served in order: answers, and work that takes several writes."""

from collections import deque
from typing import Final

from bridge.protocol.cohort import Batching
from bridge.protocol.delivery_outputs import CheckResume
from bridge.protocol.server_frames import Close
from bridge.protocol.subscription_table import ActiveSubscription

MAX_QUEUED_REQUESTS: Final = 256  # for a client that sends requests and does not read
MAX_ANSWER_BYTES: Final = 16_384  # of all queued answers; a single answer may be larger
MAX_ANSWERS_PER_WRITE: Final = 256

Request = bytes | Batching | ActiveSubscription | CheckResume | Close
"""An answer, a change of the format, a snapshot of a subscription, a resume, or the end of the connection.

A subscription that has ended by its turn, or was replaced by one with the same id, gets no snapshot.
"""


class RequestQueue:
    """Encoded answers and other requests, in order. Answers are charged by their bytes."""

    __slots__ = ("_answer_bytes", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[Request] = deque()
        self._answer_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __contains__(self, request: Request) -> bool:
        return request in self._waiting

    @property
    def head(self) -> Request | None:
        return self._waiting[0] if self._waiting else None

    @property
    def is_full(self) -> bool:
        """Return whether no more requests may be read from the client."""
        return len(self._waiting) >= MAX_QUEUED_REQUESTS or self._answer_bytes >= MAX_ANSWER_BYTES

    @property
    def has_snapshot_or_replay(self) -> bool:
        return any(isinstance(request, ActiveSubscription | CheckResume) for request in self._waiting)

    def put(self, request: Request) -> None:
        self._waiting.append(request)
        if isinstance(request, bytes):
            self._answer_bytes += len(request)

    def put_first(self, request: Request) -> None:
        self._waiting.appendleft(request)

    def take(self) -> Request:
        request = self._waiting.popleft()
        if isinstance(request, bytes):
            self._answer_bytes -= len(request)
        return request

    def take_answers(self) -> list[bytes]:
        """Take the answers at the head, up to the next request of another kind."""
        answers: list[bytes] = []
        while self._waiting and len(answers) < MAX_ANSWERS_PER_WRITE and isinstance(answer := self._waiting[0], bytes):
            self.take()
            answers.append(answer)
        return answers
