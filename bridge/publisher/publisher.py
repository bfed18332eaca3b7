"""The publisher: publishes every journalled event in order, and keeps the broker's retained messages correct.

It wakes on a commit but reads the journal, so it never delays the intake and is never ahead of what is durable. Its
offset in the journal advances after the broker has confirmed; after a crash some events are published twice.
"""

import asyncio
from collections.abc import Callable, Container, Sequence

import structlog

from bridge.domain.event_topic import EventTopic, StateKey
from bridge.domain.messages import Publication
from bridge.domain.place import LinePlace
from bridge.domain.publications import PublicationPlan, PublishedState, is_up_to_date
from bridge.domain.records import CommittedEvent, JournalEntry, Position
from bridge.domain.stream_status import STATUS_SECONDS, StreamOwner, status_publication
from bridge.ports.broker import BrokerUnavailable, PublicationSink, PublishRefused, RetainedMessageReader
from bridge.ports.clock import Clock
from bridge.ports.journal import CommitFailed, Journal, JournalUnavailable
from bridge.publisher.recent_events import RecentEvents
from bridge.publisher.retained_audit import AuditResult, RetainedAudit

RECENT_EVENTS = 5_000  # kept in memory until they are published: the events of some commits
EVENT_WINDOW = 100  # events in flight at once: bounds what a lost connection repeats
FIRST_EVENT_WINDOW = 10  # on each connection, then doubled: also a link that is lost again and again gets some through
SAVE_SECONDS = 0.1  # saving the offset costs an fsync that delays the pipeline, so it is not done after every window
REFUSAL_SECONDS = 10.0  # between two log entries about refusals: wrong rules refuse every event
RETRY_SECONDS = 0.5  # after the journal failed

log = structlog.get_logger(__name__)


