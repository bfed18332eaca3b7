"""One dashboard's delivery: outbox, snapshots and replays onto one socket, in the order that PROTOCOL promises.

Everything is written by one task, so a snapshot is never overtaken. The committed batch comes in by `offer`, which
never waits: what one socket can't take, no other dashboard feels.
"""

import asyncio
from collections.abc import Callable, Sequence

from bridge.core.access.subscriptions import Admitted
from bridge.core.dashboard.actions import Greet, ResumeFrom, SetBatch
from bridge.core.dashboard.following import Following
from bridge.core.dashboard.frames import CloseCode
from bridge.core.dashboard.interests import NOT_YET, Interests
from bridge.core.dashboard.outbox import Outbox
from bridge.core.dashboard.position_pace import PositionPace
from bridge.core.dashboard.server_frames import (
    Close,
    Recovery,
    Resumed,
    ServerFrame,
    confirmation,
    encode_frame,
)
from bridge.core.events import Millis
from bridge.core.records import CommittedEvent, Position
from bridge.front.journal import FrontJournal
from bridge.front.recent import name_of
from bridge.front.snapshot import write_snapshot
from bridge.front.work import Item, Resumption, Snapshot, WorkQueue
from bridge.front.writer import CHUNK_BYTES, Ended, FrameWriter


