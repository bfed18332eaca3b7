"""Check of a dashboard's log and state against the journal: nothing missing, doubled, invented or unrequested."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bridge.domain.events import CONFLATED_TYPES, Standing
from bridge.domain.records import CommittedEvent
from tests.support.memory_journal import MemoryJournal
from tests.support.random_histories import RequestedSubscription, granted
from tests.support.reference_dashboard import ReferenceDashboard
from tests.support.reference_subscription import ClientSubscription, Frame, Key

ASSIGNED = "what is assigned to me"  # needs no subscription


class PromiseBroken(AssertionError):
    """A promise of design.md is broken."""


@dataclass
class TokenUse:
    """A token that was sent; offsets are the journal's ends at those moments."""

    grants: tuple[str, ...]
    sent_at: int
    answered: int | None = None  # answered
    lost: bool = False  # no answer will come: the connection is over


@dataclass
class Obligation:
    """Events that a dashboard must receive for one subscription: all that it selects after `begin`, up to `end`.

    `begin` None: its snapshot has not come yet. `state_at`: where its last snapshot was true.
    """

    requested: RequestedSubscription | None
    begin: int | None = None
    end: int | None = None
    state_at: int | None = None

    def owes(self, offset: int) -> bool:
        return self.begin is not None and self.begin < offset and (self.end is None or offset <= self.end)


