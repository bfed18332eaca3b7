"""A user's dashboard that checks every promise as it goes, without IO: texts in, texts to send out."""

import json
from collections.abc import Callable

from tests.support.delivery_checker import DeliveryChecker
from tests.support.memory_journal import MemoryJournal
from tests.support.random_histories import RequestedSubscription
from tests.support.reference_dashboard import ReferenceDashboard
from tests.support.reference_subscription import Frame


class CheckedDashboard:
    """The reference dashboard and its checker over all connections of a user; raises PromiseBroken and Breach.

    `grants_of`: what a token lets its bearer read.
    """

    def __init__(self, user: str, journal: MemoryJournal, grants_of: Callable[[str], tuple[str, ...]]) -> None:
        self.client = ReferenceDashboard(user)
        self.checker = DeliveryChecker(journal, self.client, grants_of)
        self.connections = 0
        self._journal = journal

    def connect(self, token: str) -> list[str]:
        """Begin a connection; returns what to send on it."""
        self.connections += 1
        self.checker.connect()
        return self.send(*self.client.reconnect(token))

    def send(self, *frames: Frame) -> list[str]:
        for frame in frames:
            self.checker.send(frame)
        return [json.dumps(frame) for frame in frames]

    def subscribe(self, request: RequestedSubscription) -> list[str]:
        self.checker.expect(request)
        return self.send(self.client.subscribe(request.body))

    def receive(self, text: str) -> list[str]:
        """Take one message; returns what to send in reply."""
        self.checker.receive(text)
        replies, self.client.replies = self.client.replies, []
        return self.send(*replies)

    def is_current(self, epoch: str) -> bool:
        """Return whether all was answered, and the position is the end of the journal."""
        if not self.client.settled:
            return False
        has_subscription = any(subscription.confirmed for subscription in self.client.subscriptions.values())
        return not has_subscription or self.client.position.get("main") == {"epoch": epoch, "offset": self._journal.end}
