"""State shared by all connections of a front: settings, journal, broadcaster, commands, link state, connected users."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import msgspec

from bridge.domain.access.claims import TokenExpired
from bridge.domain.access.viewer import Viewer
from bridge.domain.steps import Steps
from bridge.domain.utc_time import Millis, rfc3339_or_none
from bridge.front.broadcaster import Broadcaster
from bridge.front.command_dispatcher import CommandDispatcher
from bridge.front.journal_reads import FrontJournal
from bridge.front.user_pace import UserPace
from bridge.http.log_limit import LogLimit
from bridge.ports.authenticator import Authenticator
from bridge.ports.clock import FrontClock
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.dashboard_protocol import ConnectionLimits, ServerInfo
from bridge.protocol.error_codes import ErrorCode
from bridge.protocol.server_frames import Close, Link, StreamLink, stream_positions
from bridge.settings.web import WebSettings

REFUSING: Final = ("max_connections", "max_connections_per_user", "max_commands_per_second")  # settings
MAX_COMMANDS: Final = 20  # of one connection, pending at once
RECONNECT_SPREAD_SECONDS: Final = 10.0  # period over which closed dashboards reconnect
RECONNECT_STEP_SECONDS: Final = 0.7  # from one rejected connection to the next: each tenth of the spread in turn


@dataclass(frozen=True, slots=True)
class LinkState:
    """State of the link between the front and the pipeline."""

    broker_connected: bool = False
    stream_live: bool = False
    last_seen: Millis | None = None
    reason: str | None = None  # why the stream is not live, for operators


@dataclass(slots=True, kw_only=True)
class FrontContext:
    """Parts and state that all connections of a front share."""

    settings: WebSettings
    journal: FrontJournal
    broadcaster: Broadcaster
    commands: CommandDispatcher
    clock: FrontClock
    authenticator: Authenticator
    simulated: bool
    command_pace: UserPace
    authenticated: set[object] = field(default_factory=set)  # connections
    connections_by_user: dict[str, set[object]] = field(default_factory=dict)  # the same by user id; none is empty
    refused: Counter[str] = field(default_factory=Counter)  # by the setting that is the bound
    link_state: LinkState = field(default_factory=LinkState)
    rejected_count: int = 0
    log_limit: LogLimit = field(default_factory=LogLimit)
    fault_count: int = 0  # of the bridge, each of which has ended a connection

    @property
    def limits(self) -> ConnectionLimits:
        return ConnectionLimits(
            max_frame_bytes=self.settings.max_frame_bytes,
            frames_per_second=self.settings.max_frames_per_second,
            max_subscriptions=self.settings.max_subscriptions,
            max_filters=self.settings.max_filters,
            auth_timeout_ms=int(self.settings.auth_timeout_seconds * 1_000),
        )

    def admit_in_steps(self, token: str) -> Steps[Viewer]:
        """Return the viewer that a token authenticates at the last step; raise TokenError or AdmissionError."""
        viewer = yield from self.authenticator.admit_in_steps(token, now=self.clock.wall_now())
        if self.clock.wall_now() >= viewer.expires_at:
            raise TokenExpired(viewer.expires_at)
        return viewer

    def take_slot(self, user_id: str, connection: object) -> bool:
        """Count this connection as one of the user's, and return True; or False if there is no slot left."""
        connections = self.connections_by_user.get(user_id, set())
        if len(connections) >= self.settings.max_connections_per_user:
            self.refused["max_connections_per_user"] += 1
            return False
        if len(self.authenticated) >= self.settings.max_connections:
            self.refused["max_connections"] += 1
            return False
        self.connections_by_user.setdefault(user_id, connections).add(connection)
        self.authenticated.add(connection)
        return True

    def free_slot(self, user_id: str, connection: object) -> None:
        """Forget a connection that has a slot."""
        self.authenticated.remove(connection)
        connections = self.connections_by_user[user_id]
        connections.remove(connection)
        if not connections:
            del self.connections_by_user[user_id]

    def take_command(self, user_id: str, *, pending: int, id: str | None) -> None:  # noqa: A002 - as on the wire
        """Count a command of this user; raise InvalidFrame for too many `pending` of one connection, or in a second."""
        if pending >= MAX_COMMANDS:
            raise InvalidFrame(ErrorCode.LIMIT_EXCEEDED, "too many commands at once", id=id)
        if not self.command_pace.take(user_id):
            self.refused["max_commands_per_second"] += 1
            raise InvalidFrame(ErrorCode.RATE_LIMITED, "too many commands; this one was not sent", id=id)

    def server_info(self) -> ServerInfo:
        return ServerInfo(
            server_time=self.clock.now(), streams=stream_positions(self.journal.position), simulated=self.simulated
        )

    def link_frame(self) -> Link:
        here, state = self.journal.position, self.link_state
        link = StreamLink(
            live=state.broker_connected and state.stream_live,
            last_seen=rfc3339_or_none(state.last_seen),
            offset=here.offset,
        )
        return Link(broker=state.broker_connected, streams={here.stream: link})

    def unavailable_close(self) -> Close:
        """Return a close for a client that cannot be served now, with a delay that spreads the reconnects."""
        self.rejected_count += 1
        return self.restart_close(1 + self.rejected_count * RECONNECT_STEP_SECONDS % RECONNECT_SPREAD_SECONDS)

    def restart_close(self, retry_after: float) -> Close:
        """Return a close with `retry_after` seconds as its reason, within the 123 bytes that RFC 6455 5.5 leaves."""
        return Close(CloseCode.SERVICE_RESTART, msgspec.json.encode({"retry_after": round(retry_after, 1)}).decode())
