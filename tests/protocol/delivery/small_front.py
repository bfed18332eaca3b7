"""The front of the small world with its dashboards, whose connections may end: a token expires, or a socket fails."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import msgspec
from typing_extensions import override

from bridge.domain.access.claims import Claims
from bridge.domain.access.policy import Policy
from bridge.domain.access.viewer import Viewer, admit
from bridge.protocol import cohort, event_cursor, request_queue
from bridge.protocol.delivery_automaton import DeliveryState
from bridge.protocol.ledger import Ledger
from tests.protocol.delivery.dashboard import SmallDashboard
from tests.protocol.delivery.oracle import PromiseBroken
from tests.protocol.delivery.samples import GRANTS, USER, event
from tests.protocol.delivery.world import EXPIRY, World
from tests.support.memory_socket import texts_of

_SHORT_LIVED: Final[dict[int, tuple[str]]] = {}


@cache
def short_lived_viewer(grants: str) -> Viewer:
    """Return a viewer whose token expires at `EXPIRY`."""
    claims = Claims(USER, "floor", EXPIRY, None, {"sub": USER, "grants": {"read": list(GRANTS[grants])}})
    built = admit(claims, Policy(roles={}), trust_grants=True)
    _SHORT_LIVED[id(built)] = (grants,)
    return built


def short_lived_arguments(built: Viewer) -> tuple[str]:
    """Return the arguments with which this object was built."""
    return _SHORT_LIVED[id(built)]


class SocketFailure(Exception):
    """A socket fails when it is written to."""


class EndingDashboard(SmallDashboard):
    """`short_lived`: its token expires at `EXPIRY`, or does not."""

    def __init__(self, world: World, grants: str, *, short_lived: bool = False) -> None:
        self.is_short_lived = short_lived
        self.former_ledger = Ledger()  # of its connections before
        super().__init__(world, grants)

    @property
    def is_ended(self) -> bool:
        return self.delivery.state is DeliveryState.ENDED

    @override
    def tick(self) -> None:
        if not self.is_ended:
            super().tick()

    def break_socket(self) -> None:
        self.socket.is_broken = True

    @override
    def _connect(self) -> None:
        self._has_arrays = self._was_flushed = False
        super()._connect()

    @override
    def _viewer(self) -> Viewer:
        return short_lived_viewer(self.grants) if self.is_short_lived else super()._viewer()

    @override
    def reconnect(self) -> None:
        self.is_short_lived = False
        self.former_ledger.add(self.ledger)
        super().reconnect()

    def renew(self, grants: str, *, short_lived: bool = False) -> None:
        """Replace the token."""
        self.is_short_lived = short_lived
        self.regrant(grants)

    @property
    def is_expired(self) -> bool:
        return self.is_short_lived and self.world.wall_now >= EXPIRY

    @override
    def close_if_expired(self) -> bool:
        if not self.is_expired:
            return False
        self._end()
        return True

    @override
    def fail(self, error: BaseException) -> None:
        if not isinstance(error, SocketFailure):
            self.fault = error
            raise error
        self._end()

    def _end(self) -> None:
        self.delivery.end()
        self.is_stalled = self.turn_ended = False
        self.awaited = None
        self.fetched.clear()
        self.socket.unread.clear()

    @override
    def pump(self) -> None:
        if self.is_ended or self.close_if_expired():
            return
        try:
            super().pump()
        except SocketFailure as error:
            self.fail(error)

    @override
    def complete_read(self) -> None:
        if self.close_if_expired():
            return
        try:
            super().complete_read()
        except SocketFailure as error:
            self.fail(error)

    @override
    def written(self, frames: bytes) -> None:
        if self.is_ended or self.is_expired:
            raise PromiseBroken(f"written after the end: {frames!r}")
        if self.socket.is_broken:
            raise SocketFailure
        self._check_write(frames)
        super().written(frames)

    def _check_write(self, frames: bytes) -> None:
        """Check how much is written at once, to whom, and in which form."""
        events: list[dict[str, Any]] = []
        for text in texts_of(frames):
            decoded = msgspec.json.decode(text)
            if isinstance(decoded, list) is not self._has_arrays:
                raise PromiseBroken(f"{text}, batching: {self._has_arrays}")
            for frame in decoded if isinstance(decoded, list) else (decoded,):
                if frame["type"] == "options":
                    self._has_arrays = frame["batch"]
                elif frame["type"] == "event":
                    events.append(frame)
        is_flush = self.delivery.state is DeliveryState.FOLLOWING and bool(events)  # else it is a position
        most = cohort.FLUSH_BYTES if is_flush else event_cursor.WRITE_BYTES
        size = sum(len(event(frame["offset"], self.world.kinds[frame["offset"] - 1]).body) for frame in events[:-1])
        if size > most or (not is_flush and len(events) > max(event_cursor.WRITE_EVENTS, request_queue.CHUNK_EVENTS)):
            raise PromiseBroken(f"{len(events)} events in one write")
        if is_flush and self._was_flushed and not self.socket.is_writable:
            raise PromiseBroken("a cohort goes on writing to a socket that takes no more")
        self._was_flushed = is_flush

    @override
    def check(self) -> None:
        if not self.is_ended:
            super().check()

    @override
    def finish(self) -> None:
        if self.is_ended:
            return
        if self.socket.is_broken or self.is_expired:
            self.tick()  # what is written ends it
        else:
            super().finish()


class SmallFront(World):
    """The world with its dashboards. `short_lived`: the tokens of the first dashboards expire, or do not."""

    def __init__(self, *, short_lived: Sequence[bool] = (False,), page_events: int = 3, cold: bool = False) -> None:
        super().__init__(page_events=page_events, cold=cold)
        self.dashboards: list[EndingDashboard] = []
        for is_short in short_lived:
            self.join(short_lived=is_short)

    def join(self, *, short_lived: bool = False) -> EndingDashboard:
        """Add a dashboard."""
        dashboard = EndingDashboard(self, "all", short_lived=short_lived)
        self.dashboards.append(dashboard)
        return dashboard

    def check(self) -> None:
        """Check what all dashboards were sent, and that the front keeps nothing of those that have ended."""
        for dashboard in self.dashboards:
            if dashboard.fault is not None:
                raise dashboard.fault
            dashboard.check()
        fan_out = self.broadcaster.fan_out
        members: list[Any] = []
        waiting: list[Any] = list(fan_out.ahead)
        for one in fan_out.cohorts:
            members += (membership.recipient for membership in one.members)
            waiting += one.joining
            if not one.members and not one.joining:
                raise PromiseBroken(f"a cohort without members: {one.key}")
            if one.joining and not one.is_waiting:
                raise PromiseBroken(f"one waits to join, and nothing is to be flushed: {one.key}")
        following = [board for board in self.dashboards if board.delivery.state is DeliveryState.FOLLOWING]
        if sorted(map(id, members)) != sorted(map(id, following)):
            raise PromiseBroken(f"{len(members)} members, {len(following)} follow")
        idle = [
            board
            for board in self.dashboards
            if board.delivery.state is DeliveryState.CATCHING_UP
            and board.socket.is_writable
            and board.is_idle
            and board not in waiting
        ]
        if idle:
            raise PromiseBroken("one is behind, and nothing will have it go on")
        kept = [*waiting, *(board for boards in fan_out.assignees.values() for board in boards)]
        if any(board.is_ended for board in kept):
            raise PromiseBroken("the front keeps a dashboard that has ended")
        if any((board.position or 0) > self.feed.offset for board in self.dashboards):
            raise PromiseBroken("a position from which a resume would not be recovered yet")