@dataclass
class DeliveryChecker:
    """Checks one user: `send` before a frame is sent, `receive` with each message; raises PromiseBroken or Breach."""

    journal: MemoryJournal
    client: ReferenceDashboard
    grants_of: Callable[[str], tuple[str, ...]]  # what a token lets its bearer read
    tokens: list[TokenUse] = field(default_factory=list)
    obligations: dict[str, Obligation] = field(default_factory=dict)
    ended: list[Obligation] = field(default_factory=list)
    _requested: dict[str, RequestedSubscription] = field(default_factory=dict)
    _checked: int = 0  # positions up to here were held against the journal
    _ranks: dict[str, int] = field(default_factory=dict)  # id -> its place in the log
    _last_rank: int = -1
    _resumed_at: list[int] = field(default_factory=list)  # where in the log it was resumed in place
    _in_place: list[bool] = field(default_factory=list)  # of each resume that is not answered yet
    _known: int = 0  # the last token that was answered when the snapshot began

    def expect(self, request: RequestedSubscription) -> None:
        self._requested[json.dumps(request.body)] = request

    def connect(self) -> None:
        """A new connection begins; without a position nothing of the past is owed."""
        self._in_place.clear()
        for use in self.tokens:
            use.lost = True
        if self._position() is None:
            self._end(ASSIGNED)

    def send(self, frame: Frame) -> None:
        match frame["type"]:
            case "auth":
                self.tokens.append(TokenUse(self.grants_of(frame["token"]), self.journal.end))
            case "subscribe":
                self._begin({name: value for name, value in frame.items() if name != "type"})
            case "resume":
                self._in_place.append(self.client.authenticated)
            case "unsubscribe":
                self._end(frame["id"])
            case _:
                pass

    def receive(self, text: str) -> None:
        """Take one message, and give it to the dashboard frame by frame."""
        decoded = json.loads(text)
        for frame in decoded if isinstance(decoded, list) else [decoded]:
            self.client.take(frame)
            self._receive_frame(frame)

    def _receive_frame(self, frame: Frame) -> None:
        if "offset" in frame:
            self._check_body(frame)
        elif frame["type"] in ("subscription_confirmed", "snapshot_begin", "snapshot_end"):
            self._receive_of(frame, self.client.subscriptions[frame["id"]], self.obligations.get(frame["id"]))
        elif frame["type"] == "auth_ok":
            next(
                token for token in self.tokens if token.answered is None and not token.lost
            ).answered = self.journal.end
            self.obligations.setdefault(ASSIGNED, Obligation(None, begin=self.journal.end))
        elif frame["type"] == "resumed":
            if self._in_place.pop(0):
                self._resumed_at.append(len(self.client.log))
            if not all(stream["recovered"] for stream in frame["streams"].values()):
                self._restart()
        elif frame["type"] == "error" and frame.get("id") in self.obligations:
            self._end(frame["id"])
        elif frame["type"] == "position":
            self._check_position(frame["streams"]["main"]["offset"])

    def _receive_of(self, frame: Frame, subscription: ClientSubscription, obligation: Obligation | None) -> None:
        if frame["type"] == "snapshot_begin":
            self._known = max((at for at, token in enumerate(self.tokens) if token.answered is not None), default=0)
        if obligation is None or subscription.unanswered_requests:
            return  # it answers an earlier request of the same id
        match frame["type"]:
            case "subscription_confirmed" if subscription.body.get("snapshot") is False:
                obligation.begin = self.journal.end
            case "snapshot_begin":
                [position] = frame["positions"].values()
                obligation.state_at = position["offset"]
            case "snapshot_end" if obligation.state_at is not None:
                self._take_snapshot(frame["id"], obligation, obligation.state_at, subscription)
            case _:
                pass

    def _position(self) -> int | None:
        position = self.client.position.get("main")
        return None if position is None else position["offset"]

    def _begin(self, body: Frame) -> None:
        self._end(body["id"])
        self.obligations[body["id"]] = Obligation(self._requested[json.dumps(body)])

    def _end(self, name: str) -> None:
        """Limit the obligation to the last position: events in flight may be dropped."""
        obligation = self.obligations.pop(name, None)
        if obligation is not None:
            obligation.end = self._position() or 0
            self.ended.append(obligation)

    def _restart(self) -> None:
        self.obligations = {name: Obligation(obligation.requested) for name, obligation in self.obligations.items()}
        self.obligations[ASSIGNED] = Obligation(None, begin=self.journal.end)
        self.ended.clear()
        self._checked, self._last_rank = 0, -1

    # Checks.

    def finish(self) -> None:
        """Check, when all was delivered, that the state is the journal's."""
        for name, subscription in self.client.subscriptions.items():
            if subscription.confirmed and name in self.obligations:
                self._check_state(name, self.obligations[name], subscription)

    def _check_state(self, name: str, obligation: Obligation, subscription: ClientSubscription) -> None:
        assert obligation.requested is not None
        grants = self.tokens[-1].grants
        candidates = [
            event
            for event in self.journal.history
            if _is_state(event) and obligation.requested.selects(event) and granted(grants, event.topic.text)
        ]
        newest = {_key(event): event.offset for event in candidates}
        expected: dict[Key, int] = {}
        if obligation.state_at is not None:
            current = self.journal.current_at(obligation.state_at).values()
            expected = {_key(event): event.offset for event in current if event in candidates}
        begin = obligation.begin if obligation.state_at is None else obligation.state_at
        expected |= {_key(event): event.offset for event in candidates if begin is not None and event.offset > begin}
        actual = {key: event["offset"] for key, event in subscription.events.items()}
        for key in expected.keys() | actual.keys():
            # An event beside the snapshot, from a replay that began before it, must be the newest of its key.
            right = expected.get(key, newest.get(key) if obligation.state_at is not None else actual.get(key))
            if actual.get(key) != right:
                raise PromiseBroken(
                    f"{name} of {self.client.user}: {key} is {actual.get(key)}, not {right}; {obligation}"
                )

    def _take_snapshot(self, name: str, obligation: Obligation, at: int, subscription: ClientSubscription) -> None:
        assert obligation.requested is not None
        if obligation.begin is None:
            obligation.begin = at
        current = [event for event in self.journal.current_at(at).values() if obligation.requested.selects(event)]
        # While a new token is unanswered, either may apply; the dashboard has dropped events that neither grants.
        possible = self.tokens[self._known :]
        certain = {event.offset for event in current if all(granted(use.grants, event.topic.text) for use in possible)}
        allowed = {event.offset for event in current if any(granted(use.grants, event.topic.text) for use in possible)}
        actual = {event["offset"] for event in subscription.events.values()}
        if not certain <= actual <= allowed:
            raise PromiseBroken(f"snapshot of {name} at {at}: missing {certain - actual}, invented {actual - allowed}")

    def _check_position(self, offset: int) -> None:
        """Check that all visible events up to here were sent or conflated; lossless ones in order, each once."""
        for number in range(len(self._ranks), len(self.client.log)):
            event = self.client.log[number]
            if event["id"] in self._ranks:
                raise PromiseBroken(f"{event['id']} is twice in the log of {self.client.user}")
            self._ranks[event["id"]] = number
        if offset > self.journal.end:
            raise PromiseBroken(f"position {offset} is not committed, {self.journal.end} is")
        for committed in self.journal.history[self._checked : offset]:
            obligations = list(self._obligations_for(committed))
            if committed.type in CONFLATED_TYPES and _is_state(committed):
                self._check_latest(committed, obligations)
            elif obligations:
                self._check_lossless(committed)
        self._checked = max(self._checked, offset)

    def _check_body(self, event: Frame) -> None:
        journalled = self.journal.history[event["offset"] - 1 : event["offset"]]
        if not any(json.loads(committed.body) == event for committed in journalled):
            raise PromiseBroken(f"{event['id']} is not as journalled")

    def _check_lossless(self, event: CommittedEvent) -> None:
        rank = self._ranks.get(event.id)
        if rank is None:
            raise PromiseBroken(
                f"{event.id} {event.topic} never reached {self.client.user}; {list(self._obligations_for(event))}"
            )
        if self._assigned(event):
            return  # it may come unasked before a resume is answered
        # Events resumed in place are queued while other subscriptions continue: they come later, the others not again.
        in_place = any(rank < boundary <= self._last_rank for boundary in self._resumed_at)
        if rank < self._last_rank and not in_place:
            raise PromiseBroken(f"{event.id} is out of order in the log of {self.client.user}")
        self._last_rank = rank

    def _check_latest(self, event: CommittedEvent, obligations: list[tuple[str, Obligation]]) -> None:
        later = self.journal.history[event.offset :]
        if any(committed.state_key == event.state_key and _is_state(committed) for committed in later):
            return  # conflated, or to come
        for name, obligation in obligations:
            subscription = self.client.subscriptions.get(name)
            if subscription is None or obligation.end is not None or event.offset <= (obligation.state_at or 0):
                continue
            current = subscription.events.get(_key(event))
            if current is None or current["offset"] < event.offset:
                raise PromiseBroken(f"{event.id} {event.topic} never reached {name} of {self.client.user}")

    def _obligations_for(self, event: CommittedEvent) -> Iterator[tuple[str, Obligation]]:
        # Every token in use at the commit or later may have hidden the event.
        superseded = max(
            (at for at, token in enumerate(self.tokens) if token.answered and token.answered < event.offset), default=0
        )
        if not all(granted(token.grants, event.topic.text) for token in self.tokens[superseded:]):
            return
        for name, obligation in [*self.obligations.items(), *(("ended", obligation) for obligation in self.ended)]:
            if not obligation.owes(event.offset):
                continue
            if obligation.requested.selects(event) if obligation.requested is not None else self._assigned(event):
                yield name, obligation

    def _assigned(self, event: CommittedEvent) -> bool:
        return event.type.value == "job_assigned" and self.client.user in event.audience


def _is_state(event: CommittedEvent) -> bool:
    """Return whether it is the state of its key when it is committed; otherwise it amends the past."""
    return event.standing is not Standing.HISTORY


def _key(event: CommittedEvent) -> Key:
    _, _, line, equipment, category, subject = event.state_key
    return (line, None if equipment == "_" else equipment, category, subject)
