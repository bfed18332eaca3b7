"""Load of a web server: its peers and their turns, and counts of what its bounds did."""

import resource
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import structlog

from bridge.http.connection_pool import ConnectionPool
from bridge.http.peers import Clock, PeerKind, Peers, precise_ms
from bridge.http.turns import Turns
from bridge.ports.metrics import Metric, MetricSample
from bridge.protocol.close_codes import CloseCode
from bridge.settings.web import WebSettings

OTHER_DESCRIPTORS: Final = 200  # of the process: journal, broker, listener, pipes
MIN_POOL: Final = 100

log = structlog.get_logger(__name__)


class EndReason(StrEnum):
    """Why a connection was ended, beside the close codes of WebSockets."""

    EVICTED = "evicted"
    HEAD_LATE = "head_late"
    HEAD_TOO_LARGE = "head_too_large"
    BODY_LATE = "body_late"
    BODY_TOO_LARGE = "body_too_large"
    ANSWER_UNREAD = "answer_unread"
    AFTER_CLOSE = "after_close"
    UNAUTHENTICATED = "unauthenticated"


class Delay(StrEnum):
    """The budget that was used up, so that a client was read later."""

    BYTES = "bytes"
    ADDRESS_WORK = "address_work"
    USER_WORK = "user_work"


class ServerLoad:
    """What all connections of a web server share."""

    def __init__(self, web: WebSettings, clock: Clock = precise_ms) -> None:
        self.web = web
        self.clock = clock
        self.peers = Peers(web, self.clock)
        self.pool = ConnectionPool(_pool_limit(web))
        self.turns = Turns(turn_ms=web.turn_ms, clock=self.clock)
        self.ended: Counter[EndReason] = Counter()
        self.closed: Counter[int] = Counter()  # WebSockets, by close codes of ours
        self.byte_delays = 0
        self.refused_requests = 0  # of users who made too many at once

    def samples(self) -> Iterator[MetricSample]:
        """Yield the metrics of the web server, which name no client."""
        delays = {
            Delay.BYTES: self.byte_delays,
            Delay.ADDRESS_WORK: self.turns.delays[PeerKind.ADDRESS],
            Delay.USER_WORK: self.turns.delays[PeerKind.USER],
        }
        for budget, count in delays.items():
            yield MetricSample(Metric.WEB_DELAYED, count, {"budget": budget})
        ended = {**dict.fromkeys(EndReason, 0), **self.ended, EndReason.EVICTED: self.pool.evictions}
        for reason, count in ended.items():
            yield MetricSample(Metric.WEB_ENDED, count, {"reason": reason})
        yield MetricSample(Metric.WEB_REFUSED, self.refused_requests, {"bound": "max_requests_per_user"})
        yield MetricSample(Metric.WEB_UNAUTHENTICATED, len(self.pool))
        for code in sorted({*map(int, CloseCode), *self.closed}):
            yield MetricSample(Metric.WEB_CLOSED, self.closed[code], {"code": str(code)})
        yield MetricSample(Metric.WEB_LONG_TURNS, self.turns.long_turns)


def _pool_limit(web: WebSettings) -> int:
    """Return how many connections may belong to nobody; fewer than set if the process has too few descriptors."""
    free = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OTHER_DESCRIPTORS
    limit = min(web.max_unauthenticated, max(free - web.max_connections, free // 4, MIN_POOL))
    if limit < web.max_unauthenticated:
        needed = web.max_connections + web.max_unauthenticated + OTHER_DESCRIPTORS
        log.warning("web.few_descriptors", needed=needed, max_unauthenticated=limit)
    return limit
