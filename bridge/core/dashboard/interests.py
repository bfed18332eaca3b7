"""All that one dashboard wants: subscriptions, assignments, and while it reads again, what of it is new to it."""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Final

from bridge.core.access.subscriptions import Admitted
from bridge.core.access.viewer import Viewer
from bridge.core.dashboard.following import Assignments, Following, Interest, Owed, Replay, wanted
from bridge.core.records import Committed
from bridge.core.topics import TopicName

NOT_YET: Final = 2**63 - 1  # after this offset: what a subscription wants before its snapshot or replay begins
MAX_OWED: Final = 100  # subscriptions of one connection that were asked for anew while much waited


class Interests:
    def __init__(self) -> None:
        self.followings: dict[str, Following] = {}
        self.assignments: list[Assignments] = []
        self._owed: list[Owed] = []
        self._replay: Replay | None = None

    def __contains__(self, following: Following) -> bool:
        """Whether it is in force: not ended, nor replaced by one with the same id."""
        return self.followings.get(following.id) is following

    def __iter__(self) -> Iterator[Interest]:
        """What is in force. What is owed beside it was not asked for by anything that could resume."""
        yield from self.followings.values()
        yield from self.assignments

    def follow(self, admitted: Admitted, *, after: int) -> Following:
        following = Following(admitted.selection.id, admitted, after)
        self.followings[following.id] = following
        return following

    def replace(self, name: str, *, until: int) -> Following | None:
        """Make room for a subscription with this id; returns the one that had it.

        What that had coming up to here is owed still: asking anew must not lose an alarm (P3).
        """
        former = self.followings.pop(name, None)
        if former is not None and former.admitted is not None and former.after < until:
            self._owed.append(Owed(former.admitted, former.after, until))
        return former

    def end(self, name: str) -> Following | None:
        """End the subscription with this id, and what is owed by its name; returns it."""
        self._owed = [each for each in self._owed if each.admitted.selection.id != name]
        return self.followings.pop(name, None)

    @property
    def owes_too_much(self) -> bool:
        """Stops a client that asks for the same id again and again, and reads nothing."""
        return len(self._owed) > MAX_OWED

    def regrant(self, viewer: Viewer) -> None:
        """What assignments and owed events are granted follows the viewer's new token."""
        for assignments in self.assignments:
            assignments.viewer = viewer
        for owed in self._owed:
            owed.viewer = viewer

    def nothing_owed(self) -> None:
        """All that was wanted up to now is with the client."""
        self._owed.clear()

    def admitted(self) -> Iterator[Admitted]:
        """What of the subscriptions is granted now."""
        yield from (each.admitted for each in self.followings.values() if each.admitted is not None)
        yield from (each.admitted for each in self._owed)

    def want(self, event: Committed, name: TopicName) -> bool:
        return wanted(self, event, name) or wanted(self._owed, event, name)

    def lack(self, event: Committed, name: TopicName) -> bool:
        """Whether an event read from the journal is to be delivered: it is wanted, and was not had before."""
        if self._replay is not None and event.offset <= self._replay.until:
            return self._replay.wants(event, name)
        return self.want(event, name)

    def rewind(self, since: int, followings: Sequence[Following], *, done: int) -> None:
        """Have these subscriptions, and assignments, want what came after `since`; the others had it up to `done`."""
        resumed = [each for each in followings if each in self]
        fresh: list[Interest] = list(resumed)
        # Copies: what they have had stays had, also where one of them ends or changes during the replay.
        settled = [copy(each) for each in self if each not in fresh]
        for each in resumed:
            each.after = since
        if self.assignments and since < self.assignments[0].after:
            missed = Assignments(self.assignments[0].viewer, since)
            self.assignments[1:] = [missed]
            fresh.append(missed)
        if since < done:
            self._replay = Replay(until=done, fresh=tuple(fresh), settled=tuple(settled))

    def caught_up(self) -> None:
        self._replay = None
