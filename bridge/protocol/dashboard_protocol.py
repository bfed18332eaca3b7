"""The dashboard protocol, sans-IO: frame text in, actions out (protocol.md). One `DashboardProtocol` per connection.

It checks frame size, rate, authentication and token expiry. session.py executes the frames of an authenticated client.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, assert_never

from bridge.domain.access.claims import TokenError, TokenExpired, TokenRevoked
from bridge.domain.access.subscription_request import SubscriptionRequest
from bridge.domain.access.viewer import AdmissionError, Viewer
from bridge.domain.strict_json import NotStrictJson, parse_json
from bridge.domain.utc_time import Millis, rfc3339
from bridge.protocol.actions import Action, Authenticate, EnablePush, Send
from bridge.protocol.client_frames import Auth, ClientFrame, InvalidFrame, parse_frame
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.error_codes import ErrorCode
from bridge.protocol.server_frames import AuthOk, Close, Error, Expiring, StreamAt, error_frame
from bridge.protocol.session import DashboardSession
from bridge.protocol.token_bucket import TokenBucket

EXPIRING_MS: Final = 60_000  # protocol.md: `expiring` a minute ahead


class ConnectionPhase(Enum):
    """Phases of a connection, the states of `NEXT`."""

    UNAUTHENTICATED = auto()
    AUTHENTICATED = auto()
    CLOSED = auto()


class ConnectionStep(Enum):
    """Steps that change the phase of a connection, the inputs of `NEXT`."""

    TOKEN_ACCEPTED = auto()
    CLOSE = auto()


NEXT: Final = {
    (ConnectionPhase.UNAUTHENTICATED, ConnectionStep.TOKEN_ACCEPTED): ConnectionPhase.AUTHENTICATED,
    (ConnectionPhase.AUTHENTICATED, ConnectionStep.TOKEN_ACCEPTED): ConnectionPhase.AUTHENTICATED,
    (ConnectionPhase.UNAUTHENTICATED, ConnectionStep.CLOSE): ConnectionPhase.CLOSED,
    (ConnectionPhase.AUTHENTICATED, ConnectionStep.CLOSE): ConnectionPhase.CLOSED,
    (ConnectionPhase.CLOSED, ConnectionStep.CLOSE): ConnectionPhase.CLOSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Limits on what one connection may send and hold."""

    max_frame_bytes: int
    frames_per_second: int
    max_subscriptions: int
    auth_timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """Server data for auth_ok; `server_time` is floor time."""

    server_time: Millis
    streams: dict[str, StreamAt]
    simulated: bool


