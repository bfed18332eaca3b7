"""Delivery to one dashboard, without IO. Source: protocol.md, «Order of delivery»; its states are a table.

`next` returns what to write or to read next, and is called whenever the socket takes more. While the dashboard is up to
date, its cohort writes the events.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Final, Generic, TypeVar

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import Position
from bridge.domain.utc_time import Millis
from bridge.protocol.actions import ResumeFrom, SendSnapshot, SetBatching
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.cohort import Batching
from bridge.protocol.delivery_outputs import (
    CheckResume,
    Output,
    Read,
    ReadEvents,
    ReadPage,
    ReadResult,
    ReadSnapshot,
    SnapshotOffsets,
    TakeTurns,
)
from bridge.protocol.delivery_states import NEXT_STATE, DeliveryState, DeliveryStep
from bridge.protocol.event_cache import EventPage
from bridge.protocol.event_cursor import EventCursor
from bridge.protocol.event_feed import EventFeed
from bridge.protocol.fan_out import FanOut
from bridge.protocol.position_schedule import PositionSchedule
from bridge.protocol.request_queue import Request, RequestQueue, ResumeRequest, SnapshotRequest
from bridge.protocol.server_frames import (
    Close,
    Recovery,
    Resumed,
    ServerFrame,
    confirmation_frame,
    encode_frame,
)
from bridge.protocol.snapshot_progress import SnapshotProgress
from bridge.protocol.subscription_table import NO_OFFSET_YET, ActiveSubscription
from bridge.protocol.websocket_frames import array_frames, text_frames

_State, _Step = DeliveryState, DeliveryStep
_UNINTERRUPTED: Final = frozenset({_State.WRITING_SNAPSHOT, _State.CHECKING_RESUME})  # no answer goes in between
_TOO_FAR_BEHIND: Final = Close(CloseCode.STALLED, "too far behind, resume")

R = TypeVar("R", bound=Hashable)


class Delivery(Generic[R]):
    """Delivery of frames to one dashboard: answers, snapshots, replays and events.

    `recipient` is who gets the bytes that its cohort flushes. `link` returns the link state to send.
    """

    def __init__(self, recipient: R, *, feed: EventFeed, fan_out: FanOut[R], link: Callable[[], ServerFrame]) -> None:
        self.state = _State.GREETING
        self.requests = RequestQueue()
        self.cursor = EventCursor(recipient, feed=feed, fan_out=fan_out)
        self.link_due = True
        self._feed = feed
        self._link = link
        self._batching = Batching()
        self._positions = PositionSchedule()
        self._awaited: Read | None = None
        self._snapshot: SnapshotProgress | None = None
        self._resume: ResumeRequest | None = None

    # Requests of the client.

    def enable_push(self) -> None:
        """Allow unrequested frames, behind the answers that are queued."""
        if self.state is _State.GREETING:
            self._step(_Step.PUSH_ENABLED)

    def subscribe(self, subscription: Subscription, *, deferred: bool) -> None:
        """Start a subscription from the latest offset on, or, if `deferred`, from its snapshot or replay on."""
        self.fall_behind()
        self.cursor.subscribe(subscription, deferred=deferred)

    def unsubscribe(self, name: str) -> None:
        """End a subscription: nothing of it is sent any more."""
        self.fall_behind()
        self.cursor.table.end(name)

    def update_grants(self, viewer: Viewer, subscriptions: Mapping[str, Subscription | None]) -> None:
        """Put the grants of a new token into force at once, also for what is not sent yet."""
        self.fall_behind()
        self.cursor.update_grants(viewer, subscriptions)

    def request(self, action: SendSnapshot | ResumeFrom) -> None:
        """Queue a snapshot or a replay, of the subscriptions that have these ids now."""
        by_id = self.cursor.table.by_id
        if isinstance(action, SendSnapshot):
            by_id[action.id].owes_snapshot = True
            self.requests.put(SnapshotRequest(by_id[action.id]))
        else:
            resumed = (by_id[subscription.request.id] for subscription in action.subscriptions)
            self.requests.put(ResumeRequest(action, tuple(resumed)))

    @property
    def is_catching_up(self) -> bool:
        """Return whether it is sent events that others have already got."""
        return self.state not in (_State.GREETING, _State.ENDED) and self.cursor.is_behind

    def is_position_due(self, now: Millis) -> bool:
        """Return whether to send a position: never before a snapshot or a replay, which a resume would skip."""
        return (
            self.state in (_State.FOLLOWING, _State.CATCHING_UP)
            and bool(self.cursor.table.by_id)
            and self._positions.is_due(now, has_news=self.cursor.has_news)
            and not self.requests.has_snapshot_or_replay
        )

    def fall_behind(self) -> None:
        """Leave the cohort: from now on `next` delivers, beginning with what waits to be flushed."""
        if self.cursor.leave():
            self._step(_Step.COHORT_LEFT)

    def end(self) -> None:
        """Leave everything; nothing is sent any more."""
        if self.state is not _State.ENDED:
            self.cursor.end()
            self._step(_Step.END)

    def next(self, now: Millis) -> Output | None:
        """Return what to write, or to read, next; None while there is nothing. `now`: ms from any start."""
        if self.state is _State.ENDED:
            return None
        if self.state not in _UNINTERRUPTED and (answer := self._next_answer()) is not None:
            return answer
        if self.state is _State.GREETING:
            return None
        if self.link_due:
            self.link_due = False
            return self._frames([encode_frame(self._link())])
        if self._awaited is not None:
            return None
        return self._continue(now)

    def read_done(self, result: ReadResult) -> bytes | Close | None:
        """Take the result of the awaited read, and return what it is followed by at once."""
        awaited, self._awaited = self._awaited, None
        match awaited:
            case ReadPage(after) if isinstance(result, EventPage):
                self.cursor.take_page(result, after=after)
            case ReadSnapshot() if isinstance(result, SnapshotOffsets):
                self._take_snapshot(result)
            case ReadEvents(offsets) if isinstance(result, Sequence) and len(result) == len(offsets):
                assert self._snapshot is not None, "it is being written"
                bodies = self._snapshot.bodies(result)
                return self._frames(bodies) if bodies else None
            case CheckResume() if result is None or isinstance(result, int):
                return self._start_replay(result)
            case _:  # the journal does not hold the events any more: the client must notice the gap
                return _TOO_FAR_BEHIND
        return None

    def _continue(self, now: Millis) -> Output | None:
        if self.state is _State.PRECEDING_SNAPSHOT:
            return self._precede_snapshot()
        if self.state is _State.WRITING_SNAPSHOT:
            return self._write_snapshot()
        if self.requests:
            self.fall_behind()
            return self._begin(self.requests.take())
        if self.state is _State.CATCHING_UP:
            return self._catch_up(now)
        return self._position(now) if self.is_position_due(now) else None

    def _next_answer(self) -> bytes | Close | None:
        while isinstance(options := self.requests.head, SetBatching):
            self.requests.take()
            batching = Batching(arrays=True, window_ms=options.batch_ms) if options.batch else Batching()
            if batching != self._batching:
                self.fall_behind()
                self._batching = batching
        if answers := self.requests.take_answers():
            return self._frames(answers)
        if isinstance(close := self.requests.head, Close):
            self.requests.take()
            return close
        return None

    def _begin(self, request: Request) -> Output:
        if isinstance(request, ResumeRequest):
            self._resume = request
            self._step(_Step.RESUME_BEGUN)
            return self._read(CheckResume(request.resume.since))
        assert isinstance(request, SnapshotRequest), "answers went before"
        if request.subscription not in self.cursor.table:
            return TakeTurns()
        self._step(_Step.SNAPSHOT_BEGUN)
        return self._read_snapshot(request.subscription)

    def _catch_up(self, now: Millis) -> Output | None:
        position_due = self.is_position_due(now)
        if position_due and self.cursor.has_news:
            return self._position(now)
        output = self._deliver_up_to(self._feed.offset)
        if output is not None:
            return output
        if position_due:
            return self._position(now)
        if self.cursor.join(self._batching):
            self._step(_Step.CAUGHT_UP)
        return None

    def _deliver_up_to(self, offset: int) -> Output | None:
        """Return the next events up to this offset, or the read that they take; None when all are sent."""
        if self.cursor.offset >= offset:
            return None
        events = self.cursor.next_events(up_to=offset)
        if isinstance(events, ReadPage):
            return self._read(events)
        return self._frames([event.body for event in events]) if events else TakeTurns()

    def _read_snapshot(self, subscription: ActiveSubscription) -> Output:
        self._snapshot = SnapshotProgress.of(subscription)
        at_least = max(self._feed.offset, self.cursor.offset)
        return self._read(ReadSnapshot(subscription.granted, at_least))

    def _take_snapshot(self, offsets: SnapshotOffsets) -> None:
        assert self._snapshot is not None, "it was begun"
        self._snapshot.offsets = offsets
        self._step(_Step.SNAPSHOT_READ)

    def _precede_snapshot(self) -> Output:
        """Send what precedes the snapshot: after it, the client would take older events for new ones."""
        snapshot = self._snapshot
        assert snapshot is not None, "it was begun"
        output = self._deliver_up_to(snapshot.position)
        if output is not None:
            return output
        if snapshot.subscription not in self.cursor.table:  # it ended meanwhile, with its own confirmation
            self._step(_Step.SNAPSHOT_DONE)
            return TakeTurns()
        if snapshot.is_outdated:
            self._step(_Step.SNAPSHOT_OUTDATED)
            return self._read_snapshot(snapshot.subscription)
        if snapshot.subscription.after == NO_OFFSET_YET:
            snapshot.subscription.after = snapshot.position
        self._step(_Step.SNAPSHOT_REACHED)
        return self._frames([snapshot.begin()])

    def _write_snapshot(self) -> Output:
        snapshot = self._snapshot
        assert snapshot is not None, "it was begun"
        if offsets := snapshot.next_chunk():
            return self._read(ReadEvents(offsets))
        if not snapshot.is_outdated:  # or else another one may have been promised
            snapshot.subscription.owes_snapshot = False
        self._snapshot = None
        self._step(_Step.SNAPSHOT_DONE)
        return self._frames([snapshot.end()])

    def _start_replay(self, since: int | None) -> bytes:
        """Answer `resumed`, and go back to `since`, once over all subscriptions; None: send snapshots instead."""
        request, self._resume = self._resume, None
        assert request is not None, "it was asked for"
        self._step(_Step.RESUME_CHECKED)
        here = self._feed.position
        answer = Resumed(
            subscriptions=[confirmation_frame(subscription) for subscription in request.resume.subscriptions],
            streams={name: Recovery(recovered=False) for name in request.resume.since}
            | {here.stream: Recovery(since is not None)},
        )
        in_force = [subscription for subscription in request.subscriptions if subscription in self.cursor.table]
        if since is None:
            self.cursor.table.drop_replaced(in_force)
        else:
            self.cursor.resume(in_force, since=since)
        for subscription in reversed(in_force):
            if since is None or subscription.owes_snapshot:
                subscription.owes_snapshot = True
                self.requests.put_first(SnapshotRequest(subscription))
        return self._frames([encode_frame(answer)])

    def _position(self, now: Millis) -> bytes:
        here = self._feed.position
        # Not beyond the front's own position: it could not yet recover a resume from there.
        position = Position(here.stream, here.epoch, min(here.offset, self.cursor.offset))
        self.cursor.forget_news()
        frames = self._positions.frames(position, self.cursor.conflated, now=now)
        return self._frames([encode_frame(frame) for frame in frames])

    def _frames(self, objects: Sequence[bytes]) -> bytes:
        return array_frames(objects) if self._batching.arrays else text_frames(objects)

    def _read(self, read: Read) -> Read:
        self._awaited = read
        return read

    def _step(self, step: DeliveryStep) -> None:
        self.state = NEXT_STATE[self.state, step]
