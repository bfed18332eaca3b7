"""Load of a web server: its peers and their turns, and counts of how often its bounds took effect."""

import resource
from collections import Counter
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final

import structlog

from bridge.http.connection_pool import ConnectionPool
from bridge.http.log_limit import LogLimit
from bridge.http.peers import Peer, PeerKind, Peers
from bridge.http.turns import Turns
from bridge.ports.clock import Monotonic, perf_counter_ms
from bridge.ports.metrics import Metric, MetricSample
from bridge.protocol.close_codes import CloseCode
from bridge.settings.web import WebSettings

OTHER_DESCRIPTORS: Final = 200  # of the process: journal, broker, listener, pipes
MIN_POOL: Final = 100
STATUSES: Final = (400, 401, 403, 404, 405, 414, 421, 429, 431)  # whose counters of refused requests are always there

log = structlog.get_logger(__name__)


class EndReason(StrEnum):
    """Why a connection was ended, beside the close codes of WebSockets and the statuses of HTTP."""

    EVICTED = "evicted"
    HEAD_LATE = "head_late"
    HEAD_TOO_LARGE = "head_too_large"
    BODY_LATE = "body_late"
    BODY_TOO_LARGE = "body_too_large"
    ANSWER_UNREAD = "answer_unread"
    AFTER_CLOSE = "after_close"
    UNAUTHENTICATED = "unauthenticated"
    BODY_CUT_OFF = "body_cut_off"
    NO_TLS = "no_tls"


class Delay(StrEnum):
    """The budget that was used up, so that a client was read later."""

    DESCRIPTORS = "descriptors"
    BYTES = "bytes"
    ADDRESS_WORK = "address_work"
    USER_WORK = "user_work"


class ServerLoad:
    """What all connections of a web server share.

    What a client can cause is counted here each time, and logged rarely.
    """

    def __init__(self, web: WebSettings, clock: Monotonic = perf_counter_ms, *, pool_limit: int | None = None) -> None:
        self.web = web
        self.clock = clock
        self.peers = Peers(web, self.clock)
        self.pool = ConnectionPool(
            pool_limit or _pool_limit(web), lambda address: self.note_end(EndReason.EVICTED, peer=address.name)
        )
        self.turns = Turns(turn_ms=web.turn_ms, on_fault=self.note_connection_fault, clock=self.clock)
        self.ended: Counter[EndReason] = Counter()
        self.closed: Counter[int] = Counter()  # WebSockets, by close codes of ours
        self.refused: Counter[int] = Counter()  # requests, by HTTP statuses
        self.faults = 0  # of ours, in serving clients
        self.byte_delays = 0
        self.accept_delays = 0
        self.refused_requests = 0  # of users who made too many at once
        self._log_limit = LogLimit(self.clock)

    def note_end(self, reason: EndReason, *, peer: str) -> None:
        """Note that a connection is ended."""
        self.ended[reason] += 1
        if (left_out := self._log_limit.due(reason)) is not None:
            log.info("web.ended", reason=reason.value, peer=peer, left_out=left_out)

    def note_close(self, code: int, reason: str, *, peer: str) -> None:
        """Note that a WebSocket is closed."""
        self.closed[code] += 1
        if code != CloseCode.SERVICE_RESTART and (left_out := self._log_limit.due(code)) is not None:
            log.info("web.closed", code=int(code), reason=reason, peer=peer, left_out=left_out)

    def note_refusal(self, status: int, *, peer: str, **texts: str) -> None:
        """Note that a request is refused; `texts` are parts of it for the log, and hold no token."""
        self.refused[status] += 1
        if (left_out := self._log_limit.due(status)) is not None:
            log.info("web.refused", status=int(status), peer=peer, **texts, left_out=left_out)

    def note_no_room(self, error: str) -> None:
        """Note that no connection can be accepted for a while."""
        self.accept_delays += 1
        if (left_out := self._log_limit.due("no room")) is not None:
            log.warning("web.accepts_none", error=error, left_out=left_out)

    def note_fault(self, error: Exception) -> None:
        """Note that a request has failed by a fault of ours."""
        self.faults += 1
        if (left_out := self._log_limit.due(type(error).__name__)) is not None:
            log.error("web.request_failed", exc_info=error, left_out=left_out)

    def note_connection_fault(self, error: Exception, peer: Peer) -> None:
        """Note that a connection has failed by a fault of ours."""
        self.faults += 1
        if (left_out := self._log_limit.due("connection", type(error).__name__)) is not None:
            log.error("web.connection_failed", peer=peer.name, exc_info=error, left_out=left_out)

    def samples(self) -> Iterator[MetricSample]:
        """Yield the metrics of the web server, which name no client."""
        delays = {
            Delay.DESCRIPTORS: self.accept_delays,
            Delay.BYTES: self.byte_delays,
            Delay.ADDRESS_WORK: self.turns.delays[PeerKind.ADDRESS],
            Delay.USER_WORK: self.turns.delays[PeerKind.USER],
        }
        for budget, count in delays.items():
            yield MetricSample(Metric.WEB_DELAYED, count, {"budget": budget})
        for reason in EndReason:
            yield MetricSample(Metric.WEB_ENDED, self.ended[reason], {"reason": reason})
        yield MetricSample(Metric.WEB_REFUSED, self.refused_requests, {"bound": "max_requests_per_user"})
        yield MetricSample(Metric.WEB_UNAUTHENTICATED, len(self.pool))
        for code in sorted({*map(int, CloseCode), *self.closed}):
            yield MetricSample(Metric.WEB_CLOSED, self.closed[code], {"code": str(code)})
        for status in sorted({*STATUSES, *self.refused}):
            yield MetricSample(Metric.WEB_REFUSED_REQUESTS, self.refused[status], {"status": str(status)})
        yield MetricSample(Metric.WEB_FAULTS, self.faults)
        yield MetricSample(Metric.WEB_LONG_TURNS, self.turns.long_turns)


def samples_of(loads: Iterable[ServerLoad]) -> Iterator[MetricSample]:
    """Yield the metrics of several web servers together."""
    totals: dict[tuple[Metric, frozenset[tuple[str, str]]], float] = {}
    for load in loads:
        for sample in load.samples():
            key = sample.metric, frozenset(sample.labels.items())
            totals[key] = totals.get(key, 0) + sample.value
    for (metric, labels), value in totals.items():
        yield MetricSample(metric, value, dict(labels))


def _pool_limit(web: WebSettings) -> int:
    """Return how many connections may belong to nobody; fewer than set if the process has too few descriptors."""
    free = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OTHER_DESCRIPTORS
    limit = min(web.max_unauthenticated, max(free - web.max_connections, free // 4, MIN_POOL))
    if limit < web.max_unauthenticated:
        needed = web.max_connections + web.max_unauthenticated + OTHER_DESCRIPTORS
        log.warning("web.few_descriptors", needed=needed, max_unauthenticated=limit)
    return limit
