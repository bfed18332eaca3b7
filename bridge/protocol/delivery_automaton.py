"""Automaton of the delivery to one dashboard: its states, the steps between them, and what each state sends.

The states are a table. protocol.md, «Order of delivery», shows it as a diagram, which `floor schema --write` generates.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, assert_never

from bridge.domain.utc_time import Millis
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.cohort import Batching
from bridge.protocol.event_cursor import EventCursor
from bridge.protocol.event_feed import (
    CheckResume,
    EventFeed,
    EventPage,
    Read,
    ReadEvents,
    ReadPage,
    ReadResult,
    ReadSnapshot,
    SnapshotOffsets,
)
from bridge.protocol.event_selectors import ActiveSubscription
from bridge.protocol.request_queue import Request, RequestQueue, SnapshotProgress
from bridge.protocol.server_frames import Close, encode_frame, resumed_frame

# The journal does not hold the events any more: the client must notice the gap.
_TOO_FAR_BEHIND: Final = Close(CloseCode.STALLED, "too far behind, resume")


class DeliveryState(Enum):
    """States of a delivery: each says what is sent next, beside answers and the link state."""

    GREETING = auto()  # nothing, until the first answer to the authenticated client is queued
    FOLLOWING = auto()  # events as they are committed, together with all dashboards of its cohort
    CATCHING_UP = auto()  # events after the cursor, at the pace of the client
    READING_SNAPSHOT = auto()  # nothing: the current events are read
    PRECEDING_SNAPSHOT = auto()  # events up to the position of the snapshot
    WRITING_SNAPSHOT = auto()  # the snapshot, and nothing else
    CHECKING_RESUME = auto()  # nothing: the journal is asked whether it holds what was missed
    ENDED = auto()  # nothing any more


class DeliveryStep(Enum):
    """Steps that lead from one state to another, the inputs of `NEXT_STATE`."""

    ANSWERED = auto()
    CAUGHT_UP = auto()
    COHORT_LEFT = auto()
    SNAPSHOT_BEGUN = auto()
    SNAPSHOT_READ = auto()
    SNAPSHOT_REACHED = auto()
    SNAPSHOT_OUTDATED = auto()
    SNAPSHOT_DONE = auto()
    RESUME_BEGUN = auto()
    RESUME_CHECKED = auto()
    END = auto()


_State, _Step = DeliveryState, DeliveryStep

NEXT_STATE: Final = {
    (_State.GREETING, _Step.ANSWERED): _State.CATCHING_UP,
    (_State.CATCHING_UP, _Step.CAUGHT_UP): _State.FOLLOWING,
    (_State.FOLLOWING, _Step.COHORT_LEFT): _State.CATCHING_UP,
    (_State.CATCHING_UP, _Step.SNAPSHOT_BEGUN): _State.READING_SNAPSHOT,
    (_State.READING_SNAPSHOT, _Step.SNAPSHOT_READ): _State.PRECEDING_SNAPSHOT,
    (_State.PRECEDING_SNAPSHOT, _Step.SNAPSHOT_REACHED): _State.WRITING_SNAPSHOT,
    (_State.PRECEDING_SNAPSHOT, _Step.SNAPSHOT_OUTDATED): _State.READING_SNAPSHOT,
    (_State.PRECEDING_SNAPSHOT, _Step.SNAPSHOT_DONE): _State.CATCHING_UP,
    (_State.WRITING_SNAPSHOT, _Step.SNAPSHOT_DONE): _State.CATCHING_UP,
    (_State.CATCHING_UP, _Step.RESUME_BEGUN): _State.CHECKING_RESUME,
    (_State.CHECKING_RESUME, _Step.RESUME_CHECKED): _State.CATCHING_UP,
} | {(state, _Step.END): _State.ENDED for state in _State if state is not _State.ENDED}

UNINTERRUPTED: Final = frozenset({_State.WRITING_SNAPSHOT, _State.CHECKING_RESUME})  # no answer goes in between


@dataclass(frozen=True, slots=True)
class TakeTurns:
    """Go on later: others wait."""


Output = bytes | Read | TakeTurns | Close


class DeliveryAutomaton:
    """What is sent to one dashboard beside answers and the link state: events, snapshots, replays, positions."""

    __slots__ = ("_awaited", "_cursor", "_feed", "_requests", "_snapshot", "batching", "state")

    def __init__(self, cursor: EventCursor[Hashable], requests: RequestQueue, feed: EventFeed) -> None:
        self.state = _State.GREETING
        self.batching = Batching()
        self._cursor = cursor
        self._requests = requests
        self._feed = feed
        self._awaited: Read | None = None
        self._snapshot: SnapshotProgress | None = None

    def start(self) -> None:
        """Begin with what is committed from now on: the first answer is queued."""
        self._cursor.start()
        self._step(_Step.ANSWERED)

    def change_batching(self, batching: Batching) -> None:
        if batching != self.batching:
            self.fall_behind()
            self.batching = batching

    def is_position_due(self, now: Millis) -> bool:
        """Return whether to send a position when no request waits: `next` serves requests first.

        A position never precedes a snapshot or a replay that was asked for: a resume from it would skip them.
        """
        return self.state in (_State.FOLLOWING, _State.CATCHING_UP) and self._cursor.is_position_due(now)

    def fall_behind(self) -> None:
        """Leave the cohort: from now on `next` delivers, beginning with what waits to be flushed."""
        if self._cursor.leave():
            self._step(_Step.COHORT_LEFT)

    def end(self) -> None:
        """Leave everything; nothing is sent any more."""
        if self.state is not _State.ENDED:
            self._cursor.end()
            self._step(_Step.END)

    def next(self, now: Millis) -> Output | None:
        """Return what to write, or to read, next; None while there is nothing. `now`: ms from any start."""
        if self._awaited is not None:
            return None
        if self.state is _State.PRECEDING_SNAPSHOT:
            return self._precede_snapshot()
        if self.state is _State.WRITING_SNAPSHOT:
            return self._write_snapshot()
        if self._requests:
            self.fall_behind()
            return self._begin(self._requests.take())
        if self.state is _State.CATCHING_UP:
            return self._catch_up(now)
        return self._position(now) if self.is_position_due(now) else None

    def read_done(self, result: ReadResult) -> bytes | Close | None:
        """Take the result of the awaited read, and return what it is followed by at once.

        Raise AssertionError if it is not the result of that read: a fault in the bridge, not of the client.
        """
        awaited, self._awaited = self._awaited, None
        match awaited:
            case ReadPage(after):
                if result is None:
                    return _TOO_FAR_BEHIND
                assert isinstance(result, EventPage), "the read of a page"
                self._cursor.take_page(result, after=after)
            case ReadSnapshot():
                assert isinstance(result, SnapshotOffsets), "the read of a snapshot"
                assert self._snapshot is not None, "it was begun"
                self._snapshot.offsets = result
                self._step(_Step.SNAPSHOT_READ)
            case ReadEvents(offsets):
                assert isinstance(result, Sequence), "the read of events"
                assert self._snapshot is not None, "it is being written"
                if len(result) < len(offsets):
                    return _TOO_FAR_BEHIND
                bodies = self._snapshot.bodies(result)
                return self.batching.frames(bodies) if bodies else None
            case CheckResume():
                assert result is None or isinstance(result, int), "the answer to a resume"
                return self._start_replay(awaited, since=result)
            case None:
                raise AssertionError("no read is awaited")
            case _:
                assert_never(awaited)
        return None

    def _begin(self, request: Request) -> Output:
        if isinstance(request, CheckResume):
            self._step(_Step.RESUME_BEGUN)
            return self._read(request)
        assert isinstance(request, ActiveSubscription), "answers went before"
        if request not in self._cursor.table:  # it has ended, or was replaced
            return TakeTurns()
        self._step(_Step.SNAPSHOT_BEGUN)
        return self._read_snapshot(request)

    def _catch_up(self, now: Millis) -> Output | None:
        position_due = self.is_position_due(now)
        if position_due and self._cursor.has_news:
            return self._position(now)
        output = self._deliver_up_to(self._feed.offset)
        if output is not None:
            return output
        if position_due:
            return self._position(now)
        if self._cursor.join(self.batching):
            self._step(_Step.CAUGHT_UP)
        return None

    def _deliver_up_to(self, offset: int) -> Output | None:
        """Return the next events up to this offset, or the read that they take; None when all are sent."""
        if self._cursor.offset >= offset:
            return None
        events = self._cursor.next_events(up_to=offset)
        if isinstance(events, ReadPage):
            return self._read(events)
        return self.batching.frames([event.body for event in events]) if events else TakeTurns()

    def _read_snapshot(self, subscription: ActiveSubscription) -> Output:
        self._snapshot = SnapshotProgress(subscription, subscription.granted)
        return self._read(ReadSnapshot(subscription.granted, max(self._feed.offset, self._cursor.offset)))

    def _precede_snapshot(self) -> Output:
        """Send what precedes the snapshot: after it, the client would take older events for new ones."""
        snapshot = self._snapshot
        assert snapshot is not None, "it was begun"
        output = self._deliver_up_to(snapshot.position)
        if output is not None:
            return output
        if snapshot.subscription not in self._cursor.table:  # it ended meanwhile, with its own confirmation
            self._step(_Step.SNAPSHOT_DONE)
            return TakeTurns()
        if snapshot.is_outdated:
            self._step(_Step.SNAPSHOT_OUTDATED)
            return self._read_snapshot(snapshot.subscription)
        self._step(_Step.SNAPSHOT_REACHED)
        return self.batching.frames([snapshot.begin()])

    def _write_snapshot(self) -> Output:
        snapshot = self._snapshot
        assert snapshot is not None, "it was begun"
        if offsets := snapshot.next_chunk():
            return self._read(ReadEvents(offsets))
        # Another one may have been promised meanwhile.
        snapshot.subscription.owes_snapshot = snapshot.subscription in self._requests
        self._snapshot = None
        self._step(_Step.SNAPSHOT_DONE)
        return self.batching.frames([snapshot.end()])

    def _start_replay(self, resume: CheckResume, *, since: int | None) -> bytes:
        """Answer `resumed`, and go back to `since`, once over all subscriptions; None: send snapshots instead."""
        self._step(_Step.RESUME_CHECKED)
        for subscription in reversed(self._cursor.resume(resume.subscriptions, since=since)):
            self._requests.put_first(subscription)
        recovered = dict.fromkeys(resume.since, False) | {self._feed.position.stream: since is not None}
        return self.batching.frames([encode_frame(resumed_frame(resume.admitted, recovered))])

    def _position(self, now: Millis) -> bytes:
        return self.batching.frames([encode_frame(frame) for frame in self._cursor.position_frames(now)])

    def _read(self, read: Read) -> Read:
        self._awaited = read
        return read

    def _step(self, step: DeliveryStep) -> None:
        self.state = NEXT_STATE[self.state, step]
