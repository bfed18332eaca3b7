"""The dashboard protocol, sans-IO (protocol.md): takes frame text, and drives the delivery to this dashboard.

It checks frame size, rate, authentication and token expiry. session.py executes the frames of an authenticated client.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final

from bridge.domain.access.claims import TokenError, TokenExpired, TokenNotYetValid, TokenRevoked
from bridge.domain.access.viewer import AdmissionError, Viewer
from bridge.domain.steps import Steps
from bridge.domain.strict_json import NotStrictJson, parse_json
from bridge.domain.utc_time import Millis, rfc3339
from bridge.protocol.client_frames import MAX_VALUES, Auth, ClientFrame, InvalidFrame, parse_frame
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.delivery import Delivery
from bridge.protocol.error_codes import ErrorCode
from bridge.protocol.server_frames import AuthOk, Close, Error, Expiring, StreamAt, error_frame
from bridge.protocol.session import DashboardSession, SessionWork
from bridge.protocol.token_bucket import TokenBucket

EXPIRING_MS: Final = 60_000  # protocol.md: `expiring` a minute ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Limits on what one connection may send and hold."""

    max_frame_bytes: int
    frames_per_second: int
    max_subscriptions: int
    max_filters: int
    auth_timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """Server data for auth_ok; `server_time` is floor time."""

    server_time: Millis
    streams: dict[str, StreamAt]
    simulated: bool


