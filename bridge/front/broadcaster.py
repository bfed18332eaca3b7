"""Broadcast of committed events: each is queued once per cohort, and a flush writes the same bytes to every member."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from bridge.domain.records import CommittedEvent
from bridge.ports.clock import FrontClock
from bridge.ports.dashboard_socket import DashboardSocket
from bridge.protocol.cohort import Cohort, FlushDue
from bridge.protocol.delivery import Delivery
from bridge.protocol.event_feed import EventFeed
from bridge.protocol.fan_out import FanOut
from bridge.protocol.ledger import Ledger

TURN_MEMBERS: Final = 64  # written to at the end of a window before an alarm may pass: a write costs some 10 us


class Recipient(Protocol):
    """One dashboard's connection, as the broadcaster needs it."""

    delivery: Delivery["Recipient"]

    @property
    def socket(self) -> DashboardSocket: ...

    def pump(self) -> None:
        """Write what its delivery has, as far as the socket takes it."""

    def close_if_expired(self) -> bool:
        """Close the connection if its token has expired, and return whether it has."""

    def fail(self, error: BaseException) -> None:
        """End the connection because of a fault in the bridge; log and count it."""

    def __hash__(self) -> int: ...


CallLater = Callable[[float, Callable[[Any], None], Any], object]
"""Has a function called with this argument, in so many seconds."""


def call_later(seconds: float, function: Callable[[Any], None], argument: object) -> None:
    """Have the running event loop call a function later."""
    asyncio.get_running_loop().call_later(seconds, function, argument)


class Broadcaster:
    """Delivers committed events to the dashboards of one journal; no call waits for a socket."""

    def __init__(
        self, feed: EventFeed, clock: FrontClock, ledger: Ledger, *, call_later: CallLater = call_later
    ) -> None:
        self.fan_out: FanOut[Recipient] = FanOut(feed, ledger)
        self._feed = feed
        self._clock = clock
        self._call_later = call_later
        self._windows: dict[int, list[Cohort[Recipient]]] = {}  # by length in ms: those whose window runs

    def deliver(self, events: Sequence[CommittedEvent]) -> None:
        """Deliver the events that come next in the journal; alarms among them are written before this returns."""
        feed, fan_out = self._feed, self.fan_out
        due: dict[Cohort[Recipient], None] = {}
        to_pump: dict[Recipient, None] = {}
        for event in events:
            if event.assignees:
                to_pump |= self._separate_assignees(event)
            feed.advance(event)
            for cohort in fan_out.route(event):
                match cohort.add(event):
                    case FlushDue.SCHEDULED:
                        pass
                    case FlushDue.IN_WINDOW:
                        self._begin_window(cohort)
                    case FlushDue.AFTER_COMMIT:
                        due[cohort] = None
                    case FlushDue.BUFFER_FULL:
                        to_pump |= self._flush(cohort)
        for cohort in due:
            to_pump |= self._flush(cohort)
        to_pump |= fan_out.ahead
        fan_out.ahead.clear()
        # Only now: who is pumped may join a cohort to which the event is still to be added.
        for recipient in to_pump:
            recipient.pump()

    def _separate_assignees(self, event: CommittedEvent) -> dict[Recipient, None]:
        """Let assignees leave the cohorts that do not select the event, before it is delivered, and return them."""
        separate: dict[Recipient, None] = {}
        for user_id in event.assignees:
            for recipient in self.fan_out.assignees.get(user_id, ()):
                if recipient.delivery.selects_alone(event):
                    separate[recipient] = None
        for recipient in separate:
            recipient.delivery.fall_behind()
        return separate

    def _begin_window(self, cohort: Cohort[Recipient]) -> None:
        length = cohort.batching.window_ms
        cohorts = self._windows.get(length)
        if cohorts is None:
            # One timer for all cohorts with this window: it ends for all of them with that of the first.
            self._windows[length] = [cohort]
            self._call_later(length / 1_000, self._end_window, length)
        else:
            cohorts.append(cohort)

    def _end_window(self, length: int) -> None:
        self._flush_in_turns(deque(self._windows.pop(length)))

    def _flush_in_turns(self, cohorts: deque[Cohort[Recipient]]) -> None:
        """Flush these, and let the event loop do other work after every `TURN_MEMBERS` writes."""
        written = 0
        while cohorts:
            if written >= TURN_MEMBERS:
                self._call_later(0, self._flush_in_turns, cohorts)
                return
            cohort = cohorts.popleft()
            written += len(cohort.members)
            for recipient in self._flush(cohort):
                recipient.pump()

    def _flush(self, cohort: Cohort[Recipient]) -> dict[Recipient, None]:
        """Write what waits to all members, and return those who waited for that in order to join.

        A fault ends the dashboards that it concerns, and no other.
        """
        if not cohort.is_waiting:
            return {}
        try:
            if cohort.earliest_expiry <= self._clock.wall_now():
                for membership in list(cohort.members):
                    membership.recipient.close_if_expired()
                cohort.find_earliest_expiry()
            self._write(cohort, cohort.waiting_frames())
        except Exception as error:  # noqa: BLE001 - see above
            for membership in list(cohort.members):
                membership.recipient.fail(error)
            cohort.end_flush()  # for nobody
        return dict.fromkeys(self.fan_out.end_flush(cohort))

    @staticmethod
    def _write(cohort: Cohort[Recipient], frames: bytes) -> None:
        behind: list[Recipient] = []
        faults: list[tuple[Recipient, Exception]] = []
        for membership in cohort.members:
            recipient = membership.recipient
            try:
                recipient.socket.write(frames)
                if not recipient.socket.is_writable:
                    behind.append(recipient)
            except Exception as error:  # noqa: BLE001 - one dashboard's fault is not that of all others
                faults.append((recipient, error))
        for recipient, fault in faults:
            recipient.fail(fault)
        cohort.end_flush()
        for recipient in behind:
            recipient.delivery.fall_behind()
