"""One dashboard's protocol with its delivery, without a socket."""

import json
from collections.abc import Generator
from typing import Any

from bridge.domain.records import Position
from bridge.domain.steps import complete
from bridge.protocol.client_frames import Auth
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.dashboard_protocol import ConnectionLimits, DashboardProtocol, ServerInfo
from bridge.protocol.delivery import Delivery
from bridge.protocol.delivery_automaton import Output
from bridge.protocol.event_feed import EventFeed
from bridge.protocol.fan_out import FanOut
from bridge.protocol.ledger import Ledger
from bridge.protocol.server_frames import Close, Link, StreamAt
from bridge.protocol.session import SessionWork
from tests.support.memory_socket import texts_of
from tests.support.viewers import viewer

LIMITS = ConnectionLimits(
    max_frame_bytes=2_000, frames_per_second=10, max_subscriptions=3, max_filters=20, auth_timeout_ms=5_000
)
FACTS = ServerInfo(server_time=0, streams={"main": StreamAt("e", 7)}, simulated=True)
ANDON = {"type": "subscribe", "subscription_type": "andon", "target_id": "L1"}
LINK = Link(broker=True, streams={})


class Dashboard:
    """One connection's protocol and delivery."""

    output: Output | None = None  # the last that was not bytes

    def __init__(self) -> None:
        self.feed = EventFeed(Position("main", "e", 0), page_events=4, page_bytes=1)
        self.delivery = Delivery(
            "dashboard", feed=self.feed, fan_out=FanOut[str](self.feed, Ledger()), link=lambda: LINK
        )
        self.protocol = DashboardProtocol(LIMITS, self.delivery, elapsed=0)

    def receive(self, frame: object, *, elapsed: int = 0) -> Auth | SessionWork | None:
        """Take a frame, with all steps at once."""
        work = self.protocol.receive(json.dumps(frame), elapsed=elapsed, server_time=0)
        return complete(work) if isinstance(work, Generator) else work

    def accept(self, *, confirm: bool = True, **claims: Any) -> None:
        complete(self.protocol.accept(viewer(**claims), server_info=lambda: FACTS, confirm=confirm))

    def tick(self, *, elapsed: int = 0, wall_now: int = 0) -> Close | None:
        return self.protocol.tick(elapsed=elapsed, wall_now=wall_now)

    def frames(self) -> list[dict[str, Any]]:
        """Return what is written, up to a read or the end."""
        written: list[dict[str, Any]] = []
        while isinstance(output := self.delivery.next(0), bytes):
            written += [json.loads(text) for text in texts_of(output)]
        self.output = output
        return written

    def kinds(self) -> list[str]:
        return [frame["type"] for frame in self.frames()]

    def ask(self, frame: object, *, elapsed: int = 0) -> list[dict[str, Any]]:
        assert self.receive(frame, elapsed=elapsed) is None
        return self.frames()

    @property
    def close_code(self) -> CloseCode | None:
        return self.output.code if isinstance(self.output, Close) else None


def joined(**claims: Any) -> Dashboard:
    dashboard = Dashboard()
    dashboard.receive({"type": "auth", "token": "t"})
    dashboard.accept(**claims)
    assert dashboard.kinds() == ["auth_ok", "link"]
    return dashboard


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["type"] for frame in frames]
