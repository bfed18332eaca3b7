"""Exhaustive search: every order of a few requests and events, and of all that they lead to; a state is visited once.

Of orders that cannot differ in their effect only one is followed (partial-order reduction): a commit comes just before
what reads the journal, a stall just before a write, and a read is split only where its result depends on when.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Final

from bridge.protocol.event_feed import ReadPage, ReadSnapshot
from tests.protocol.delivery.limits import SMALL, limits
from tests.protocol.delivery.moves import Choice, finish, left_to_do, run, shorten
from tests.protocol.delivery.oracle import PromiseBroken
from tests.protocol.delivery.saved_states import load, save
from tests.protocol.delivery.small_front import SmallFront

_OF_JOURNAL: Final = frozenset({"deliver", "deliver all", "fetch", "complete read"})


@dataclass(frozen=True)
class Scope:
    """`chains`: what happens, in every interleaving; the moves of one chain in their order.

    `before`: what has happened already. `short_lived`: for each dashboard, whether its token expires.
    """

    chains: Sequence[Sequence[str]]
    before: Sequence[str] = ()
    short_lived: Sequence[bool] = (False,)
    cold: bool = False
    page_events: int = 2
    limits: Mapping[str, int] = field(default_factory=lambda: SMALL)


@dataclass(frozen=True, slots=True)
class _Node:
    """A state to go on from. `done`: of each chain, the number of moves that were made.

    `is_committed`: the move before was a commit. `stalled`: who was stalled by the move before, but for commits.
    """

    number: int
    saved: bytes
    done: tuple[int, ...]
    path: tuple[str, ...]
    is_committed: bool = False
    stalled: int | None = None


@dataclass
class Search:
    """The states that were visited, depth first."""

    scope: Scope
    states: dict[bytes, int] = field(default_factory=dict)  # digest -> number
    transitions: int = 0
    ends: int = 0
    _next: "array[int]" = field(default_factory=lambda: array("q"))  # of each state, a move of the front further; or -1

    def run(self) -> "Search":
        with limits(self.scope.limits):
            self._visit_all()
        self._check_progress()
        return self

    def _build(self) -> SmallFront:
        return SmallFront(page_events=self.scope.page_events, cold=self.scope.cold, short_lived=self.scope.short_lived)

    def _visit_all(self) -> None:
        front = self._build()
        for text in self.scope.before:
            Choice.parse(text).make(front)
        waiting: list[_Node] = []
        self._visit(_Node(0, b"", (0,) * len(self.scope.chains), ()), front, waiting)
        while waiting:
            self._expand(waiting.pop(), waiting)

    def _expand(self, node: _Node, waiting: list[_Node]) -> None:
        front = load(node.saved)
        todo = [
            choice for choice in left_to_do(front) if choice.name != "fetch" or self._is_fetch_needed(front, choice)
        ]
        possible = list(self._possible(front, todo, node))
        if not todo:
            self.ends += not self._left(node.done)
            self._check(node.path, "at the end", lambda: finish(front))
            front = load(node.saved)
        for index, (choice, done) in enumerate(possible):
            self.transitions += 1
            number = self._follow(front, node, choice, done, waiting)
            if todo and choice == todo[-1]:
                self._next[node.number] = number
            if index + 1 < len(possible):
                front = load(node.saved)

    def _left(self, done: tuple[int, ...]) -> list[str]:
        return [text for chain, count in zip(self.scope.chains, done, strict=True) for text in chain[count:]]

    def _is_fetch_needed(self, front: SmallFront, choice: Choice) -> bool:
        return isinstance(front.dashboards[choice.at].awaited, ReadSnapshot | ReadPage)

    def _possible(self, front: SmallFront, todo: list[Choice], node: _Node) -> Iterator[tuple[Choice, tuple[int, ...]]]:
        """Yield what may happen next, and how far the chains are then."""
        for choice in todo:
            if not node.is_committed or choice.name in _OF_JOURNAL:
                yield choice, node.done
        for index, (chain, count) in enumerate(zip(self.scope.chains, node.done, strict=True)):
            if count == len(chain):
                continue
            choice = Choice.parse(chain[count])
            if node.is_committed and not choice.is_commit:
                continue
            if choice.name == "flow" and not front.dashboards[choice.at].socket.unread:
                continue
            if choice.is_possible(front):
                yield choice, (*node.done[:index], count + 1, *node.done[index + 1 :])

    def _follow(
        self, front: SmallFront, node: _Node, choice: Choice, done: tuple[int, ...], waiting: list[_Node]
    ) -> int:
        """Make one move, and return the number of the state that it leads to, -1 if another order leads there."""
        path = (*node.path, str(choice))
        self._check(path, "", lambda: choice.make(front))
        stalled = choice.at if choice.name == "stall" else node.stalled if choice.is_commit else None
        if node.stalled is not None and not choice.is_commit and not front.dashboards[node.stalled].socket.unread:
            return -1
        return self._visit(_Node(len(self.states), b"", done, path, choice.is_commit, stalled), front, waiting)

    def _visit(self, node: _Node, front: SmallFront, waiting: list[_Node]) -> int:
        """Return the number of a state, which is a new one or an old one."""
        goes_back = any("resume" in text or "reconnect" in text for text in self._left(node.done))
        saved = save(front, may_resume=goes_back)
        key = blake2b(saved + bytes(node.done), digest_size=16).digest()
        number = self.states.get(key)  # where more moves are followed
        if number is None and (node.is_committed or node.stalled is not None):
            key += b"%d %d" % (node.is_committed, -1 if node.stalled is None else node.stalled)
            number = self.states.get(key)
        if number is None:
            number = self.states[key] = node.number
            self._next.append(-1)
            waiting.append(replace(node, saved=saved))
        return number

    def _check(self, path: Sequence[str], when: str, make: Callable[[], None]) -> None:
        try:
            make()
        except Exception as error:
            short = shorten(path, lambda moves: run(self._build(), [*self.scope.before, *moves]))
            raise PromiseBroken(f"{error!r} {when} after {[*self.scope.before, *path]}; in short {short}") from error

    def _check_progress(self) -> None:
        """Check that from each state the front alone comes to an end."""
        known = bytearray(len(self.states))
        for first in range(len(self.states)):
            at, walked = first, []
            while at >= 0 and not known[at]:
                known[at] = 2
                walked.append(at)
                at = self._next[at]
            if at >= 0 and known[at] == 2:
                raise PromiseBroken("the front goes round in circles")
            for number in walked:
                known[number] = 1
