"""Delivery to one dashboard, without IO. Source: protocol.md, «Order of delivery».

The protocol puts in what the client asks for. `next` returns what to write or to read next, and is called whenever the
socket takes more: answers, the link state, and what the automaton has. While the dashboard is up to date, its cohort
writes the events.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommittedEvent
from bridge.domain.utc_time import Millis
from bridge.protocol.client_frames import ResumePosition
from bridge.protocol.cohort import Batching
from bridge.protocol.delivery_automaton import UNINTERRUPTED, DeliveryAutomaton, DeliveryState, Output
from bridge.protocol.event_cursor import EventCursor
from bridge.protocol.event_feed import CheckResume, EventFeed, ReadResult
from bridge.protocol.event_selectors import ActiveSubscription, Interval
from bridge.protocol.fan_out import FanOut
from bridge.protocol.request_queue import Request, RequestQueue
from bridge.protocol.server_frames import (
    Close,
    ServerFrame,
    confirmation_frame,
    encode_frame,
    end_confirmation_frame,
)

R_co = TypeVar("R_co", bound=Hashable, covariant=True)


class Delivery(Generic[R_co]):
    """Delivery of frames to one dashboard: answers, snapshots, replays and events.

    `recipient` is who gets the bytes that its cohort flushes. `link` returns the link state to send.
    """

    __slots__ = ("_automaton", "_link", "_link_due", "_requests", "cursor")

    def __init__(
        self, recipient: R_co, *, feed: EventFeed, fan_out: FanOut[R_co], link: Callable[[], ServerFrame]
    ) -> None:
        self.cursor = EventCursor(recipient, feed=feed, fan_out=fan_out)
        self._link_due = True
        self._link = link
        self._requests = RequestQueue()
        self._automaton = DeliveryAutomaton(self.cursor, self._requests, feed)

    # What the client asks for.

    @property
    def subscriptions(self) -> Mapping[str, ActiveSubscription]:
        """Return the subscriptions in force, by id."""
        return self.cursor.table.by_id

    @property
    def replaced(self) -> Sequence[Interval]:
        """Return what was selected by subscriptions that were replaced, as far as it is still to be sent."""
        return self.cursor.table.replaced

    def authenticate(self, viewer: Viewer) -> None:
        """Take the viewer. Behind the next answer, frames that are no answers may be sent."""
        self.cursor.authenticate(viewer)

    def answer(self, frame: ServerFrame) -> None:
        """Queue an answer."""
        self._put(encode_frame(frame))

    def subscribe(self, subscription: Subscription, *, snapshot: bool) -> None:
        """Confirm a subscription, which replaces one with the same id.

        It begins with its snapshot, which is queued, or at the latest offset.
        """
        self._start(subscription, deferred=snapshot)
        self.answer(confirmation_frame(subscription))
        if snapshot:
            self.send_snapshot(subscription.request.id)

    def send_snapshot(self, name: str) -> None:
        """Queue a snapshot of the subscription that has this id now."""
        subscription = self.subscriptions[name]
        subscription.owes_snapshot = True
        self._put(subscription)

    def unsubscribe(self, name: str) -> None:
        """End a subscription, and confirm that: nothing of it is sent any more."""
        self._automaton.fall_behind()
        ended = self.subscriptions[name]
        confirmation = end_confirmation_frame(ended.request, ended.granted)
        self.cursor.table.end(name)
        self.answer(confirmation)

    def resume(self, subscriptions: Sequence[Subscription], since: Mapping[str, ResumePosition]) -> None:
        """Queue the answer to a resume, and the replay or snapshots of these subscriptions, which begin with it."""
        resumed = tuple(self._start(subscription, deferred=True) for subscription in subscriptions)
        self._put(CheckResume(since, resumed, tuple(subscriptions)))

    def update_grants(self, viewer: Viewer, subscriptions: Mapping[str, Subscription | None]) -> None:
        """Put the grants of a new token into force at once, also for what is not sent yet."""
        self._automaton.fall_behind()
        self.cursor.update_grants(viewer, subscriptions)

    def set_batching(self, *, batch: bool, batch_ms: int) -> None:
        """Write what is queued from here on, and events, in JSON arrays or as frames of their own."""
        self._requests.put(Batching(arrays=True, window_ms=batch_ms) if batch else Batching())

    def close(self, close: Close) -> None:
        """Queue the end of the connection."""
        self._requests.put(close)

    def _start(self, subscription: Subscription, *, deferred: bool) -> ActiveSubscription:
        self._automaton.fall_behind()
        return self.cursor.subscribe(subscription, deferred=deferred)

    def _put(self, request: Request) -> None:
        self._requests.put(request)
        if self._automaton.state is DeliveryState.GREETING and self.cursor.is_authenticated:
            self._automaton.start()

    # What the front asks for.

    @property
    def state(self) -> DeliveryState:
        return self._automaton.state

    @property
    def may_push(self) -> bool:
        """Return whether frames that are no answers may be sent."""
        return self.state is not DeliveryState.GREETING

    @property
    def has_requests(self) -> bool:
        """Return whether answers or other requests wait."""
        return bool(self._requests)

    @property
    def is_full(self) -> bool:
        """Return whether no more requests may be read from the client."""
        return self._requests.is_full

    @property
    def events_behind(self) -> int:
        """Return how many committed events others have got before: 0 for who is up to date, or gets none yet."""
        return self.cursor.events_behind if self.may_push and self.state is not DeliveryState.ENDED else 0

    def is_position_due(self, now: Millis) -> bool:
        """Return whether time alone has made a frame due."""
        return self._automaton.is_position_due(now)

    def selects_alone(self, event: CommittedEvent) -> bool:
        """Return whether this event is for its assignee, and no cohort brings it."""
        return self.cursor.selects_alone(event)

    def announce_link(self) -> None:
        """Have the link state sent, before all but answers."""
        self._link_due = True

    def fall_behind(self) -> None:
        """Leave the cohort: from now on `next` delivers, beginning with what waits to be flushed."""
        self._automaton.fall_behind()

    def end(self) -> None:
        """Leave everything; nothing is sent any more."""
        self._automaton.end()

    def next(self, now: Millis) -> Output | None:
        """Return what to write, or to read, next; None while there is nothing. `now`: ms from any start."""
        state = self._automaton.state
        if state is DeliveryState.ENDED:
            return None
        if state not in UNINTERRUPTED and (answer := self._next_answer()) is not None:
            return answer
        if state is DeliveryState.GREETING:
            return None
        if self._link_due:
            self._link_due = False
            return self._automaton.batching.frames([encode_frame(self._link())])
        return self._automaton.next(now)

    def read_done(self, result: ReadResult) -> bytes | Close | None:
        """Take the result of the awaited read, and return what it is followed by at once."""
        return self._automaton.read_done(result)

    def _next_answer(self) -> bytes | Close | None:
        self._change_batching()
        if answers := self._requests.take_answers():
            frames = self._automaton.batching.frames(answers)
            self._change_batching()  # at once: if the socket takes no more, a cohort may write what comes next
            return frames
        if isinstance(close := self._requests.head, Close):
            self._requests.take()
            return close
        return None

    def _change_batching(self) -> None:
        while isinstance(batching := self._requests.head, Batching):
            self._requests.take()
            self._automaton.change_batching(batching)
