"""One dashboard's place in the committed events: which it selects, how far it has got, and what came of each.

A dashboard has no queue of events. While it is up to date it is a member of a cohort, which writes to all its members;
otherwise it reads from the feed after its cursor.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommittedEvent, Position
from bridge.domain.utc_time import Millis
from bridge.protocol.cohort import Batching, Membership
from bridge.protocol.event_feed import EventFeed, EventPage, ReadPage
from bridge.protocol.event_selectors import ActiveSubscription, AssignmentSubscription
from bridge.protocol.fan_out import FanOut
from bridge.protocol.ledger import Ledger, PositionSchedule, Tally
from bridge.protocol.server_frames import ServerFrame
from bridge.protocol.subscription_table import NO_OFFSET_YET, SubscriptionTable

WRITE_EVENTS: Final = 256  # of one write: the most that an expiry, an answer or an alarm waits for
WRITE_BYTES: Final = 16_384  # of one write
READ_AHEAD_BYTES: Final = 65_536  # of memory for events that are read and not yet written: of the 256 KiB

R_co = TypeVar("R_co", bound=Hashable, covariant=True)


class EventCursor(Generic[R_co]):
    """Events of one dashboard. `recipient` is who gets the bytes that its cohort flushes."""

    def __init__(self, recipient: R_co, *, feed: EventFeed, fan_out: FanOut[R_co]) -> None:
        self.table = SubscriptionTable(fan_out.subscriptions)
        self._recipient = recipient
        self._feed = feed
        self._fan_out = fan_out
        self._offset = feed.offset  # while it is in no cohort: all that is selected up to here was sent or conflated
        self._reader = ReplayReader(feed, self.table)
        self._expires_at = 0  # of the token, ms since the Unix epoch
        self._membership: Membership[R_co] | None = None
        self.ended_ledger = Ledger()  # outcomes of all events but those of its present cohort
        self._positions = PositionSchedule()
        self._has_news = False

    @property
    def offset(self) -> int:
        """Return the offset up to which every selected event was sent or conflated."""
        return self._offset if self._membership is None else self._membership.cohort.flushed_offset

    @property
    def events_behind(self) -> int:
        return 0 if self._membership is not None else max(0, self._feed.offset - self._offset)

    @property
    def _conflated(self) -> Tally:
        former, here = self.ended_ledger.conflated, self._membership
        if here is None or here.cohort.ledger.conflated == here.joined_ledger.conflated:
            return former
        return former + here.ledger.conflated

    @property
    def has_news(self) -> bool:
        """Return whether events were sent since the last position."""
        here = self._membership
        return self._has_news or (here is not None and here.cohort.flushes > here.seen_flushes)

    # Positions.

    def is_position_due(self, now: Millis) -> bool:
        """Return whether it is time for a position; there is none without a subscription."""
        return bool(self.table.by_id) and self._positions.is_due(now, has_news=self.has_news)

    def position_frames(self, now: Millis) -> list[ServerFrame]:
        """Return the frames that state the position, and what was conflated on the way to it."""
        self._has_news = False
        if self._membership is not None:
            self._membership.seen_flushes = self._membership.cohort.flushes
        here = self._feed.position
        # Not beyond the front's own position: it could not yet recover a resume from there.
        position = Position(here.stream, here.epoch, min(here.offset, self.offset))
        return self._positions.frames(position, self._conflated, now=now)

    # Subscriptions. Each change is made outside the cohort.

    def authenticate(self, viewer: Viewer) -> None:
        """Take the viewer, whose job assignments `start` begins with; a later token comes through `update_grants`."""
        self._expires_at = viewer.expires_at
        self.table.assignments = AssignmentSubscription(viewer, NO_OFFSET_YET)
        self._fan_out.add_assignee(viewer.user_id, self._recipient)

    @property
    def is_authenticated(self) -> bool:
        return self.table.assignments is not None

    def start(self) -> None:
        """Begin at the latest offset: what was committed before, since the connect, is for nobody."""
        assert self.table.assignments is not None, "it is authenticated"
        self._offset = self.table.assignments.after = self._feed.offset
        self._fan_out.outside[self._recipient] = None

    def subscribe(self, subscription: Subscription, *, deferred: bool) -> ActiveSubscription:
        """Start a subscription from the latest offset on, or, if `deferred`, from its snapshot or replay on."""
        offset = self._feed.offset
        after = NO_OFFSET_YET if deferred else max(offset, self._offset)
        self._reader.restart()
        return self.table.add(subscription, after=after, cursor=self._offset, offset=offset)

    def update_grants(self, viewer: Viewer, subscriptions: Mapping[str, Subscription | None]) -> None:
        self._expires_at = viewer.expires_at
        self.table.update_grants(viewer, subscriptions, cursor=self._offset)
        self._reader.restart()

    def resume(self, subscriptions: Sequence[ActiveSubscription], *, since: int | None) -> list[ActiveSubscription]:
        """Go back to `since` for these subscriptions, and for the job assignments; None: nothing can be replayed.

        Return those in force to which a snapshot is owed.
        """
        in_force = [subscription for subscription in subscriptions if subscription in self.table]
        if since is None:
            self.table.drop_replaced(in_force)
            for subscription in in_force:
                subscription.owes_snapshot = True
        else:
            self.table.resume(in_force, since=since, cursor=self._offset)
            self._offset = min(self._offset, since)
            self.table.forget(self._offset)
            self._reader.restart()
        return [subscription for subscription in in_force if subscription.owes_snapshot]

    # Cohorts.

    def join(self, batching: Batching) -> bool:
        """Join the cohort of all that want the same, and return whether that was possible.

        If not, the fan-out has the recipient go on when it is.
        """
        if self._offset > self._feed.offset or not self.table.is_settled(self._offset):
            self._fan_out.forget(self._recipient)
            self._fan_out.ahead[self._recipient] = None
            return False
        self._membership = self._fan_out.join(
            self._recipient, self.table.granted(), batching, expires_at=self._expires_at
        )
        self.table.drop_indexes()
        return self._membership is not None

    def leave(self) -> bool:
        """Leave the cohort, if it is in one or joins one: what waits to be flushed there is read from the feed."""
        if self._membership is None:
            self._fan_out.forget(self._recipient)
            return False
        self._has_news = self.has_news
        membership, self._membership = self._membership, None
        self._offset = membership.cohort.flushed_offset
        self.ended_ledger.add(membership.ledger)
        self._fan_out.leave(membership)
        return True

    def selects_alone(self, event: CommittedEvent) -> bool:
        """Return whether this event is for its assignee, and no cohort brings it."""
        assignments = self.table.assignments
        if assignments is None or not assignments.selects(event):
            return False
        return self._membership is None or self._membership.cohort not in self._fan_out.route(event)

    def end(self) -> None:
        """Leave everything."""
        self.table.close()
        self.leave()
        self._fan_out.outside.pop(self._recipient, None)
        self._fan_out.forget(self._recipient)
        if self.table.assignments is not None:
            self._fan_out.remove_assignee(self.table.assignments.viewer.user_id, self._recipient)

    # Reading.

    def next_events(self, *, up_to: int) -> list[CommittedEvent] | ReadPage:
        """Return what to send next, up to this offset, and count it as sent; or return the read that it takes.

        Nothing, although `offset` is below `up_to`: what was read matches nothing.
        """
        part = self._reader.next(self._offset, up_to=up_to)
        if isinstance(part, ReadPage):
            return part
        self._offset = self._reader.reached
        self.table.forget(self._offset)
        for ledger in (self.ended_ledger, self._fan_out.ledger):
            ledger.count_conflated(part.conflated)
            ledger.count_sent(part.events)
        self._has_news = self._has_news or bool(part.events)
        return part.events

    def take_page(self, page: EventPage, *, after: int) -> None:
        """Take a page that was read for `next_events`."""
        self._reader.take_page(page, after=after)


@dataclass(frozen=True, slots=True)
class ReplayPart:
    """Events to write, and those that later ones of their state keys replace."""

    events: list[CommittedEvent]
    conflated: list[CommittedEvent]


class ReplayReader:
    """Reads one page at a time, and keeps of it what may be selected. What is sent is decided when it is sent."""

    __slots__ = ("_covered", "_feed", "_table", "_waiting", "reached")

    def __init__(self, feed: EventFeed, table: SubscriptionTable) -> None:
        self.reached = 0  # the offset up to which the last part goes
        self._feed = feed
        self._table = table
        self._waiting: deque[CommittedEvent] = deque()
        self._covered = 0  # nothing up to here must be read, beside what waits

    def restart(self) -> None:
        """Forget what is read: the subscriptions or the cursor have changed."""
        self._waiting.clear()
        self._covered = 0

    def take_page(self, page: EventPage, *, after: int) -> None:
        """Keep the events of a page after this offset, up to `READ_AHEAD_BYTES`."""
        size = 0
        self._waiting.clear()
        self._covered = page.last
        for event in self._matching(page, after=after):
            self._waiting.append(event)
            size += event.memory_bytes
            if size > READ_AHEAD_BYTES:
                self._covered = event.offset
                return

    def _matching(self, page: EventPage, *, after: int) -> Iterable[CommittedEvent]:
        """Return what may be selected: of few subscriptions the page's shared matches, of many by their index."""
        if self._table.has_few:
            return page.matching(self._table.granted(), after=after)
        return filter(self._table.may_select, page.later(after))

    def next(self, cursor: int, *, up_to: int) -> ReplayPart | ReadPage:
        """Return the part that follows the cursor, none beyond `up_to`, or the read that it takes."""
        if self._covered <= cursor:
            page = self._feed.page_after(cursor)
            if page is None:
                return ReadPage(cursor)
            self.take_page(page, after=cursor)
        part = ReplayPart([], [])
        size = 0
        while self._waiting and (event := self._waiting[0]).offset <= up_to:
            if event.offset > cursor and self._table.selects(event):
                if self._feed.is_superseded(event):
                    part.conflated.append(event)
                else:
                    size += len(event.body)
                    if part.events and (size > WRITE_BYTES or len(part.events) == WRITE_EVENTS):
                        self.reached = event.offset - 1
                        return part
                    part.events.append(event)
            self._waiting.popleft()
        self.reached = min(self._covered, up_to)
        return part
