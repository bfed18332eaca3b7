"""What design.md promises to one connection (P2, P3, P4), checked with every frame; knows no code of the bridge.

`advance` says up to which offset the delivery claims to be done. All times are those of the front: what is selected and
granted is decided when a frame is written.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.protocol.delivery.samples import GRANTED, HISTORICAL, LATEST_WINS, SELECTED, TYPE_OF

NEVER: Final = 2**62
ASSIGNMENTS: Final = ""

Frame = dict[str, Any]


class PromiseBroken(AssertionError):
    """A promise of design.md is broken."""


@dataclass(eq=False, slots=True)
class Held:
    """A subscription from its request to its end. It owes all that it selects after `floor`, up to `until`."""

    name: str
    request: str
    floor: int
    until: int = NEVER
    grants_limit: str | None = None  # at its end: what it owed is not widened any more
    at_once: bool = False  # without a snapshot
    confirmed: bool = False
    snapshot_due: bool = False
    in_force: bool = True


@dataclass(slots=True)
class Snapshot:
    held: Held
    at: int
    grants: str
    offsets: list[int] = field(default_factory=list)
    regranted: bool = False
    widened: bool = False  # another one must follow


@dataclass(eq=False, slots=True)
class Oracle:
    """Checks one connection; `kinds` is the journal: the kind of offset n at n - 1."""

    kinds: Sequence[str]
    floor: int
    grants: str
    helds: dict[str, Held] = field(default_factory=dict)
    replaced: list[Held] = field(default_factory=list)
    assignments: Held = field(default_factory=lambda: Held(ASSIGNMENTS, ASSIGNMENTS, 0, confirmed=True))
    unanswered: deque[tuple[str, Any]] = field(default_factory=deque)
    taken: dict[int, list[Held]] = field(default_factory=dict)  # offset -> for which it was sent or conflated
    sent: Counter[str] = field(default_factory=Counter)
    conflated: Counter[str] = field(default_factory=Counter)
    reported: Counter[str] = field(default_factory=Counter)
    snapshot: Snapshot | None = None
    snapshots: int = 0
    frames: int = 0

    def __post_init__(self) -> None:
        self.assignments.floor = self.floor

    # What the client asks for, as the front takes it.

    def subscribe(self, name: str, request: str, *, after: int | None, latest: int) -> Held:
        """Begin at `after`, None: with a snapshot or replay; what the former of the name owes ends at `latest`."""
        former = self.helds.get(name)
        due = False
        if former is not None:
            former.in_force, former.until, former.grants_limit = False, latest, self.grants
            due = former.snapshot_due
            self.replaced.append(former)
        floor = NEVER if after is None else max(after, self.floor)
        held = Held(name, request, floor, at_once=after is not None, snapshot_due=due and after is None)
        self.helds[name] = held
        return held

    def unsubscribe(self, name: str) -> None:
        self.helds.pop(name).in_force = False
        self._drop_replaced({name})

    def regrant(self, grants: str) -> None:
        self.grants = grants
        if self.snapshot is not None:
            self.snapshot.regranted = True

    def owe_snapshot(self, name: str) -> None:
        """A snapshot of this subscription is promised, which begins after this."""
        self.helds[name].snapshot_due = True
        if self.snapshot is not None and self.snapshot.held is self.helds[name]:
            self.snapshot.widened = True

    def _drop_replaced(self, names: Iterable[str]) -> None:
        self.replaced = [held for held in self.replaced if held.name not in names]

    # What is due.

    def _takers(self, offset: int) -> list[Held]:
        """Return what this event is due for, now; empty if it must not be sent."""
        return [] if offset in self.taken else self._selecting(offset)

    def _selecting(self, offset: int) -> list[Held]:
        kind = self.kinds[offset - 1]
        if not GRANTED[self.grants, kind]:
            return []
        takers = [held for held in self.helds.values() if held.floor < offset and SELECTED[held.request, kind]]
        if kind == "my job" and self.assignments.floor < offset:
            takers.append(self.assignments)
        for held in self.replaced:
            if held.floor < offset <= held.until and SELECTED[held.request, kind]:
                assert held.grants_limit is not None
                if GRANTED[held.grants_limit, kind]:
                    takers.append(held)
        return takers

    def advance(self, offset: int) -> None:
        """Check the claim that all up to this offset was sent or conflated."""
        if offset == self.floor:
            return
        if offset < self.floor:
            raise PromiseBroken(f"the cursor went back from {self.floor} to {offset}")
        for skipped in range(self.floor + 1, offset + 1):
            if skipped in self.taken:  # sent for another, on this connection
                self.taken[skipped] += self._selecting(skipped)
                continue
            if not (takers := self._takers(skipped)):
                continue
            kind = self.kinds[skipped - 1]
            if kind not in LATEST_WINS or kind not in self.kinds[skipped:]:
                raise PromiseBroken(f"{skipped} {kind} was skipped, due for {takers}")
            self.conflated[TYPE_OF[kind]] += 1
            self.taken[skipped] = takers
        self._reach(offset)

    def _reach(self, offset: int) -> None:
        self.floor = offset
        for held in (*self.helds.values(), *self.replaced, self.assignments):
            held.floor = max(held.floor, offset)
        if self.replaced:
            self.replaced = [held for held in self.replaced if held.until > offset]

    # What is written.

    def take(self, frame: Frame) -> None:
        """Check a frame that is written now."""
        self.frames += 1
        kind = frame["type"]
        if kind == "event":
            self._take_event(frame["offset"])
            return
        if self.frames == 1 and kind != "auth_ok":
            raise PromiseBroken(f"{kind} before the first answer")
        match kind:
            case "subscription_confirmed" | "unsubscription_confirmed" | "auth_ok" | "options" | "resumed":
                self._take_answer(kind, frame)
            case "snapshot_begin":
                self._begin_snapshot(frame)
            case "snapshot_end":
                self._end_snapshot(frame)
            case "position":
                self._take_position(frame["streams"]["main"]["offset"])
            case "conflated":
                self.reported.update(frame["counts"])
            case "link" | "widened" | "revoked":
                if self.snapshot is not None:
                    raise PromiseBroken(f"{kind} within a snapshot")
            case _:
                raise PromiseBroken(f"unknown {kind}")

    def _take_event(self, offset: int) -> None:
        if not 1 <= offset <= len(self.kinds):
            raise PromiseBroken(f"{offset} is not committed")
        if self.snapshot is not None:
            self._take_current(self.snapshot, offset)
            return
        if offset <= self.floor:
            raise PromiseBroken(f"{offset} after {self.floor}")
        takers = self._takers(offset)
        if not takers:
            raise PromiseBroken(f"{offset} {self.kinds[offset - 1]} is not due under {self.grants}: {self.helds}")
        # One without a snapshot begins when it is read: an answer before its own may take a while.
        if not any(held.confirmed or not held.in_force or held.at_once for held in takers):
            raise PromiseBroken(f"{offset} before the confirmation of {takers}")
        self.advance(offset - 1)
        self.taken[offset] = takers
        self.sent[TYPE_OF[self.kinds[offset - 1]]] += 1
        self._reach(offset)

    def _take_answer(self, kind: str, frame: Frame) -> None:
        if not self.unanswered or self.unanswered[0][0] != kind or self.snapshot is not None:
            raise PromiseBroken(f"{kind} is no answer to {self.unanswered}, within {self.snapshot}")
        _, of = self.unanswered.popleft()
        if kind == "subscription_confirmed":
            if frame["id"] != of.name:
                raise PromiseBroken(f"{frame} for {of}")
            of.confirmed = True
        elif kind == "resumed":
            self._resume(frame, *of)

    def _resume(self, frame: Frame, helds: Sequence[Held], since: int, recoverable: bool) -> None:  # noqa: FBT001
        recovered = frame["streams"]["main"]["recovered"]
        if recovered is not recoverable or [body["id"] for body in frame["subscriptions"]] != [h.name for h in helds]:
            raise PromiseBroken(f"{frame} for {helds} since {since}")
        resumed = [held for held in helds if held.in_force]
        self._drop_replaced({held.name for held in resumed})
        for held in helds:
            held.confirmed = True
        if not recovered:
            for held in resumed:
                held.snapshot_due = True
            return
        # Once sent for one that goes on, an event is not sent again.
        for offset, takers in list(self.taken.items()):
            if offset > since and not any(
                taker is self.assignments or (taker.in_force and taker not in resumed) for taker in takers
            ):
                del self.taken[offset]
        for held in resumed:
            held.floor = since
        self.assignments.floor = min(self.assignments.floor, since)
        self.floor = min(self.floor, since)

    def _begin_snapshot(self, frame: Frame) -> None:
        held = self.helds.get(frame["id"])
        if held is None or not held.confirmed or self.snapshot is not None:
            raise PromiseBroken(f"{frame} of {held} within {self.snapshot}")
        at = frame["positions"]["main"]["offset"]
        self.advance(at)
        if held.floor == NEVER:
            held.floor = at
        self.snapshot = Snapshot(held, at, self.grants)

    def _take_current(self, snapshot: Snapshot, offset: int) -> None:
        kind = self.kinds[offset - 1]
        held = snapshot.held
        if not (held.in_force and SELECTED[held.request, kind] and GRANTED[self.grants, kind]):
            raise PromiseBroken(f"{offset} {kind} in the snapshot of {held} under {self.grants}")
        if snapshot.offsets and snapshot.offsets[-1] >= offset:
            raise PromiseBroken(f"{offset} after {snapshot.offsets}")
        snapshot.offsets.append(offset)

    def _end_snapshot(self, frame: Frame) -> None:
        snapshot, self.snapshot = self.snapshot, None
        if snapshot is None or snapshot.held.name != frame["id"] or frame["count"] != len(snapshot.offsets):
            raise PromiseBroken(f"{frame} ends {snapshot}")
        self.snapshots += 1
        held = snapshot.held
        allowed = [offset for offset in current(self.kinds[: snapshot.at]) if self._shows(snapshot, offset)]
        missing = set(allowed) - set(snapshot.offsets)
        if set(snapshot.offsets) - set(allowed):
            raise PromiseBroken(f"{snapshot} holds more than {allowed}")
        if held.in_force:
            if any(GRANTED[self.grants, self.kinds[offset - 1]] for offset in missing) and not snapshot.regranted:
                raise PromiseBroken(f"{missing} is missing in {snapshot}")
            held.snapshot_due = snapshot.widened

    def _shows(self, snapshot: Snapshot, offset: int) -> bool:
        kind = self.kinds[offset - 1]
        return SELECTED[snapshot.held.request, kind] and GRANTED[snapshot.grants, kind]

    def _take_position(self, offset: int) -> None:
        if self.snapshot is not None:
            raise PromiseBroken("a position within a snapshot")
        for held in self.helds.values():
            if held.confirmed and (held.snapshot_due or held.floor == NEVER):
                raise PromiseBroken(f"position {offset} before the snapshot or replay of {held}")
        if offset > self.floor:
            raise PromiseBroken(f"position {offset}, sent up to {self.floor}")
        if self.reported != self.conflated:
            raise PromiseBroken(f"reported {self.reported}, conflated {self.conflated}")

    # In the end.

    def finish(self, *, latest: int) -> None:
        """Check, when all has been sent, that nothing is due any more."""
        self.advance(latest)
        if self.unanswered or self.snapshot is not None:
            raise PromiseBroken(f"unanswered: {self.unanswered}, {self.snapshot}")
        for held in self.helds.values():
            if not held.confirmed or held.snapshot_due or held.floor != latest:
                raise PromiseBroken(f"{held} waits in vain")


def current(kinds: Sequence[str]) -> list[int]:
    """Return the offsets of the current events."""
    of_key: dict[str, int] = {}
    for offset, kind in enumerate(kinds, start=1):
        if kind == "end of call":
            of_key.pop("call", None)
        elif kind not in HISTORICAL:
            of_key[kind] = offset
    return sorted(of_key.values())
