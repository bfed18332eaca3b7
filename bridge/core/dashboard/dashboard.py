"""The dashboard protocol, sans-IO: a frame's text in, actions out (PROTOCOL). One `Dashboard` is one connection.

It guards the door: size, pace, proof and its expiry. What an admitted dashboard may ask is in session.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, assert_never

from bridge.core.access.claims import TokenError, TokenExpired, TokenRevoked
from bridge.core.access.subscriptions import (
    Selection,
)
from bridge.core.access.viewer import AdmissionError, Viewer
from bridge.core.dashboard.actions import (
    Action,
    Authenticate,
    Greet,
    Send,
)
from bridge.core.dashboard.frames import (
    Auth,
    ClientFrame,
    CloseCode,
    ErrorCode,
    InvalidFrame,
    NotJson,
    client_frame,
)
from bridge.core.dashboard.rate import TokenBucket
from bridge.core.dashboard.server_frames import (
    AuthOk,
    Close,
    Error,
    Expiring,
    StreamAt,
    error_frame,
)
from bridge.core.dashboard.session import Session
from bridge.core.events import Millis, rfc3339

EXPIRING_MS: Final = 60_000  # PROTOCOL: `expiring` a minute ahead


class Phase(Enum):
    ARRIVED = "arrived"  # nobody yet
    ADMITTED = "admitted"
    CLOSED = "closed"


class Step(Enum):
    PROVEN = "proven"  # a token was good
    ENDED = "ended"


NEXT: Final = {
    (Phase.ARRIVED, Step.PROVEN): Phase.ADMITTED,
    (Phase.ADMITTED, Step.PROVEN): Phase.ADMITTED,
    (Phase.ARRIVED, Step.ENDED): Phase.CLOSED,
    (Phase.ADMITTED, Step.ENDED): Phase.CLOSED,
    (Phase.CLOSED, Step.ENDED): Phase.CLOSED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    max_frame_bytes: int
    frames_per_second: int
    max_subscriptions: int
    auth_timeout_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What auth_ok and pong tell of the server: `server_time` is floor time."""

    server_time: Millis
    streams: dict[str, StreamAt]
    simulated: bool