class Publisher:
    """Publishes one stream. `run` is its one task, and the only one that publishes events."""

    def __init__(
        self,
        target: PublicationSink,
        reader: RetainedMessageReader,
        journal: Journal,
        clock: Clock,
        *,
        root: str,
        lines: Container[LinePlace],
        simulated: bool,
        owner: StreamOwner,
        ready: Callable[[], bool],
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:
        """Publish to `target`. `lines`: whose lamps are ours. `ready`: whether the floor is journalled now.

        `on_refused` is called when the broker's rules refuse a publication.
        """
        self._target = target
        self._audit = RetainedAudit(reader, root=root, stream=journal.stream, owner=owner)
        self._journal = journal
        self._clock = clock
        self._root = root
        self._lines = lines
        self._simulated = simulated
        self._owner = owner
        self._ready = ready
        self._on_refused = on_refused
        self._recent = RecentEvents(most=RECENT_EVENTS)
        self._woken = asyncio.Event()
        self._stopping = False
        self._state: PublishedState | None = None
        self._published = journal.published_offset()
        self._saved_offset = self._published
        self._unsaved_retained = dict[StateKey, EventTopic | None]()
        self._refusal_logged_at = -REFUSAL_SECONDS
        self._window = FIRST_EVENT_WINDOW
        self._generation = 0  # of the connection on which the retained state was republished
        self.refused = 0
        """Publications refused by the broker's rules since the start: a configuration error to be shown."""
        self.stale_cleared = 0
        """Retained topics of ours that were stale, and were cleared or switched off, since the start."""
        self.audits = 0
        """Completed audits of the retained messages: on each connection, once the publisher is up to date."""

    @property
    def published(self) -> int:
        """The offset up to which the broker has confirmed everything."""
        return self._published

    def on_committed(self, entries: Sequence[JournalEntry]) -> None:
        """Take over the events of committed entries; wake the publisher if there are any."""
        self._recent.add(entries)
        if any(entry.events for entry in entries):
            self._woken.set()

    def stop(self) -> None:
        """Request a stop: committed events are published while the broker is connected, then `run` returns."""
        self._stopping = True
        self._woken.set()

    def status(self, *, online: bool) -> Publication:
        """Return the stream's retained status; with `online` False, the one for a regular stop."""
        return status_publication(
            Position(self._journal.stream, self._journal.epoch, self._published),
            root=self._root,
            online=online,
            ready=online and self._ready(),
            time=self._clock.now(),
            simulated=self._simulated,
            owner=self._owner,
        )

    async def run(self) -> None:
        """Publish until `stop`, however often the connection is lost."""
        async with asyncio.TaskGroup() as tasks:
            status_task = tasks.create_task(self._publish_status(), name="publisher-status")
            await self._publish_events(tasks)
            self._audit.stop()
            status_task.cancel()

    async def _publish_events(self, tasks: asyncio.TaskGroup) -> None:
        loop = asyncio.get_running_loop()
        save_at = loop.time() + SAVE_SECONDS
        while True:
            self._woken.clear()
            events = await self._publish_next(tasks)
            if loop.time() >= save_at or (not events and self._stopping):
                save_at = loop.time() + (SAVE_SECONDS if await self._save_progress() else RETRY_SECONDS)
            if events:
                continue
            if self._stopping and (events is None or not self._woken.is_set()):
                return
            await self._wait(save_at - loop.time() if self._has_unsaved_progress else None)

    async def _wait(self, seconds: float | None) -> None:
        """Wait for a commit, a change of the link, or the time to save the offset."""
        if self._woken.is_set():
            return
        link = self._target.status
        woken = asyncio.create_task(self._woken.wait(), name="publisher-woken")
        changed = asyncio.create_task(self._target.wait_status_change(link), name="publisher-link")
        try:
            if not link.connected or link.generation == self._generation:
                await asyncio.wait({woken, changed}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            changed.cancel()

    async def _publish_next(self, tasks: asyncio.TaskGroup) -> int | None:
        """Publish the next window; return how many events the broker has confirmed, None if that is impossible now."""
        link = self._target.status
        if not link.connected or link.protocol is None:
            return None
        try:
            state = await self._load_state()
            if link.generation != self._generation:
                restored = await self._republish_retained(state)
                self._generation, self._window = link.generation, FIRST_EVENT_WINDOW
                self._audit.start(tasks, protocol=link.protocol, restored=restored, done=self._woken.set)
            events = await self._next_events()
            if self._audit.result is not None and len(events) < self._window:
                await self._clear_stale(state, self._audit.result)
            if not events:
                return 0
            plan = state.plan(events)
            await self._send(plan.publications)
        except BrokerUnavailable as gone:
            log.info("publisher.waiting", reason=gone.reason, published=self._published)
            return None
        except JournalUnavailable as unavailable:
            log.warning("publisher.waiting", reason=str(unavailable), published=self._published)
            await asyncio.sleep(RETRY_SECONDS)
            self._woken.set()
            return None
        self._confirm_plan(state, plan)
        self._published = events[-1].offset
        self._window = min(EVENT_WINDOW, 2 * self._window)
        return len(events)

    async def _next_events(self) -> Sequence[CommittedEvent]:
        """Return the next window; from the journal only if more was committed than is kept, or before the start."""
        recent = self._recent.take_after(self._published, limit=self._window)
        if recent is not None:
            return recent
        return await asyncio.to_thread(self._journal.events_after, self._published, limit=self._window)

    def _confirm_plan(self, state: PublishedState, plan: PublicationPlan) -> None:
        state.confirm(plan)
        self._unsaved_retained.update(plan.retained)

    async def _load_state(self) -> PublishedState:
        if self._state is None:
            retained = await asyncio.to_thread(self._journal.retained_topics)
            self._state = PublishedState(self._root, retained=retained, current=await self._current())
        return self._state

    async def _current(self) -> list[CommittedEvent]:
        """Return the current events that are already published; later ones follow in order."""
        snapshot = await asyncio.to_thread(self._journal.snapshot)
        return [event for event in snapshot.events if event.offset <= self._published]

    async def _republish_retained(self, state: PublishedState) -> Sequence[Publication]:
        """Publish all retained state again: after a new connection the broker may have lost any of it.

        `session_present` proves nothing: a killed Mosquitto restarts with the session and the retained messages of its
        last autosave, up to a minute old.
        """
        publications = await asyncio.to_thread(state.restore_publications, await self._current())
        for start in range(0, len(publications), EVENT_WINDOW):
            await self._send(publications[start : start + EVENT_WINDOW])
        await self._send([self.status(online=True)])
        log.info("publisher.retained_republished", publications=len(publications))
        return publications

    async def _clear_stale(self, state: PublishedState, audit: AuditResult) -> None:
        """Clear what the broker retains in our name but the journal does not know.

        Safe against races: only this task publishes events, and every later publication follows the clear on the same
        connection. If that connection is lost, the broker executes none of its clears after the next connection of the
        same client id (MQTT 5 3.1.4).
        """
        snapshot = await asyncio.to_thread(self._journal.snapshot)
        pending = await asyncio.to_thread(self._journal.events_after, self._published, limit=EVENT_WINDOW)
        if not is_up_to_date(snapshot, pending):
            self._audit.is_outdated = True
            return  # the next window first
        if self._audit.is_outdated and self._audit.try_again():
            return  # what was published since the scan is not in it
        plan = await asyncio.to_thread(  # for 20,000 topics it would block the loop for 0.1 s
            state.plan_corrections, audit.scan, current=snapshot.events, pending=pending, lines=self._lines
        )
        for start in range(0, len(plan.publications), EVENT_WINDOW):
            await self._send(plan.publications[start : start + EVENT_WINDOW])
        self._confirm_plan(state, plan)
        self.stale_cleared += len(plan.publications)
        log.info("publisher.audited", retained=audit.scan.messages, cleared=len(plan.publications))
        if plan.publications and not audit.scan.is_complete and self._audit.try_again():
            return  # what was cleared makes room for what was left out
        self._audit.log_incomplete(audit, state.find_missing(audit.restored, audit.scan))
        self._audit.result = None
        self.audits += 1

    async def _send(self, publications: Sequence[Publication]) -> None:
        """Publish in order; log and skip what the broker's rules refuse, for repeating would not help."""
        refusals = await self._target.publish_many(publications)
        if refusals:
            self._log_refusals(refusals[0], len(refusals))

    def _log_refusals(self, first: PublishRefused, count: int) -> None:
        self.refused += count
        self._on_refused()
        now = asyncio.get_running_loop().time()
        if now - self._refusal_logged_at < REFUSAL_SECONDS:
            return
        self._refusal_logged_at = now
        log.warning(
            "publisher.refused", topic=first.topic, reason=first.reason, code=first.reason_code, refused=self.refused
        )

    @property
    def _has_unsaved_progress(self) -> bool:
        return self._saved_offset != self._published or bool(self._unsaved_retained)

    async def _save_progress(self) -> bool:
        if not self._has_unsaved_progress:
            return True
        offset, retained = self._published, list(self._unsaved_retained.items())
        try:
            await asyncio.to_thread(self._journal.mark_published, offset, retained=retained)
        except CommitFailed as failure:
            # nothing is lost: after a crash more events are published twice
            log.warning("publisher.offset_not_saved", reason=failure.reason)
            return False
        self._saved_offset = offset
        self._unsaved_retained.clear()
        return True

    async def _publish_status(self) -> None:
        while True:
            link, status = self._target.status, self.status(online=True)
            try:
                await self._target.publish(status.topic, status.payload, retain=True)
            except BrokerUnavailable:
                await self._target.wait_status_change(link)
                continue
            except PublishRefused as refusal:
                self._log_refusals(refusal, 1)
            await asyncio.sleep(STATUS_SECONDS)