class DashboardProtocol:
    """Protocol state of one connection.

    Two times are arguments: `elapsed`, in ms from any start, for rate and timeouts; `wall_now`, in ms since the Unix
    epoch, for tokens.
    """

    def __init__(self, limits: ConnectionLimits, *, elapsed: Millis) -> None:
        self.phase = ConnectionPhase.UNAUTHENTICATED
        self.session: DashboardSession | None = None
        self.push_enabled = False  # no unrequested frame before the first answer
        self._limits = limits
        self._bucket = TokenBucket(per_second=limits.frames_per_second, at=elapsed)
        self._auth_deadline = elapsed + limits.auth_timeout_ms
        self._throttled = False
        self._expiry_warned = False

    @property
    def viewer(self) -> Viewer | None:
        return None if self.session is None else self.session.viewer

    @property
    def subscription_requests(self) -> list[SubscriptionRequest]:
        return [] if self.session is None else self.session.subscription_requests

    def receive(self, text: str | bytes, *, elapsed: Millis, server_time: Millis) -> list[Action]:
        """Return the actions that one frame leads to, in order; never raise for client input."""
        if self.phase is ConnectionPhase.CLOSED:
            return []
        payload = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
        if len(payload) > self._limits.max_frame_bytes:
            return self._close(CloseCode.TOO_BIG, "frame too big")
        excess = self._bucket.take(elapsed)
        if excess:
            return self._throttle(excess)
        self._throttled = False
        tree: object = None
        if isinstance(text, bytes):
            return [Send(Error(code=ErrorCode.INVALID_MESSAGE, message="frames are text")), *self._enable_push()]
        try:
            tree = parse_json(payload, max_bytes=self._limits.max_frame_bytes)
            actions = self._dispatch(parse_frame(tree), server_time)
        except NotStrictJson as error:
            actions = [Send(Error(code=ErrorCode.INVALID_JSON, message="not acceptable JSON: " + error.reason))]
        except InvalidFrame as error:
            actions = [Send(error_frame(error))]
            if self.viewer is None and isinstance(tree, dict) and tree.get("type") == "auth":
                return [*actions, *self._close(CloseCode.POLICY_VIOLATION, "token missing")]
        if actions and isinstance(actions[0], Authenticate):
            return actions  # answered by `accept` or `reject`
        return [*actions, *self._enable_push()]

    def accept(self, viewer: Viewer, *, server_info: ServerInfo, confirm: bool = True) -> list[Action]:
        """Accept a verified token; `confirm` False: it came with the handshake, so no frame awaits an answer."""
        former = self.viewer
        if former is not None and (former.user_id, former.issuer) != (viewer.user_id, viewer.issuer):
            return [Send(Error(code=ErrorCode.FORBIDDEN, message="the token is of another user"))]
        self.phase = NEXT[self.phase, ConnectionStep.TOKEN_ACCEPTED]
        self._expiry_warned = False
        changed: list[Action] = []
        if self.session is None:
            self.session = DashboardSession(viewer, max_subscriptions=self._limits.max_subscriptions)
        else:
            changed = self.session.update_viewer(viewer)
        if not confirm:
            return []
        answer = AuthOk(
            user_id=viewer.user_id,
            roles=list(viewer.roles),
            expires_at=rfc3339(viewer.expires_at),
            read=[str(grant.filter) for grant in viewer.read_grants.all],
            command=[str(grant.filter) for grant in viewer.command_grants.all],
            streams=server_info.streams,
            server_time=rfc3339(server_info.server_time),
            simulated=server_info.simulated,
        )
        return [Send(answer), *changed, *self._enable_push()]

    def reject(self, error: TokenError | AdmissionError) -> list[Action]:
        """Reject a token: closes an unauthenticated connection; an authenticated one keeps its former token."""
        match error:
            case TokenExpired():
                code, reason = CloseCode.EXPIRED, "token expired"
            case TokenRevoked():
                code, reason = CloseCode.REVOKED, "access revoked"
            case _:
                code, reason = CloseCode.POLICY_VIOLATION, "token invalid"
        if self.viewer is not None:
            return [Send(Error(code=ErrorCode.UNAUTHENTICATED, message=reason)), *self._enable_push()]
        return self._close(code, reason)

    def tick(self, *, elapsed: Millis, wall_now: Millis) -> list[Action]:
        """Return the actions that are due; nothing may be delivered after the Close of an expired token."""
        match self.phase:
            case ConnectionPhase.CLOSED:
                return []
            case ConnectionPhase.UNAUTHENTICATED:
                if elapsed < self._auth_deadline:
                    return []
                return self._close(CloseCode.NOT_AUTHENTICATED, "did not authenticate in time")
            case ConnectionPhase.AUTHENTICATED:
                return self._check_expiry(wall_now)
            case _:
                assert_never(self.phase)

    def is_expired(self, wall_now: Millis) -> bool:
        return self.viewer is not None and wall_now >= self.viewer.expires_at

    def mark_closed(self) -> None:
        self.phase = NEXT[self.phase, ConnectionStep.CLOSE]

    def _check_expiry(self, wall_now: Millis) -> list[Action]:
        assert self.viewer is not None, "an admitted connection has a viewer"
        if self.is_expired(wall_now):
            return self._close(CloseCode.EXPIRED, "token expired")
        if self._expiry_warned or not self.push_enabled or wall_now < self.viewer.expires_at - EXPIRING_MS:
            return []
        self._expiry_warned = True
        return [Send(Expiring(expires_at=rfc3339(self.viewer.expires_at)))]

    def _close(self, code: CloseCode, reason: str) -> list[Action]:
        self.mark_closed()
        return [Close(code, reason)]

    def _enable_push(self) -> list[Action]:
        if self.push_enabled or self.viewer is None:
            return []
        self.push_enabled = True
        return [EnablePush()]

    def _throttle(self, excess: int) -> list[Action]:
        if excess > self._bucket.burst:
            return self._close(CloseCode.TOO_MANY, "too many messages")
        if self._throttled:
            return []  # reported once until a frame is accepted: an error for each would double the flood
        self._throttled = True
        return [Send(Error(code=ErrorCode.RATE_LIMITED, message="too many messages; this one was not read"))]

    def _dispatch(self, frame: ClientFrame, server_time: Millis) -> list[Action]:
        if isinstance(frame, Auth):
            return [Authenticate(frame.token)]
        if self.session is None:
            refusal = Error(code=ErrorCode.UNAUTHENTICATED, message="the first frame must be auth")
            return [Send(refusal), *self._close(CloseCode.POLICY_VIOLATION, "token missing")]
        return self.session.execute(frame, server_time)
