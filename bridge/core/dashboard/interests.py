"""All that one dashboard wants: subscriptions, assignments, and while it reads again, what of it is new to it."""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Final

from bridge.core.access.subscriptions import Admitted
from bridge.core.dashboard.following import Assignments, Following, Interest, Replay, wanted
from bridge.core.records import CommittedEvent
from bridge.core.topics import TopicName

NOT_YET: Final = 2**63 - 1  # after this offset: what a subscription wants before its snapshot or replay begins


class Interests:
    def __init__(self) -> None:
        self.followings: dict[str, Following] = {}
        self.assignments: list[Assignments] = []
        self._replay: Replay | None = None

    def __contains__(self, following: Following) -> bool:
        """Whether it is in force: not ended, nor replaced by one with the same id."""
        return self.followings.get(following.id) is following

    def __iter__(self) -> Iterator[Interest]:
        yield from self.followings.values()
        yield from self.assignments

    def follow(self, admitted: Admitted, *, after: int) -> Following:
        following = Following(admitted.selection.id, admitted, after)
        self.followings[following.id] = following
        return following

    def admitted(self) -> Iterator[Admitted]:
        """What of the subscriptions is granted now."""
        return (each.admitted for each in self.followings.values() if each.admitted is not None)

    def want(self, event: CommittedEvent, name: TopicName) -> bool:
        return wanted(self, event, name)

    def lack(self, event: CommittedEvent, name: TopicName) -> bool:
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