class Delivery:
    def __init__(
        self, *, writer: FrameWriter, journal: FrontJournal, outbox: Outbox, link: Callable[[], ServerFrame]
    ) -> None:
        self.outbox = outbox
        self.interests = Interests()
        self.link_due = True
        self._writer = writer
        writer.urgent = self._link_due
        self._journal = journal
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._queue = WorkQueue()
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._batch_ms = 0
        self._greeted = False
        self._cursor: int | None = None  # read the journal after this offset; None: fed by offers
        self._read_to = 0  # offered events up to here were read from the journal
        self._pace = PositionPace()

    @property
    def catching_up(self) -> bool:
        return self._cursor is not None

    def offer(self, event: CommittedEvent) -> None:
        """Take an event that is wanted here; over the bound all is left to the journal."""
        if self._cursor is not None or event.offset <= self._read_to:
            return
        self.outbox.offer(event)
        if self.outbox.over:
            self._cursor = self.outbox.pull()
            self.wake()
        elif event.is_lossless or not self._batch_ms:
            self.wake()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._batch_ms / 1_000, self.wake)

    def put(self, item: Item) -> None:
        """Have an answer, or a piece of work, done in its turn."""
        self._queue.put(item, self.interests)
        self.wake()

    @property
    def room(self) -> asyncio.Event:
        """To ask on: cleared while too much waits for a client that does not read."""
        return self._queue.room

    def wake(self) -> None:
        self._wake.set()

    def follow(self, admitted: Admitted, *, awaits: bool) -> Following:
        """Follow from now on, or where it `awaits` a snapshot or a replay, from there on."""
        return self.interests.follow(admitted, after=NOT_YET if awaits else self._here())

    def revoke(self) -> None:
        """Drop what waits and is not wanted any more, or not granted any more."""
        self.outbox.revoke(self._wanted)

    def pulse(self, now: Millis) -> None:
        if self._greeted and self._position_due(now):
            self.wake()

    def close(self) -> None:
        self.outbox.abandon()
        if self._timer is not None:
            self._timer.cancel()

    async def run(self) -> None:
        """Write until the connection ends; raises Ended or Disconnected."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._work()
            if self._greeted:
                await self._deliver()

    async def _work(self) -> None:
        while self._queue:
            await self._answer()
            if not self._queue:
                return
            match self._queue.take():
                case SetBatch(batch, batch_ms):
                    self._writer.batch, self._batch_ms = batch, batch_ms if batch else 0
                case Greet():
                    self._greeted = True
                case Snapshot(following):
                    await self._send_snapshot(following)
                case Resumption(resume, followings):
                    await self._resume(resume, followings)
                case Close() as close:
                    raise Ended(close)
                case bytes() as answer:
                    await self._writer.write([answer])

    async def _answer(self) -> None:
        """Write the answers at the head of the queue, up to the next piece of work; an end waits for nothing else."""
        await self._writer.write(self._queue.take_answers())
        self._queue.written()
        if isinstance(self._queue.head, Close):
            raise Ended(self._queue.head)

    async def _deliver(self) -> None:
        await self._writer.write_urgent()
        if self._cursor is not None:
            await self._catch_up()
        await self._drain()
        await self._tell_position()

    def _link_due(self) -> bytes | None:
        """The link's state where it is to be told: within 5 s (P5), also to whoever is far behind."""
        if not (self.link_due and self._greeted):
            return None
        self.link_due = False
        return encode_frame(self._link())

    async def _drain(self, *, up_to: int | None = None, lossless_only: bool = False, whole: bool = False) -> None:
        """Write what waits; unless `whole`, a piece of work in the queue goes before the next chunk."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while True:
            # What a new subscription brings does not come before its confirmation.
            while isinstance(self._queue.head, bytes | Close):
                await self._answer()
            if self._queue and not whole:
                return
            events = self.outbox.take(
                max_events=self._writer.events, max_bytes=CHUNK_BYTES, up_to=up_to, lossless_only=lossless_only
            )
            if not events:
                return
            await self._writer.write([event.body for event in events])
            self.outbox.sent()
            self._pace.owed = True

    async def _catch_up(self) -> None:
        """Read on from the journal until nothing is unread, at the pace of the socket; from then on offers do.

        Lossless events go out as they are read, the latest of each other state key at the end of a round.
        """
        while self._cursor is not None:
            target = self._here()
            while self._cursor < target:
                self._cursor = await self._read_on(self._cursor)
                await self._drain(lossless_only=not self.outbox.over, whole=True)
                await self._tell_position()
            await self._drain(whole=True)
            self.interests.caught_up()
            if self._cursor >= self._here():
                self._read_to, self._cursor = self._cursor, None
            elif self._queue:
                self.wake()
                return

    async def _read_up_to(self, offset: int) -> None:
        """Send what is unread up to here: after a snapshot that is newer it would be taken for news."""
        if self._cursor is None and self._here() < offset:
            self._cursor = self._here()  # a snapshot may be read ahead of the offers
        while self._cursor is not None and self._cursor < offset:
            self._cursor = await self._read_on(self._cursor, up_to=offset)
            await self._drain(whole=True)

    async def _read_on(self, cursor: int, *, up_to: int = NOT_YET) -> int:
        """Offer what follows, as far as the outbox has room, and return how far that is; keeps nothing beyond it."""
        await asyncio.sleep(0)  # neither the memory of recent events nor a socket that never waits lets others run
        page = await self._writer.meanwhile(self._journal.read_on(cursor))
        if page is None:
            # The journal no longer holds what this dashboard lacks: it must hear so, not miss it.
            raise Ended(Close(CloseCode.STALLED, "too far behind, resume"))
        last = min(page.last, up_to)
        for event in page.wanted(self.interests.admitted()):
            if event.offset > last:
                break
            if event.offset > cursor and self.interests.lack(event, name_of(event.topic)):
                if self._journal.superseded(event):
                    self.outbox.conflate(event)
                else:
                    self.outbox.offer(event)
            if self.outbox.over:
                return event.offset
        return last

    def _wanted(self, event: CommittedEvent) -> bool:
        return self.interests.want(event, name_of(event.topic))

    async def _send_snapshot(self, following: Following) -> None:
        """Write the subscription's current events; what is committed after their position follows, once."""
        if following not in self.interests:
            return
        begun = self._here()
        first = following.after == NOT_YET
        if first:
            following.after = begun
        current = await self._writer.meanwhile(self._journal.current(at_least=begun))
        admitted, at = following.admitted, current.position.offset
        built = await self._journal.built(current, admitted)
        del current  # a socket that waits holds none of its events
        if first:
            following.after = at
            # The snapshot stands for what was offered to this subscription alone while it was read.
            self.outbox.revoke(lambda event: not begun < event.offset <= at or self._wanted(event))
        await self._drain(up_to=at, whole=True)
        await self._read_up_to(at)
        if following not in self.interests:
            return  # it ended meanwhile, and that was told
        if following.admitted is not admitted:
            if first:
                following.after = NOT_YET
                self.revoke()
            await self._send_snapshot(following)  # what is granted when it begins, not when it was read
        else:
            await write_snapshot(self._writer, self._journal, built, following, admitted=admitted)

    async def _resume(self, resume: ResumeFrom, followings: Sequence[Following]) -> None:
        """Answer, then read again what the dashboard missed, once over the union; or send snapshots."""
        since = resume.since.get(self._journal.position.stream)
        if since is not None:
            await self._writer.meanwhile(self._journal.reach(epoch=since.epoch, offset=since.offset))
        oldest = await self._writer.meanwhile(self._journal.oldest_offset())
        here = self._journal.position
        recovered = since is not None and since.epoch == here.epoch and oldest - 1 <= since.offset <= here.offset
        answer = Resumed(
            subscriptions=[confirmation(each) for each in resume.admitted],
            streams={name: Recovery(recovered=False) for name in resume.since} | {here.stream: Recovery(recovered)},
        )
        await self._writer.write_frames(answer)
        if since is None or not recovered:
            self.revoke()  # what waits for a subscription that had one of these ids: the snapshot stands for it
            for each in followings:
                await self._send_snapshot(each)
            return
        done = self._reached()
        self.outbox.pull()
        self.interests.rewind(since.offset, followings, done=done)
        self._cursor = min(since.offset, done)
        await self._catch_up()

    def _here(self) -> int:
        """The last offset that was offered, or read from the journal ahead of its offer."""
        return max(self._journal.position.offset, self._read_to)

    def _reached(self) -> int:
        """The offset up to which all that is wanted was sent or conflated."""
        first = self.outbox.first()
        here = self._here() if self._cursor is None else self._cursor
        return here if first is None else min(here, first - 1)

    def _position_due(self, now: Millis) -> bool:
        """Not while a snapshot or a replay is to come: resuming from that position would pass over what it holds."""
        return bool(self.interests.followings) and self._pace.due(now) and not self._queue.changes_state

    async def _tell_position(self) -> None:
        now = int(self._loop.time() * 1_000)
        if not self._position_due(now):
            return
        here = self._journal.position
        # What was read ahead of its offer is not yet to be resumed from: this front would not know of it.
        reached = Position(here.stream, here.epoch, min(here.offset, self._reached()))
        await self._writer.write_frames(*self._pace.tell(reached, self.outbox.ledger.conflated, now=now))
