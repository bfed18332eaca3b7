"""Committed events to the dashboards that may see them: snapshot, resume, freshness, commands.

`offer` is called with every committed batch and never waits; each connection has two tasks of its own, owned by its
`serve`; `run` is the one clock hand for all. The front holds no state worth keeping: the journal is the truth.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog

from bridge.core.access.policy import Policy
from bridge.core.access.revocations import Revocations
from bridge.core.access.subscriptions import admit_subscription
from bridge.core.access.viewer import Viewer
from bridge.core.dashboard.commands import Directory, parse_command
from bridge.core.dashboard.frames import Body, CloseCode, InvalidFrame
from bridge.core.dashboard.outbox import Ledger
from bridge.core.dashboard.server_frames import Close, explained
from bridge.core.dashboard.session import select
from bridge.core.events import Millis
from bridge.core.records import CommandRecord, CommittedEvent, JournalEntry, Position
from bridge.front.commands import CommandDesk, Publish
from bridge.front.connection import Connection, Socket
from bridge.front.history import Page, State, current_state, history
from bridge.front.journal import FrontJournal, ReadableJournal
from bridge.front.routes import Routes
from bridge.front.shared import SPREAD_SECONDS, Clock, LinkState, Shared, Verify
from bridge.front.writer import Disconnected
from bridge.settings import WebSettings

__all__ = ["Disconnected", "Front", "InvalidFrame", "Page", "Socket", "State"]

PULSE_SECONDS: Final = 0.25  # how late a timeout, an expiry or a position may be noticed
NOWHERE: Final = Position("", "", 0)  # before a journal is followed; nobody is served then, and told it
PULSE_STEP: Final = 32  # connections looked after before an event may go out again: a look costs some 10 us
LEAVE_SECONDS: Final = 5.0  # what a shutdown waits for connections that don't hear it

log = structlog.get_logger()


class Front:
    """The dashboards of one journal's stream; without a `journal` it waits for `turn_to`, and serves nobody yet.

    All methods are called on the event loop's thread.
    """

    def __init__(
        self,
        *,
        settings: WebSettings,
        journal: ReadableJournal | None,
        verify: Verify,
        policy: Policy,
        trust_grants: bool,
        clock: Clock,
        publish: Publish,
        directory: Directory,
        simulated: bool = False,
    ) -> None:
        self._settings = settings
        self._connections: dict[Connection, None] = {}
        self._former = Ledger()  # the books of the connections that are over
        self._former_left = 0
        self._closing = False
        self._empty = asyncio.Event()
        self._empty.set()
        self._linked = False
        self._desk_of = partial(
            CommandDesk, directory=directory, publish=publish, timeout_seconds=settings.command_timeout_seconds
        )
        self._followed = journal is not None
        reader = FrontJournal(journal, NOWHERE if journal is None else journal.position())
        self._shared = Shared(
            settings=settings,
            journal=reader,
            routes=Routes(),
            desk=self._desk_of(journal=reader),
            clock=clock,
            verify=verify,
            policy=policy,
            trust_grants=trust_grants,
            simulated=simulated,
        )

    # Fed by the composition root.

    def offer(self, entries: Sequence[JournalEntry]) -> None:
        """Hand over what was committed, in order: each event once to every dashboard that wants and may have it."""
        for entry in entries:
            self.deliver(entry.events)
            if entry.command is not None:
                self.settle([entry.command])

    def deliver(self, events: Sequence[CommittedEvent]) -> None:
        """Hand over the events that come next in the journal."""
        shared = self._shared
        for event in events:
            shared.journal.advance(event)
            for recipient in shared.routes.recipients(event):
                recipient.offer(event)

    def settle(self, records: Iterable[CommandRecord]) -> None:
        """Answer the commands with these results; their events were delivered before."""
        for record in records:
            self._shared.desk.settle(record)

    def turn_to(self, journal: ReadableJournal, position: Position) -> None:
        """Go on with this journal from there. Who followed another is closed with 1012, and resumes on this one."""
        self._send_away()
        reader = FrontJournal(journal, position)
        # New ones, so that nothing of this journal ever reaches a connection of the former on its way out.
        self._shared = replace(self._shared, journal=reader, routes=Routes(), desk=self._desk_of(journal=reader))
        self._followed = True

    def set_link(
        self, *, broker_connected: bool, stream_live: bool, last_seen: Millis | None, reason: str | None = None
    ) -> None:
        """Tell the dashboards whether what they see is live, when that changes; `last_seen` alone is no change.

        `reason` says for those who operate it why the stream is not live.
        """
        shared = self._shared
        former, shared.link_state = shared.link_state, LinkState(broker_connected, stream_live, last_seen, reason)
        first, self._linked = not self._linked, True
        if first or (former.broker, former.live) != (broker_connected, stream_live):
            for connection in self._connections:
                connection.delivery.link_due = True
                connection.delivery.wake()

    @property
    def position(self) -> Position:
        """Of the last event delivered."""
        return self._shared.journal.position

    @property
    def commands_waiting(self) -> Sequence[tuple[str, str]]:
        """The (user, id) of all commands that wait for their results."""
        return self._shared.desk.waiting

    async def run(self) -> None:
        """Keep the connections' time, until cancelled."""
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            for number, connection in enumerate(list(self._connections), start=1):
                connection.pulse()
                if number % PULSE_STEP == 0:
                    await asyncio.sleep(0)

    async def shutdown(self, *, spread_seconds: float = SPREAD_SECONDS) -> None:
        """Close every connection with 1012, and spread their return over `spread_seconds`."""
        self._closing = True
        self._send_away(spread_seconds)
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._empty.wait()
        except TimeoutError:
            log.warning("front_connections_left", count=len(self._connections))

    # A connection.

    async def serve(self, socket: Socket, *, offered_token: str | None, peer: str) -> None:
        """Run one accepted WebSocket to its end; `offered_token` came with the handshake, `peer` is for the log."""
        if self._closing or not self._followed:
            close = self._shared.unavailable()
            await socket.close(close.code, close.reason)
            return
        if len(self._connections) >= self._settings.max_connections:
            await socket.close(CloseCode.TOO_MANY, "too many connections")
            return
        connection = Connection(socket, self._shared, peer=peer)
        self._connections[connection] = None
        self._empty.clear()
        try:
            await connection.run(offered_token)
        finally:
            del self._connections[connection]
            if not self._connections:
                self._empty.set()
            self._former.add(connection.delivery.outbox.ledger)
            self._former_left += connection.delivery.outbox.left

    def end_access(self, revoked: Revocations) -> int:
        """Close every connection whose user or token is on the list, with 4403; returns how many."""
        ended = [
            each
            for each in self._connections
            if each.viewer is not None and revoked.name(user_id=each.viewer.user_id, token_id=each.viewer.token_id)
        ]
        for connection in ended:
            connection.end(Close(CloseCode.REVOKED, "access revoked"))
        return len(ended)

    # The same over HTTP.

    def authenticate(self, token: str) -> Viewer:
        """Who the bearer is; raises TokenError or AdmissionError."""
        return self._shared.admit(token)

    async def snapshot_for(self, viewer: Viewer, filter_text: str | None) -> State:
        """What is current under a filter, as far as granted; raises InvalidFrame."""
        return await current_state(self._shared.journal, viewer, filter_text)

    async def history(
        self,
        viewer: Viewer,
        filter_text: str | None,
        *,
        since: Millis | None = None,
        until: Millis | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page:
        """Events with `since` <= timestamp < `until`, oldest first, as far as granted; raises InvalidFrame."""
        return await history(
            self._shared.journal, viewer, filter_text, since=since, until=until, cursor=cursor, limit=limit
        )

    def explain_for(self, viewer: Viewer, body: Body) -> dict[str, Any]:
        """The decision on a subscribe body, without subscribing; raises InvalidFrame."""
        selection = select(body)
        return explained(selection.id, admit_subscription(selection, viewer)).as_data()

    async def command_for(self, viewer: Viewer, body: Body) -> dict[str, Any]:
        """What became of a command, in the fields of `command_result`; raises InvalidFrame."""
        return (await self._shared.desk.run(parse_command(body), viewer)).as_data()

    # How it is.

    def statistics(self) -> dict[str, Any]:
        """Connections, subscriptions by type, and the books of all outboxes, which add up."""
        ledger, types = Ledger(), Counter[str]()
        ledger.add(self._former)
        for connection in self._connections:
            ledger.add(connection.delivery.outbox.ledger)
            types.update(each.subscription_type or "filter" for each in connection.dashboard.subscriptions)
        authenticated = sum(connection.viewer is not None for connection in self._connections)
        return {
            "connections": len(self._connections),
            "authenticated": authenticated,
            "users": len(self._shared.viewers),
            "subscriptions": dict(sorted(types.items())),
            "waiting_events": sum(len(each.delivery.outbox) for each in self._connections),
            "waiting_bytes": sum(each.delivery.outbox.bytes for each in self._connections),
            "left_to_journal": self._former_left + sum(each.delivery.outbox.left for each in self._connections),
            "snapshot_builds": self._shared.journal.builds,
            "catching_up": sum(each.delivery.catching_up for each in self._connections),
            "ledger": ledger.as_data(),
            "balanced": ledger.balanced(),
        }

    def ready(self) -> tuple[bool, str]:
        """Whether a dashboard that connects now sees a live floor, and if not, why not."""
        state = self._shared.link_state
        if self._closing:
            return False, "closing"
        if not state.broker:
            return False, "no connection to the broker"
        if not state.live or not self._followed:
            return False, state.reason or "the pipeline is silent"
        return True, "ready"

    def _send_away(self, spread_seconds: float = SPREAD_SECONDS) -> None:
        connections = list(self._connections)
        for number, connection in enumerate(connections, start=1):
            connection.end(self._shared.restarting(spread_seconds * number / len(connections)))
