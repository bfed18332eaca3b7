"""Turns of the event loop: how much of the clients' work is done before the sockets are polled again."""

import asyncio
from bisect import bisect_left, insort
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final

from bridge.http.peers import Peer, PeerKind, WorkAccount
from bridge.ports.clock import Monotonic, perf_counter_ms

LONG_TURN_MS: Final = 5.0
CLIENTS_PART: Final = 0.2  # of the time that other work takes
IDLE_MS: Final = 0.2  # of other work between two turns, below which there is hardly any
MIN_WAIT_MS: Final = 20.0  # of a peer that owes: it then does more than one piece

Work = Callable[[], bool | None]
"""Does a piece of work, of some 0.5 ms; returns whether there is more; None: there is not."""

OnFault = Callable[[Exception, Peer], None]
"""Takes the exception that a piece of work has raised; the others go on."""


class Turns:
    """Shares each turn of the loop among peers, never among their sockets; each kind of peers has the same part of it.

    A turn is what happens between two polls of the sockets. It takes at most `turn_ms` and the last piece of each kind.
    All other work goes first: while there is any, the turns together get `CLIENTS_PART` of its time.
    Work that finds no time left, or whose peer owes, waits; the same work of an account waits at most once. Once an
    address owes, its newest connection goes first, so that a newcomer does not wait behind the work left by an attack.
    """

    def __init__(self, *, turn_ms: float, on_fault: OnFault, clock: Monotonic = perf_counter_ms) -> None:
        self.long_turns = 0  # above LONG_TURN_MS
        self.delays: Counter[PeerKind] = Counter()  # of peers that owed
        self._on_fault = on_fault
        self._clock = clock
        self._share = turn_ms / len(PeerKind)
        self._left = dict.fromkeys(PeerKind, 0.0)
        self._worked_at = 0.0  # when the last piece ended, or the last turn began
        self._waiting: dict[PeerKind, dict[Peer, _Queue]] = {kind: {} for kind in PeerKind}  # who is next is first
        self._owing: dict[Peer, _Queue] = {}
        self._spent = 0.0  # in this turn
        self._has_begun = False
        self._is_serving = False

    def run(self, account: WorkAccount, work: Work, *, later: bool = False) -> None:
        """Do this work to its end: now, as far as there is time and nobody else waits; or later, after current work."""
        self._queue(account, work)
        if later:
            self._begin()
        else:
            self._serve()

    def forget(self, account: WorkAccount, work: Work) -> None:
        """Remove this work from the queue; without effect if it does not wait."""
        peer = account.peer
        queue = self._owing.get(peer) or self._waiting[peer.kind].get(peer)
        if queue is not None:
            queue.remove(account, work)

    async def pause(self, account: WorkAccount) -> None:
        """Return when there is time for this account, and its peer owes nothing."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def begin() -> bool:
            if not turn.done():
                turn.set_result(None)
            return False

        self.run(account, begin)
        await turn

    def charge(self, account: WorkAccount, ms: float) -> None:
        """Count work that is done elsewhere, in a task."""
        self._begin()
        self._left[account.peer.kind] -= ms
        account.charge(ms)

    def _queue(self, account: WorkAccount, work: Work) -> None:
        peer = account.peer
        queue = self._owing.get(peer)
        if queue is None:
            queue = self._waiting[peer.kind].setdefault(peer, _Queue())
        queue.add(account, work)

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._spent = 0.0
            now = self._clock()
            others, self._worked_at = now - self._worked_at, now
            part = CLIENTS_PART / len(PeerKind) * others
            for kind, left in self._left.items():
                self._left[kind] = self._share if others < IDLE_MS else min(left + part, self._share)
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._has_begun = False
        self.long_turns += self._spent > LONG_TURN_MS
        if any(self._waiting.values()):
            self._serve()

    def _serve(self) -> None:
        if self._is_serving:  # a piece of work has led to more
            return
        self._begin()
        self._is_serving = True
        try:
            for kind, waiting in self._waiting.items():
                while waiting and self._left[kind] > 0:
                    self._serve_first(kind, waiting)
        finally:
            self._is_serving = False

    def _serve_first(self, kind: PeerKind, waiting: "dict[Peer, _Queue]") -> None:
        """Do one piece of the first peer's work, and put the rest behind that of the others."""
        peer = next(iter(waiting))
        queue = waiting.pop(peer)
        if not queue:  # all of it was forgotten
            peer.has_owed = False
            return
        began = self._clock()
        wait_ms = peer.work.wait_ms(began)
        if wait_ms > 0:
            self.delays[kind] += 1
            if kind is PeerKind.ADDRESS:
                peer.has_owed = True
                queue.put_newest_first()
            self._owing[peer] = queue
            asyncio.get_running_loop().call_later(max(wait_ms, MIN_WAIT_MS) / 1_000, self._go_on, peer)
            return
        account, work = queue.pop()
        if queue:
            waiting[peer] = queue
        has_more: bool | None = False
        try:
            has_more = work()
        except Exception as error:  # noqa: BLE001 - one connection's fault is not that of all others
            self._on_fault(error, peer)
        self._worked_at = self._clock()
        took = self._worked_at - began
        self._spent += took
        self._left[kind] -= took
        account.charge(took)
        if has_more:
            self._queue(account, work)
        elif not queue:
            peer.has_owed = False

    def _go_on(self, peer: Peer) -> None:
        self._waiting[peer.kind][peer] = self._owing.pop(peer)
        self._serve()


class _Queue:
    """Work that waits for one peer: in the order in which it came, or that of the newest connection first."""

    __slots__ = ("_by_age", "_works")

    def __init__(self) -> None:
        self._works: OrderedDict[_Entry, int] = OrderedDict()  # and the number of its work account when it was added
        self._by_age: list[_Entry] | None = None  # oldest connection first

    def __len__(self) -> int:
        return len(self._works)

    def put_newest_first(self) -> None:
        """Put the newest connection first, until the queue is empty."""
        if self._by_age is None:
            self._by_age = sorted(self._works, key=self._works.__getitem__)

    def add(self, account: WorkAccount, work: Work) -> None:
        entry = account, work
        if entry not in self._works:
            self._works[entry] = account.number
            if self._by_age is not None:
                insort(self._by_age, entry, key=self._works.__getitem__)

    def remove(self, account: WorkAccount, work: Work) -> None:
        """Remove this; without effect if it is not there."""
        entry = account, work
        if entry in self._works:
            if self._by_age is not None:
                first = bisect_left(self._by_age, self._works[entry], key=self._works.__getitem__)
                del self._by_age[self._by_age.index(entry, first)]
            del self._works[entry]

    def pop(self) -> "_Entry":
        """Remove and return what is first."""
        if self._by_age is None:
            entry, _ = self._works.popitem(last=False)
        else:
            entry = self._by_age.pop()
            del self._works[entry]
        return entry


_Entry = tuple[WorkAccount, Work]
