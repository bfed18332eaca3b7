"""A dashboard in the small world: its connections, what its client knows, and the oracle that checks every frame."""

from collections import Counter
from typing import Any

import msgspec

from bridge.domain.access.viewer import Viewer
from bridge.front.broadcaster import Recipient
from bridge.protocol.client_frames import ResumePosition
from bridge.protocol.delivery import Delivery
from bridge.protocol.delivery_automaton import DeliveryState, TakeTurns
from bridge.protocol.event_feed import Read, ReadResult
from bridge.protocol.ledger import Ledger
from bridge.protocol.server_frames import Close, Link, OptionsInForce, ServerFrame
from tests.protocol.delivery.oracle import Oracle, PromiseBroken
from tests.protocol.delivery.samples import (
    AUTH_OK,
    admitted,
    grant_changes,
    viewer,
)
from tests.protocol.delivery.small_socket import SmallSocket
from tests.protocol.delivery.world import EPOCH, STREAM, World
from tests.support.memory_socket import texts_of

LINK = Link(broker=True, streams={})
_decode = msgspec.json.Decoder().decode


def link() -> ServerFrame:
    return LINK


class SmallDashboard:
    """One user's dashboard over its connections. Every method is one request, or one thing that befalls its socket."""

    def __init__(self, world: World, grants: str) -> None:
        self.world = world
        self.grants = grants
        self.position: int | None = None  # the last that the client has received
        self.requests: dict[str, str] = {}  # what it has, or has asked for
        self.whole: dict[str, bool] = {}  # it was confirmed, and its snapshot has ended
        self.unanswered: Counter[str] = Counter()
        self.frames = 0
        self.fault: BaseException | None = None
        self._connect()
        self.pump()

    def _connect(self) -> None:
        world = self.world
        self.is_stalled = self.turn_ended = False
        self.socket = SmallSocket(self)
        self.delivery = Delivery[Recipient](self, feed=world.feed, fan_out=world.broadcaster.fan_out, link=link)
        self.awaited: Read | None = None
        self.fetched: list[ReadResult] = []  # the result of the awaited read, once the journal has been read
        self.oracle = Oracle(world.kinds, world.feed.offset, self.grants)
        self.delivery.authenticate(self._viewer())
        self._answer("auth_ok", AUTH_OK)

    def _viewer(self) -> Viewer:
        return viewer(self.grants)

    # What the front calls.

    def fail(self, error: BaseException) -> None:
        self.fault = error
        self.delivery.end()

    def close_if_expired(self) -> bool:
        return False

    def pump(self) -> None:
        """Write as far as the socket takes it, as a connection does."""
        delivery, world = self.delivery, self.world
        while self.socket.is_writable and not self.turn_ended:
            output = delivery.next(world.now)
            if isinstance(output, Read):
                result = world.read_at_once(output)
                if result is None:
                    self.awaited = output
                    break
                output = delivery.read_done(result) or b""
            if output is None:
                break
            self._perform(output)
        self.check()

    def _perform(self, output: bytes | TakeTurns | Close) -> None:
        if isinstance(output, Close):
            raise PromiseBroken(f"closed: {output}")
        if isinstance(output, TakeTurns):
            self.turn_ended = True
        elif output:
            self.socket.write(output)
        self.check()

    def check(self) -> None:
        self.oracle.advance(self.delivery.cursor.offset)

    # What befalls it.

    def fetch(self) -> None:
        """The journal is read; its answer is still to come."""
        assert self.awaited is not None
        self.fetched.append(self.world.read(self.awaited))

    def complete_read(self) -> None:
        if not self.fetched:
            self.fetch()
        self.awaited, result = None, self.fetched.pop()
        output = self.delivery.read_done(result)
        if output is not None:
            self._perform(output)
        self.pump()

    def take_turn(self) -> None:
        self.turn_ended = False
        self.pump()

    def stall(self) -> None:
        self.is_stalled = True

    def read_one(self) -> None:
        """A stalled client takes one write."""
        self.receive(self.socket.unread.popleft())
        self._writable()

    def flow(self) -> None:
        self.is_stalled = False
        while self.socket.unread:
            self.receive(self.socket.unread.popleft())
        self._writable()

    def _writable(self) -> None:
        if not self.socket.is_writable and not self.socket.unread:
            self.socket.is_writable = True
            self.pump()

    def tick(self) -> None:
        """Let a position become due."""
        self.world.now += 5_000
        if self.socket.is_writable and self.delivery.is_position_due(self.world.now):
            self.pump()

    # What its client asks for.

    def subscribe(self, name: str, request: str, *, snapshot: bool) -> None:
        self.requests[name] = request
        self._subscribe(name, request, snapshot=snapshot)
        self.pump()

    def _subscribe(self, name: str, request: str, *, snapshot: bool) -> None:
        self.unanswered[name] += 1
        self.whole[name] = not snapshot
        subscription = admitted(name, request, self.grants)
        assert subscription is not None, "the caller asks for what is granted"
        latest = self.world.feed.offset
        held = self.oracle.subscribe(name, request, after=None if snapshot else latest, latest=latest)
        self.oracle.unanswered.append(("subscription_confirmed", held))
        if snapshot:
            self.oracle.owe_snapshot(name)
        self.delivery.subscribe(subscription, snapshot=snapshot)

    def unsubscribe(self, name: str) -> None:
        del self.requests[name]
        self.whole.pop(name, None)
        self.oracle.unsubscribe(name)
        self.oracle.unanswered.append(("unsubscription_confirmed", None))
        self.delivery.unsubscribe(name)
        self.pump()

    def resume(self, names: tuple[str, ...], *, since: int, epoch: str = EPOCH) -> None:
        """Resume these, which the client has, in place."""
        self._resume(names, since, epoch)
        self.pump()

    def _resume(self, names: tuple[str, ...], since: int, epoch: str) -> None:
        subscriptions, helds = [], []
        for name in names:
            self.unanswered[name] += 1
            subscription = admitted(name, self.requests[name], self.grants)
            assert subscription is not None, "the caller asks for what is granted"
            held = self.oracle.subscribe(name, self.requests[name], after=None, latest=self.world.feed.offset)
            subscriptions.append(subscription)
            helds.append(held)
        self.oracle.unanswered.append(("resumed", (helds, since, epoch == EPOCH)))
        self.delivery.resume(subscriptions, {STREAM: ResumePosition(epoch, since)})

    def regrant(self, grants: str, *, by_policy: bool = False) -> None:
        """Replace the grants: by those of another token or, `by_policy`, by what the same token has now."""
        held = tuple(self.requests.items())
        frames, with_snapshot = grant_changes(held, self.grants, grants)
        self.grants = grants
        self.oracle.regrant(grants)
        if not by_policy:
            self._answer("auth_ok", AUTH_OK)
        updated = {name: admitted(name, request, grants) for name, request in held}
        self.delivery.update_grants(self._viewer(), updated)
        for frame in frames:
            self.delivery.answer(frame)
        for name in with_snapshot:
            self.oracle.owe_snapshot(name)
            self.delivery.send_snapshot(name)
        self.pump()

    def set_batching(self, *, batch: bool, batch_ms: int) -> None:
        self._answer("options", OptionsInForce(batch=batch, batch_ms=batch_ms))
        self.delivery.set_batching(batch=batch, batch_ms=batch_ms)
        self.pump()

    def reconnect(self) -> None:
        """Lose the connection and what is on its way, and resume what the client has whole; the rest begins anew."""
        self.delivery.end()
        whole = tuple(name for name, is_whole in self.whole.items() if is_whole and not self.unanswered[name])
        grantable = {
            name: request for name, request in self.requests.items() if admitted(name, request, self.grants) is not None
        }
        self.requests = grantable
        self.unanswered.clear()
        self._connect()
        resumed = tuple(name for name in grantable if name in whole) if self.position is not None else ()
        self.whole = dict.fromkeys(resumed, True)
        if resumed:
            self._resume(resumed, self.position or 0, EPOCH)
        for name, request in grantable.items():
            if name not in resumed:
                self._subscribe(name, request, snapshot=True)
        self.pump()

    def _answer(self, kind: str, frame: ServerFrame) -> None:
        self.oracle.unanswered.append((kind, None))
        self.delivery.answer(frame)

    # What comes.

    def written(self, frames: bytes) -> None:
        """Check what the front writes."""
        for text in texts_of(frames):
            decoded = _decode(text)
            for frame in decoded if isinstance(decoded, list) else (decoded,):
                self.frames += 1
                if frame["type"] == "position":
                    self.check()
                self.oracle.take(frame)

    def receive(self, frames: bytes) -> None:
        """Take what arrives; only what a resume needs to know."""
        for text in texts_of(frames):
            decoded = _decode(text)
            for frame in decoded if isinstance(decoded, list) else (decoded,):
                self._receive(frame)

    def _receive(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "position":
                self.position = frame["streams"]["main"]["offset"]
            case "subscription_confirmed":
                self.unanswered[frame["id"]] -= 1
            case "snapshot_end" if frame["id"] in self.requests:
                self.whole[frame["id"]] = True
            case "widened":
                for changed in frame["subscriptions"]:
                    self.whole[changed["id"]] = False
            case "resumed":
                recovered = frame["streams"]["main"]["recovered"]
                for body in frame["subscriptions"]:
                    self.unanswered[body["id"]] -= 1
                    if not recovered:
                        self.whole[body["id"]] = False
            case _:
                pass

    # In the end.

    @property
    def is_idle(self) -> bool:
        return self.awaited is None and not self.turn_ended and not self.socket.unread

    @property
    def ledger(self) -> Ledger:
        ledger = self.delivery.cursor.ended_ledger.copy()
        for cohort in self.world.broadcaster.fan_out.cohorts:
            for membership in (member for member in cohort.members if member.recipient is self):
                ledger.add(membership.ledger)
        return ledger

    def finish(self) -> None:
        """Check, when nothing is left to do, that all has been sent and counted."""
        delivery = self.delivery
        if delivery.state is not DeliveryState.FOLLOWING or delivery.has_requests or not self.socket.is_writable:
            raise PromiseBroken(f"{delivery.state} in the end, requests: {delivery.has_requests}")
        self.oracle.finish(latest=self.world.feed.offset)
        self.tick()
        if self.requests and self.position != self.world.feed.offset:
            raise PromiseBroken(f"position {self.position} in the end, not {self.world.feed.offset}")
        for column, counted in (("sent", self.oracle.sent), ("conflated", self.oracle.conflated)):
            stated = {kind.value: count for kind, count in getattr(self.ledger, column).items() if count}
            if stated != dict(counted):
                raise PromiseBroken(f"{column} {stated}, in truth {dict(counted)}")