class DashboardProtocol:
    """Protocol state of one connection; answers are queued at its delivery.

    Two times are arguments: `elapsed`, in ms from any start, for rate and timeouts; `wall_now`, in ms since the Unix
    epoch, for tokens.
    """

    def __init__(self, limits: ConnectionLimits, delivery: Delivery[Hashable], *, elapsed: Millis) -> None:
        self.session: DashboardSession | None = None  # from authentication on
        self.is_closed = False
        self._delivery = delivery
        self._limits = limits
        rate = limits.frames_per_second
        self._bucket = TokenBucket(per_second=rate, burst=2 * rate, at=elapsed)
        self._auth_deadline = elapsed + limits.auth_timeout_ms
        self._throttled = False
        self._expiry_warned = False

    @property
    def viewer(self) -> Viewer | None:
        return None if self.session is None else self.session.viewer

    def receive(
        self, text: str | bytes, *, elapsed: Millis, server_time: Millis
    ) -> Auth | SessionWork | Steps[None] | None:
        """Take one frame, and return what of it takes IO or steps; never raise for client input.

        A token is to be verified, and passed to `accept` or `reject`; the result of a command, to the delivery. Steps
        are to be done before the next frame.
        """
        if self.is_closed:
            return None
        payload = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
        if len(payload) > self._limits.max_frame_bytes:
            self.close(CloseCode.TOO_BIG, "frame too big")
        elif excess := self._bucket.take(1, elapsed):
            self._throttle(excess)
        else:
            self._throttled = False
            if isinstance(text, str):
                return self._take(payload, server_time)
            self._delivery.answer(Error(code=ErrorCode.INVALID_MESSAGE, message="frames are text"))
        return None

    def accept(self, viewer: Viewer, *, server_info: Callable[[], ServerInfo], confirm: bool = True) -> Steps[None]:
        """Accept a verified token; `confirm` False: it came with the handshake, so no frame awaits an answer."""
        former = self.viewer
        if former is not None and (former.user_id, former.claims.issuer) != (viewer.user_id, viewer.claims.issuer):
            self._delivery.answer(Error(code=ErrorCode.FORBIDDEN, message="the token is of another user"))
            return
        self._expiry_warned = False
        if self.session is not None:
            yield from self.session.update_viewer(viewer, answer=lambda viewer: _auth_ok(viewer, server_info()))
            return
        self._delivery.authenticate(viewer)
        if confirm:
            self._delivery.answer(_auth_ok(viewer, server_info()))
        limits = self._limits
        self.session = DashboardSession(
            viewer, self._delivery, max_subscriptions=limits.max_subscriptions, max_filters=limits.max_filters
        )

    def reject(self, error: TokenError | AdmissionError) -> None:
        """Reject a token: closes an unauthenticated connection; an authenticated one keeps its former token."""
        match error:
            case TokenExpired():
                code, reason = CloseCode.EXPIRED, "token expired"
            case TokenRevoked():
                code, reason = CloseCode.REVOKED, "access revoked"
            case TokenNotYetValid():
                code, reason = CloseCode.NOT_YET_VALID, "token not valid yet"
            case _:
                code, reason = CloseCode.POLICY_VIOLATION, "token invalid"
        if self.session is None:
            self.close(code, reason)
        else:
            self._delivery.answer(Error(code=ErrorCode.UNAUTHENTICATED, message=reason))

    def tick(self, *, elapsed: Millis, wall_now: Millis) -> Close | None:
        """Queue what is due, or return the close that is due at once, whatever is queued."""
        viewer = self.viewer
        if self.is_closed:
            return None
        if viewer is None:
            is_late = elapsed >= self._auth_deadline
            return Close(CloseCode.NOT_AUTHENTICATED, "did not authenticate in time") if is_late else None
        if wall_now < viewer.expires_at - EXPIRING_MS:
            return None
        if wall_now >= viewer.expires_at:
            return Close(CloseCode.EXPIRED, "token expired")
        if not self._expiry_warned and self._delivery.may_push:
            self._expiry_warned = True
            self._delivery.answer(Expiring(expires_at=rfc3339(viewer.expires_at)))
        return None

    def is_expired(self, wall_now: Millis) -> bool:
        return self.session is not None and wall_now >= self.session.viewer.expires_at

    def close(self, code: CloseCode, reason: str) -> None:
        """Take no more frames, and have the connection closed behind the answers that are queued."""
        self.is_closed = True
        self._delivery.close(Close(code, reason))

    def _throttle(self, excess: float) -> None:
        if excess > self._bucket.burst:
            self.close(CloseCode.TOO_MANY, "too many messages")
        elif not self._throttled:  # reported once until a frame is accepted: an error for each would double the flood
            self._throttled = True
            self._delivery.answer(
                Error(code=ErrorCode.RATE_LIMITED, message="too many messages; this one was not read")
            )

    def _take(self, payload: bytes, server_time: Millis) -> Auth | SessionWork | Steps[None] | None:
        tree: object = None
        try:
            tree = parse_json(payload, max_bytes=self._limits.max_frame_bytes, max_values=MAX_VALUES)
            return self._execute(parse_frame(tree), server_time)
        except NotStrictJson as error:
            self._delivery.answer(Error(code=ErrorCode.INVALID_JSON, message=error.text))
        except InvalidFrame as error:
            self._delivery.answer(error_frame(error))
            if self.session is None and isinstance(tree, dict) and tree.get("type") == "auth":
                self.close(CloseCode.POLICY_VIOLATION, "token missing")
        return None

    def _execute(self, frame: ClientFrame, server_time: Millis) -> Auth | SessionWork | Steps[None] | None:
        if isinstance(frame, Auth):
            return frame
        if self.session is not None:
            return self.session.execute(frame, server_time)
        self._delivery.answer(Error(code=ErrorCode.UNAUTHENTICATED, message="the first frame must be auth"))
        self.close(CloseCode.POLICY_VIOLATION, "token missing")
        return None


def _auth_ok(viewer: Viewer, server_info: ServerInfo) -> AuthOk:
    return AuthOk(
        user_id=viewer.user_id,
        roles=list(viewer.roles),
        expires_at=rfc3339(viewer.expires_at),
        read=[str(grant.filter) for grant in viewer.read_grants.all],
        command=[str(grant.filter) for grant in viewer.command_grants.all],
        streams=server_info.streams,
        server_time=rfc3339(server_info.server_time),
        simulated=server_info.simulated,
    )
