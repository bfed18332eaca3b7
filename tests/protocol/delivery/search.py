"""Exhaustive search: every order of a few requests, and of all that they lead to; a state is visited once.

A state is the pickled world: bridge, client and oracle. Loading it is the way back to it.
"""

import io
import pickle
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommittedEvent, Position
from bridge.protocol.cohort import Batching
from bridge.protocol.subscription_table import Interval
from tests.protocol.delivery import samples
from tests.protocol.delivery.dashboard import SmallDashboard
from tests.protocol.delivery.moves import finish, left_to_do, make
from tests.protocol.delivery.oracle import PromiseBroken
from tests.protocol.delivery.world import World

# What is built once is not copied with each state.
_REDUCERS: Final[dict[type, Any]] = {
    CommittedEvent: lambda event: (samples.event, samples.event_arguments(event)),
    Viewer: lambda viewer: (samples.viewer, samples.viewer_arguments(viewer)),
    Subscription: lambda subscription: (samples.admitted, samples.admitted_arguments(subscription)),
    # As pickle would, and faster.
    Position: lambda position: (Position, (position.stream, position.epoch, position.offset)),
    Batching: lambda batching: (Batching, (batching.arrays, batching.window_ms)),
    Interval: lambda interval: (Interval, (interval.id, interval.selector, interval.until)),
}


@dataclass(frozen=True)
class Scope:
    """`moves`: each happens so often as it is named; those of the first `ordered` only in this order.

    `before`: what has happened already. `peer`: another dashboard gets everything, and so has a cohort.
    """

    moves: Sequence[str]
    ordered: Sequence[str] = ()
    before: Sequence[str] = ()
    peer: bool = False
    cold: bool = False


@dataclass
class Search:
    """The states that were visited. `most`: no more than so many."""

    scope: Scope
    most: int = 10_000_000
    states: set[bytes] = field(default_factory=set)
    transitions: int = 0
    ends: int = 0

    def run(self) -> "Search":
        world = World(page_events=2, cold=self.scope.cold)
        dashboards = [SmallDashboard(world, "all")]
        if self.scope.peer:
            dashboards.append(SmallDashboard(world, "all"))
            dashboards[1].subscribe("b", "all", snapshot=False)
        for name in self.scope.before:
            make(name, world, dashboards)
        counts = Counter(self.scope.moves)
        names = tuple(counts)
        start = _save(world, dashboards)
        waiting: deque[tuple[bytes, tuple[int, ...], int, tuple[str, ...]]] = deque()
        waiting.append((start, tuple(counts.values()), 0, ()))
        while waiting and len(self.states) < self.most:
            saved, left, done, path = waiting.popleft()
            world, dashboards = _load(saved)
            possible = list(left_to_do(world, dashboards[0]))
            if len(dashboards) > 1:
                possible += [f"1 {name}" for name in left_to_do(world, dashboards[1]) if name == "complete read"]
            possible += [name for name, count in zip(names, left, strict=True) if count]
            if done < len(self.scope.ordered):
                possible.append(self.scope.ordered[done])
            if not any(left) and done == len(self.scope.ordered):
                self.ends += 1
            self._check_end(world, dashboards, path)
            for name in possible:
                world, dashboards = _load(saved)
                self.transitions += 1
                self._make(name, world, dashboards, path)
                after = tuple(count - (name == other) for other, count in zip(names, left, strict=True))
                ordered = done + (done < len(self.scope.ordered) and name == self.scope.ordered[done])
                state = _save(world, dashboards)
                key = state + bytes((*after, ordered))
                if key not in self.states:
                    self.states.add(key)
                    waiting.append((state, after, ordered, (*path, name)))
        return self

    def _make(self, name: str, world: World, dashboards: list[SmallDashboard], path: tuple[str, ...]) -> None:
        try:
            at = 1 if name.startswith("1 ") else 0
            make(name.removeprefix("1 "), world, dashboards, at)
        except Exception as error:
            raise PromiseBroken(f"{error!r} after {[*self.scope.before, *path, name]}") from error

    def _check_end(self, world: World, dashboards: list[SmallDashboard], path: tuple[str, ...]) -> None:
        try:
            finish(world, dashboards)
        except Exception as error:
            raise PromiseBroken(f"{error!r} after {[*self.scope.before, *path]}, at the end") from error


def _save(world: World, dashboards: list[SmallDashboard]) -> bytes:
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=5)
    pickler.dispatch_table = _REDUCERS
    pickler.dump((world, dashboards))
    return buffer.getvalue()


def _load(saved: bytes) -> tuple[World, list[SmallDashboard]]:
    loaded: tuple[World, list[SmallDashboard]] = pickle.loads(saved)
    return loaded
