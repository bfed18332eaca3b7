"""Front: delivers committed events to authorized dashboards, with snapshots, resume, link state and commands.

`on_committed` takes every committed batch and never waits. `run` ticks all connections, which have no task of their
own while nothing is read for them. The front holds no durable state: all of it comes from the journal.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from bridge.domain.access.command_admission import PlantPlaces
from bridge.domain.access.subscriptions import admit_in_steps
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommandRecord, CommittedEvent, JournalEntry, Position
from bridge.domain.steps import RunSteps, Steps, at_once
from bridge.domain.utc_time import Millis
from bridge.front.access_changes import Decide, decide_all, end_if_revoked, redecide, run_in_turns
from bridge.front.broadcaster import Broadcaster
from bridge.front.command_dispatcher import CommandDispatcher, Publish, Sender
from bridge.front.connection import DashboardConnection
from bridge.front.context import RECONNECT_SPREAD_SECONDS, REFUSING, FrontContext, LinkState
from bridge.front.journal_queries import DEFAULT_PAGE, CurrentState, HistoryPage, read_current_state, read_history
from bridge.front.journal_reads import FrontJournal
from bridge.front.user_pace import UserPace
from bridge.ports.authenticator import Authenticator
from bridge.ports.clock import FrontClock, monotonic_ms
from bridge.ports.dashboard_socket import DashboardSocket, SocketHandler
from bridge.ports.journal import ReadableJournal
from bridge.protocol.client_frames import Body
from bridge.protocol.commands import parse_command
from bridge.protocol.ledger import Ledger
from bridge.protocol.server_frames import explained_frame
from bridge.protocol.session import parse_request
from bridge.settings.web import WebSettings

TICK_SECONDS: Final = 0.25  # how late a timeout, an expiry or a position may be noticed
NO_POSITION: Final = Position("", "", 0)  # before there is a journal; no connection is served then
TURN_CONNECTIONS: Final = 32  # ticked, or sent the link state, before an event may go out again: some 0.1 to 1 ms


class Front:
    """Serves the dashboards of one journal's stream; without a `journal`, nobody until `switch_journal`.

    All methods are called on the event loop's thread.
    """

    def __init__(
        self,
        *,
        settings: WebSettings,
        journal: ReadableJournal | None,
        authenticator: Authenticator,
        clock: FrontClock,
        publish: Publish,
        places: PlantPlaces,
        simulated: bool = False,
    ) -> None:
        self._connections: dict[DashboardConnection, None] = {}
        self.ledger = Ledger()  # of all connections, those included that have ended
        self._former_snapshot_builds = 0  # of the journals before this one
        self._closing = False
        self._link_state_known = False
        self._make_commands = partial(
            CommandDispatcher, places=places, publish=publish, timeout_seconds=settings.command_timeout_seconds
        )
        self._has_journal = journal is not None
        reader = FrontJournal(journal, NO_POSITION if journal is None else journal.position())
        self._context = FrontContext(
            settings=settings,
            journal=reader,
            broadcaster=Broadcaster(reader.feed, clock, self.ledger),
            commands=self._make_commands(journal=reader),
            clock=clock,
            authenticator=authenticator,
            simulated=simulated,
            command_pace=UserPace(per_second=settings.max_commands_per_second),
        )

    # Called by the composition root.

    def on_committed(self, entries: Sequence[JournalEntry]) -> None:
        """Deliver a committed batch in order: each event once to every dashboard that subscribes and is authorized."""
        self.deliver([event for entry in entries for event in entry.events])
        self.deliver_results(entry.command for entry in entries if entry.command is not None)

    def deliver(self, events: Sequence[CommittedEvent]) -> None:
        """Deliver the events that come next in the journal."""
        self._context.journal.advance(events)
        self._context.broadcaster.deliver(events)
        self._context.journal.notify_waiters()

    def deliver_results(self, records: Iterable[CommandRecord]) -> None:
        """Answer commands with these results; their events must have been delivered before."""
        for record in records:
            self._context.commands.deliver_result(record)

    def switch_journal(self, journal: ReadableJournal, position: Position) -> None:
        """Continue with this journal from `position`. All connections are closed with 1012 and resume on this one."""
        self._close_all()
        self._former_snapshot_builds += self._context.journal.snapshot_builds
        reader = FrontJournal(journal, position)
        # New objects, so that nothing of this journal reaches a closing connection of the former one.
        self._context = replace(
            self._context,
            journal=reader,
            broadcaster=Broadcaster(reader.feed, self._context.clock, self.ledger),
            commands=self._make_commands(journal=reader),
        )
        self._has_journal = True

    def set_link_state(
        self, *, broker_connected: bool, stream_live: bool, last_seen: Millis | None, reason: str | None = None
    ) -> None:
        """Set the link state, and send it to all dashboards when it changes; `last_seen` alone is no change.

        `reason` states for operators why the stream is not live.
        """
        context = self._context
        former, context.link_state = context.link_state, LinkState(broker_connected, stream_live, last_seen, reason)
        is_first, self._link_state_known = not self._link_state_known, True
        if is_first or (former.broker_connected, former.stream_live) != (broker_connected, stream_live):
            for connection in self._connections:
                connection.delivery.announce_link()
            self._pump_in_turns(deque(self._connections))

    def _pump_in_turns(self, connections: deque[DashboardConnection]) -> None:
        """Pump these, and let the event loop do other work after every `TURN_CONNECTIONS`."""
        for _ in range(min(TURN_CONNECTIONS, len(connections))):
            connections.popleft().pump()
        if connections:
            asyncio.get_running_loop().call_soon(self._pump_in_turns, connections)

    @property
    def position(self) -> Position:
        """Return the position of the last event delivered."""
        return self._context.journal.position

    @property
    def pending_commands(self) -> Sequence[tuple[str, str]]:
        """Return the (user, id) of all commands that await their results."""
        return self._context.commands.pending

    async def run(self) -> None:
        """Tick all connections until cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for part in self._parts():
                elapsed, wall_now = monotonic_ms(), self._context.clock.wall_now()  # read once: that is slow
                for connection in part:
                    try:
                        connection.tick(elapsed=elapsed, wall_now=wall_now)
                    except Exception as error:  # noqa: BLE001 - one dashboard's fault is not that of all others
                        connection.fail(error)
                await asyncio.sleep(0)

    def shutdown(self, *, spread_seconds: float = RECONNECT_SPREAD_SECONDS) -> None:
        """Close every connection with 1012, and spread the reconnects over `spread_seconds`."""
        self._closing = True
        self._close_all(spread_seconds)

    # Connections.

    def serve(self, socket: DashboardSocket, *, handshake_token: str | None, peer: str) -> SocketHandler | None:
        """Begin to serve an accepted WebSocket, and return who takes what happens on it; None: it was refused.

        `handshake_token` came with the handshake, `peer` is for the log.
        """
        if self._closing or not self._has_journal:
            close = self._context.unavailable_close()
            socket.close(close.code, close.reason)
            return None
        connection = DashboardConnection(socket, self._context, peer=peer, on_end=self._forget)
        self._connections[connection] = None
        connection.start(handshake_token)
        return None if connection.ended else connection

    def _forget(self, connection: DashboardConnection) -> None:
        del self._connections[connection]

    async def close_revoked(self) -> int:
        """Close every connection whose token has been revoked, with 4403; return how many."""
        return await self._decide_in_turns(end_if_revoked)

    async def redecide(self) -> int:
        """Put into force what a changed policy grants each dashboard: `revoked` and `widened`; return how many change.

        A dashboard that it does not concern is sent nothing, and stays in its cohort. If the policy changes meanwhile,
        it has to be called again.
        """
        return await self._decide_in_turns(redecide)

    async def _decide_in_turns(self, decide: Decide) -> int:
        steps = decide_all(decide, self._context.authenticator, list(self._connections))
        return await run_in_turns(steps, turn_ms=self._context.settings.turn_ms)

    def _parts(self) -> Iterator[Sequence[DashboardConnection]]:
        """Yield all present connections, in parts after which the event loop may do other work."""
        connections = list(self._connections)
        for start in range(0, len(connections), TURN_CONNECTIONS):
            yield connections[start : start + TURN_CONNECTIONS]

    # The same over HTTP.

    def authenticate(self, token: str) -> Steps[Viewer]:
        """Return the viewer that a token authenticates; raise TokenError or AdmissionError."""
        return self._context.admit_in_steps(token)

    async def read_snapshot(self, viewer: Viewer, filter_text: str | None, *, run: RunSteps = at_once) -> CurrentState:
        """Return the current events under a filter, as far as granted; raise InvalidFrame."""
        return await read_current_state(self._context.journal, viewer, filter_text, run=run)

    async def read_history(
        self,
        viewer: Viewer,
        filter_text: str | None,
        *,
        since: Millis | None = None,
        until: Millis | None = None,
        cursor: str | None = None,
        limit: int = DEFAULT_PAGE,
        run: RunSteps = at_once,
    ) -> HistoryPage:
        """Return events with `since` <= timestamp < `until`, oldest first, as far as granted; raise InvalidFrame."""
        return await read_history(
            self._context.journal, viewer, filter_text, since=since, until=until, cursor=cursor, limit=limit, run=run
        )

    async def explain(self, viewer: Viewer, body: Body, *, run: RunSteps = at_once) -> dict[str, Any]:
        """Return the decision on a subscribe body, without subscribing; raise InvalidFrame."""
        request = parse_request(body)
        return explained_frame(request.id, await run(admit_in_steps(request, viewer))).as_data()

    async def run_command(self, sender: Sender, body: Body, *, user_id: str) -> dict[str, Any]:
        """Run a command and return its result in the fields of `command_result`; raise InvalidFrame."""
        request = parse_command(body)
        self._context.take_command(user_id, pending=0, id=request.id)
        return (await self._context.commands.execute(request, sender)).as_data()

    # Status.

    def statistics(self) -> dict[str, Any]:
        """Return the counts of connections, subscriptions by type, and the summed ledgers of all connections.

        It walks over those only that catch up.
        """
        types = self._context.broadcaster.fan_out.subscriptions
        behind = [connection.delivery.events_behind for connection in self._context.broadcaster.fan_out.outside]
        return {
            "connections": len(self._connections),
            "authenticated": len(self._context.authenticated),
            "users": len(self._context.connections_by_user),
            "subscriptions": {name: count for name, count in sorted(types.items()) if count},
            "cohorts": len(list(self._context.broadcaster.fan_out.cohorts)),
            "routes": len(self._context.broadcaster.fan_out),
            "events_behind": sum(behind),
            "catching_up": sum(events > 0 for events in behind),
            "snapshot_builds": self._former_snapshot_builds + self._context.journal.snapshot_builds,
            "faults": self._context.fault_count,
            "ledger": self.ledger.as_data(),
        }

    @property
    def refused(self) -> Mapping[str, int]:
        """Return how many connections and commands of users were refused, by the setting that is the bound."""
        return {bound: self._context.refused[bound] for bound in REFUSING}

    def readiness(self) -> tuple[bool, str]:
        """Return whether a dashboard that connects now sees a live stream, and if not, why not."""
        state = self._context.link_state
        if self._closing:
            return False, "closing"
        if not state.broker_connected:
            return False, "no connection to the broker"
        if not state.stream_live or not self._has_journal:
            return False, state.reason or "the pipeline is silent"
        return True, "ready"

    def _close_all(self, spread_seconds: float = RECONNECT_SPREAD_SECONDS) -> None:
        connections = list(self._connections)
        for number, connection in enumerate(connections, start=1):
            connection.end(self._context.restart_close(spread_seconds * number / len(connections)))
