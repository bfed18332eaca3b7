"""Delivery to one dashboard: outbox, snapshots and replays onto one socket, in the order that protocol.md promises.

One task writes everything, so nothing overtakes a snapshot. Committed events come in through `offer`, which never
waits: a slow socket does not delay other dashboards.
"""

import asyncio
from collections.abc import Callable, Sequence

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.records import CommittedEvent, Position
from bridge.domain.utc_time import Millis
from bridge.front.frame_writer import (
    CHUNK_BYTES,
    ConnectionEnded,
    FrameWriter,
    ResumeTask,
    SnapshotTask,
    WriteQueue,
    WriteRequest,
)
from bridge.front.journal_reads import FrontJournal
from bridge.front.snapshot_writer import write_snapshot
from bridge.ports.clock import monotonic_ms
from bridge.protocol.actions import EnablePush, ResumeFrom, SetBatching
from bridge.protocol.active_subscriptions import NO_OFFSET_YET, ActiveSubscription, SubscriptionSet
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.outbox import Outbox
from bridge.protocol.position_schedule import PositionSchedule
from bridge.protocol.server_frames import Close, Recovery, Resumed, ServerFrame, confirmation_frame, encode_frame


class Delivery:
    """Delivery of frames to one dashboard: answers, snapshots, and its events from the outbox or from the journal."""

    def __init__(
        self, *, writer: FrameWriter, journal: FrontJournal, outbox: Outbox, link: Callable[[], ServerFrame]
    ) -> None:
        self.outbox = outbox
        self.subscriptions = SubscriptionSet()
        self.link_due = True
        self._writer = writer
        writer.take_urgent = self._take_link_frame
        self._journal = journal
        self._link_frame = link
        self._queue = WriteQueue()
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._batch_ms = 0
        self._push_enabled = False
        self._cursor: int | None = None  # read the journal after this offset; None: events come from `offer`
        self._read_ahead_to = 0  # offered events up to here were read from the journal
        self._position_schedule = PositionSchedule()

    @property
    def is_catching_up(self) -> bool:
        return self._cursor is not None

    def offer(self, event: CommittedEvent) -> None:
        """Queue a selected event; above the outbox's limit, leave all queued events to the journal."""
        if self._cursor is not None or event.offset <= self._read_ahead_to:
            return
        self.outbox.offer(event)
        if self.outbox.is_over_limit:
            self._cursor = self.outbox.spill()
            self.wake()
        elif event.is_lossless or not self._batch_ms:
            self.wake()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._batch_ms / 1_000, self.wake)

    def enqueue(self, item: WriteRequest) -> None:
        """Queue an answer or a task for the writer. An answer comes encoded: it is charged by its bytes."""
        self._queue.put(item, self.subscriptions)
        self.wake()

    @property
    def queue_not_full(self) -> asyncio.Event:
        """Return the event to await before reading requests: cleared while too much is queued for the client."""
        return self._queue.not_full

    def wake(self) -> None:
        self._wake.set()

    def add_subscription(self, subscription: Subscription, *, deferred: bool) -> ActiveSubscription:
        """Add a subscription from the latest offset on, or, if `deferred`, from its snapshot or replay on."""
        return self.subscriptions.add(subscription, after=NO_OFFSET_YET if deferred else self._latest_offset())

    def drop_unwanted(self) -> None:
        """Drop queued events that are no longer subscribed to or granted."""
        self.outbox.revoke(self.subscriptions.selects)

    def tick(self, now: Millis) -> None:
        if self._push_enabled and self._is_position_due(now):
            self.wake()

    def close(self) -> None:
        self.outbox.abandon()
        if self._timer is not None:
            self._timer.cancel()

    async def run(self) -> None:
        """Write until the connection ends; raise ConnectionEnded or Disconnected."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._process_queue()
            if self._push_enabled:
                await self._deliver()

    async def _process_queue(self) -> None:
        while self._queue:
            await self._write_answers()
            if not self._queue:
                return
            match self._queue.take():
                case SetBatching(batch, batch_ms):
                    self._writer.batch, self._batch_ms = batch, batch_ms if batch else 0
                case EnablePush():
                    self._push_enabled = True
                case SnapshotTask(subscription):
                    await self._send_snapshot(subscription)
                case ResumeTask(resume, subscriptions):
                    await self._resume(resume, subscriptions)
                case Close() as close:
                    raise ConnectionEnded(close)
                case bytes() as answer:
                    await self._writer.write([answer])

    async def _write_answers(self) -> None:
        """Write the answers at the head of the queue, up to the next task; raise ConnectionEnded if it is a Close."""
        await self._writer.write(self._queue.take_answers())
        self._queue.mark_written()
        if isinstance(self._queue.head, Close):
            raise ConnectionEnded(self._queue.head)

    async def _deliver(self) -> None:
        await self._writer.write_urgent()
        if self._cursor is not None:
            await self._catch_up()
        await self._write_events()
        await self._send_position()

    def _take_link_frame(self) -> bytes | None:
        """Return the link frame if it is due. It is sent within 5 s (P5), even to a dashboard that is far behind."""
        if not (self.link_due and self._push_enabled):
            return None
        self.link_due = False
        return encode_frame(self._link_frame())

    async def _write_events(
        self, *, up_to: int | None = None, lossless_only: bool = False, whole: bool = False
    ) -> None:
        """Write queued events; unless `whole`, stop before the next chunk when a task is queued."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while True:
            # Events of a new subscription do not precede its confirmation.
            while isinstance(self._queue.head, bytes | Close):
                await self._write_answers()
            if self._queue and not whole:
                return
            events = self.outbox.take(
                max_events=self._writer.events_per_write,
                max_bytes=CHUNK_BYTES,
                up_to=up_to,
                lossless_only=lossless_only,
            )
            if not events:
                return
            await self._writer.write([event.body for event in events])
            self.outbox.mark_sent()
            self._position_schedule.has_news = True

    async def _catch_up(self) -> None:
        """Read the journal at the pace of the socket until nothing is unread; from then on events come from `offer`.

        Lossless events are sent as they are read, the latest of each other state key at the end of a round.
        """
        while self._cursor is not None:
            target = self._latest_offset()
            while self._cursor < target:
                self._cursor = await self._read_page(self._cursor)
                await self._write_events(lossless_only=not self.outbox.is_over_limit, whole=True)
                await self._send_position()
            await self._write_events(whole=True)
            self.subscriptions.end_replay()
            if self._cursor >= self._latest_offset():
                self._read_ahead_to, self._cursor = self._cursor, None
            elif self._queue:
                self.wake()
                return

    async def _catch_up_to(self, offset: int) -> None:
        """Send unread events up to this offset: after a newer snapshot the client would take them for new."""
        if self._cursor is None and self._latest_offset() < offset:
            self._cursor = self._latest_offset()  # a snapshot may be ahead of `offer`
        while self._cursor is not None and self._cursor < offset:
            self._cursor = await self._read_page(self._cursor, up_to=offset)
            await self._write_events(whole=True)

    async def _read_page(self, cursor: int, *, up_to: int = NO_OFFSET_YET) -> int:
        """Queue the events that follow, as far as the outbox has room, and return the last offset covered."""
        await asyncio.sleep(0)  # neither cached events nor a socket that never waits would let other tasks run
        page = await self._writer.await_read(self._journal.page_after(cursor))
        if page is None:
            # The journal no longer holds the next events: close, so that the client notices the gap.
            raise ConnectionEnded(Close(CloseCode.STALLED, "too far behind, resume"))
        last = min(page.last, up_to)
        for event in page.matching(self.subscriptions.granted()):
            if event.offset > last:
                break
            if event.offset > cursor and self.subscriptions.selects_replayed(event):
                if self._journal.is_superseded(event):
                    self.outbox.count_conflated(event)
                else:
                    self.outbox.offer(event)
            if self.outbox.is_over_limit:
                return event.offset
        return last

    async def _send_snapshot(self, subscription: ActiveSubscription) -> None:
        """Write the subscription's current events; events committed after their position follow, each once."""
        if subscription not in self.subscriptions:
            return
        start = self._latest_offset()
        is_first = subscription.after == NO_OFFSET_YET
        if is_first:
            subscription.after = start
        current = await self._writer.await_read(self._journal.current_events(at_least=start))
        granted, end = subscription.subscription, current.position.offset
        snapshot = await self._journal.snapshot_offsets(current, granted)
        del current  # a waiting socket keeps none of its events in memory
        if is_first:
            subscription.after = end
            # The snapshot replaces events that were offered to this subscription alone while it was read.
            self.outbox.revoke(lambda event: not start < event.offset <= end or self.subscriptions.selects(event))
        await self._write_events(up_to=end, whole=True)
        await self._catch_up_to(end)
        if subscription not in self.subscriptions:
            return  # it ended meanwhile, with its own confirmation
        if subscription.subscription is not granted:
            if is_first:
                subscription.after = NO_OFFSET_YET
                self.drop_unwanted()
            await self._send_snapshot(subscription)  # again, with the grants that are now in force
        else:
            await write_snapshot(self._writer, self._journal, snapshot, subscription, granted=granted)

    async def _resume(self, resume: ResumeFrom, subscriptions: Sequence[ActiveSubscription]) -> None:
        """Send `resumed`, then replay what the dashboard missed, once over all subscriptions; or send snapshots."""
        since = resume.since.get(self._journal.position.stream)
        if since is not None:
            await self._writer.await_read(self._journal.wait_for_offset(epoch=since.epoch, offset=since.offset))
        oldest = await self._writer.await_read(self._journal.oldest_offset())
        here = self._journal.position
        recovered = since is not None and since.epoch == here.epoch and oldest - 1 <= since.offset <= here.offset
        answer = Resumed(
            subscriptions=[confirmation_frame(subscription) for subscription in resume.subscriptions],
            streams={name: Recovery(recovered=False) for name in resume.since} | {here.stream: Recovery(recovered)},
        )
        await self._writer.write_frames(answer)
        if since is None or not recovered:
            self.drop_unwanted()  # queued for former subscriptions with these ids: the snapshots replace it
            for subscription in subscriptions:
                await self._send_snapshot(subscription)
            return
        delivered = self._delivered_offset()
        self.outbox.spill()
        self.subscriptions.rewind(since.offset, subscriptions, delivered_up_to=delivered)
        self._cursor = min(since.offset, delivered)
        await self._catch_up()

    def _latest_offset(self) -> int:
        """Return the last offset that was offered, or read from the journal ahead of `offer`."""
        return max(self._journal.position.offset, self._read_ahead_to)

    def _delivered_offset(self) -> int:
        """Return the offset up to which every selected event was sent or conflated."""
        offered = self._latest_offset() if self._cursor is None else self._cursor
        first_queued = self.outbox.first_offset()
        return offered if first_queued is None else min(offered, first_queued - 1)

    def _is_position_due(self, now: Millis) -> bool:
        """Return whether to send a position; never before a queued snapshot or replay, which a resume would skip."""
        return (
            bool(self.subscriptions.by_id)
            and self._position_schedule.is_due(now)
            and not self._queue.has_snapshot_or_replay
        )

    async def _send_position(self) -> None:
        if not self._is_position_due(now := monotonic_ms()):
            return
        here = self._journal.position
        # Not beyond the front's own position: it could not yet recover a resume from there.
        position = Position(here.stream, here.epoch, min(here.offset, self._delivered_offset()))
        frames = self._position_schedule.frames(position, self.outbox.ledger.conflated, now=now)
        await self._writer.write_frames(*frames)
