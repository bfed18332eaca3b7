"""Load of a web server: its peers and their turns, and counts of what its bounds did."""

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

from bridge.http.peers import Clock, PeerKind, Peers, precise_ms
from bridge.http.turns import Turns
from bridge.ports.metrics import Metric, MetricSample
from bridge.protocol.close_codes import CloseCode
from bridge.settings.web import WebSettings


class EndReason(StrEnum):
    """Why a connection was ended, beside the close codes of WebSockets."""

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
        self.turns = Turns(turn_ms=web.turn_ms, clock=self.clock)
        self.ended: Counter[EndReason] = Counter()
        self.closed: Counter[int] = Counter()  # WebSockets, by close codes of ours
        self.byte_delays = 0

    def samples(self) -> Iterator[MetricSample]:
        """Yield the metrics of the web server, which name no client."""
        delays = {
            Delay.BYTES: self.byte_delays,
            Delay.ADDRESS_WORK: self.turns.delays[PeerKind.ADDRESS],
            Delay.USER_WORK: self.turns.delays[PeerKind.USER],
        }
        for budget, count in delays.items():
            yield MetricSample(Metric.WEB_DELAYED, count, {"budget": budget})
        for reason in EndReason:
            yield MetricSample(Metric.WEB_ENDED, self.ended[reason], {"reason": reason})
        for code in sorted({*map(int, CloseCode), *self.closed}):
            yield MetricSample(Metric.WEB_CLOSED, self.closed[code], {"code": str(code)})
        yield MetricSample(Metric.WEB_LONG_TURNS, self.turns.long_turns)