class Dashboard:
    """Two times are arguments: `elapsed` ms from any start, for pace, and `real` ms since the epoch, for tokens."""

    def __init__(self, limits: Limits, *, parse_json: Callable[[str], object], elapsed: Millis) -> None:
        self.phase = Phase.ARRIVED
        self.session: Session | None = None
        self.greeted = False  # nothing unasked before the first answer
        self._limits = limits
        self._parse_json = parse_json
        self._bucket = TokenBucket(per_second=limits.frames_per_second, at=elapsed)
        self._auth_due = elapsed + limits.auth_timeout_ms
        self._throttled = False
        self._warned = False

    @property
    def viewer(self) -> Viewer | None:
        return None if self.session is None else self.session.viewer

    @property
    def subscriptions(self) -> list[Selection]:
        return [] if self.session is None else self.session.subscriptions

    def receive(self, text: str | bytes, *, elapsed: Millis, facts: Facts) -> list[Action]:
        """What one frame leads to, in order; never raises for what a client can write."""
        if self.phase is Phase.CLOSED:
            return []
        if _size(text) > self._limits.max_frame_bytes:
            return self._close(CloseCode.TOO_BIG, "frame too big")
        excess = self._bucket.take(elapsed)
        if excess:
            return self._throttle(excess)
        self._throttled = False
        tree: object = None
        if isinstance(text, bytes):
            return [Send(Error(code=ErrorCode.INVALID_MESSAGE, message="frames are text")), *self._greet()]
        try:
            tree = self._parse_json(text)
            actions = self._serve(client_frame(tree), facts)
        except NotJson as error:
            actions = [Send(Error(code=ErrorCode.INVALID_JSON, message="not acceptable JSON: " + error.reason))]
        except InvalidFrame as error:
            actions = [Send(error_frame(error))]
            if self.viewer is None and isinstance(tree, dict) and tree.get("type") == "auth":
                return [*actions, *self._close(CloseCode.POLICY, "token missing")]
        if actions and isinstance(actions[0], Authenticate):
            return actions  # answered by `admitted` or `rejected`
        return [*actions, *self._greet()]

    def admitted(self, viewer: Viewer, *, facts: Facts, asked: bool = True) -> list[Action]:
        """The token is good; `asked` False: it came with the handshake, so that no frame waits for an answer."""
        former = self.viewer
        if former is not None and (former.user_id, former.issuer) != (viewer.user_id, viewer.issuer):
            return [Send(Error(code=ErrorCode.FORBIDDEN, message="the token is another user's"))]
        self.phase = NEXT[self.phase, Step.PROVEN]
        self._warned = False
        changed: list[Action] = []
        if self.session is None:
            self.session = Session(viewer, max_subscriptions=self._limits.max_subscriptions)
        else:
            changed = self.session.refresh(viewer)
        if not asked:
            return []
        answer = AuthOk(
            user_id=viewer.user_id,
            roles=list(viewer.roles),
            expires_at=rfc3339(viewer.expires_at),
            read=[str(grant.filter) for grant in viewer.read.all],
            command=[str(grant.filter) for grant in viewer.command.all],
            streams=facts.streams,
            server_time=rfc3339(facts.server_time),
            simulated=facts.simulated,
        )
        return [Send(answer), *changed, *self._greet()]

    def rejected(self, error: TokenError | AdmissionError) -> list[Action]:
        """The token is not good: the end of an unproven connection; a proven one goes on with what it has."""
        match error:
            case TokenExpired():
                code, reason = CloseCode.EXPIRED, "token expired"
            case TokenRevoked():
                code, reason = CloseCode.REVOKED, "access revoked"
            case _:
                code, reason = CloseCode.POLICY, "token invalid"
        if self.viewer is not None:
            return [Send(Error(code=ErrorCode.UNAUTHENTICATED, message=reason)), *self._greet()]
        return self._close(code, reason)

    def tick(self, *, elapsed: Millis, real: Millis) -> list[Action]:
        """What is due by now; nothing may be delivered after the Close of an expiry."""
        match self.phase:
            case Phase.CLOSED:
                return []
            case Phase.ARRIVED:
                if elapsed < self._auth_due:
                    return []
                return self._close(CloseCode.NOT_AUTHENTICATED, "did not authenticate in time")
            case Phase.ADMITTED:
                return self._tick_token(real)
            case _:
                assert_never(self.phase)

    def expired(self, real: Millis) -> bool:
        return self.viewer is not None and real >= self.viewer.expires_at

    def end(self) -> None:
        self.phase = NEXT[self.phase, Step.ENDED]

    def _tick_token(self, real: Millis) -> list[Action]:
        assert self.viewer is not None, "an admitted connection has a viewer"
        if self.expired(real):
            return self._close(CloseCode.EXPIRED, "token expired")
        if self._warned or not self.greeted or real < self.viewer.expires_at - EXPIRING_MS:
            return []
        self._warned = True
        return [Send(Expiring(expires_at=rfc3339(self.viewer.expires_at)))]

    def _close(self, code: CloseCode, reason: str) -> list[Action]:
        self.end()
        return [Close(code, reason)]

    def _greet(self) -> list[Action]:
        if self.greeted or self.viewer is None:
            return []
        self.greeted = True
        return [Greet()]

    def _throttle(self, excess: int) -> list[Action]:
        if excess > self._bucket.burst:
            return self._close(CloseCode.TOO_MANY, "too many messages")
        if self._throttled:
            return []  # told once a time: an error for each would double the flood
        self._throttled = True
        return [Send(Error(code=ErrorCode.RATE_LIMITED, message="too many messages; this one was not read"))]

    def _serve(self, frame: ClientFrame, facts: Facts) -> list[Action]:
        if isinstance(frame, Auth):
            return [Authenticate(frame.token)]
        if self.session is None:
            refusal = Error(code=ErrorCode.UNAUTHENTICATED, message="the first frame is auth")
            return [Send(refusal), *self._close(CloseCode.POLICY, "token missing")]
        return self.session.serve(frame, facts.server_time)


def _size(text: str | bytes) -> int:
    return len(text) if isinstance(text, bytes) or text.isascii() else len(text.encode(errors="surrogatepass"))
