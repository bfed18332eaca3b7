"""Index of subscribers by topic filter: one table for all filters that have their literals at the same levels."""

from collections.abc import Callable, Hashable
from operator import itemgetter
from typing import Any, Final, Generic, NamedTuple, TypeVar

from bridge.domain.topics import TopicFilter, TopicName

T = TypeVar("T", bound=Hashable)

_Literals = Callable[[tuple[str, ...]], Any]
"""Returns the literals of a filter or name of one shape: a key of its table."""

_Find = Callable[[Any], dict[T, int] | None]
"""Returns the subscribers under a key of a table, each with its mask."""

_NO_LITERALS: Final = itemgetter(slice(0, 0))  # always ()


class _Shape(NamedTuple):
    """What filters such as `+/+/L1/#` and `+/+/L2/#` have in common."""

    literals: tuple[int, ...]  # the levels without a wildcard
    depth: int  # in levels, `#` included
    tail: bool  # ends with `#`

    @classmethod
    def of(cls, levels: tuple[str, ...]) -> "_Shape":
        literals = tuple(index for index, level in enumerate(levels) if level not in ("+", "#"))
        return cls(literals, len(levels), levels[-1] == "#")

    def allows(self, depth: int, *, system: bool) -> bool:
        """Return whether a filter of this shape may match names of so many levels; `system`: that begin with `$`."""
        # MQTT 5 4.7.2: wildcards at the start never match $-topics.
        if system and 0 not in self.literals:
            return False
        # MQTT 5 4.7.1.2: `#` matches the parent level too.
        return depth >= self.depth - 1 if self.tail else depth == self.depth


class _Probes(NamedTuple, Generic[T]):
    """The tables to look into for one kind of topic."""

    one_literal: list[tuple[int, _Find[T]]]  # by that level itself, which saves a call for each
    others: list[tuple[_Literals, _Find[T]]]


class FilterIndex(Generic[T]):
    """Finds every subscriber of a topic with one look-up per shape, however many filters there are.

    The subscription types and a plant's own filters have some 20 shapes; on an event's 8 levels there are fewer than
    2**9. A tree of levels took twice as long, and nearly twice the memory (100,000 filters of 17 shapes).
    """

    __slots__ = ("_pairs", "_probes", "_tables")

    def __init__(self) -> None:
        self._tables: dict[_Shape, tuple[_Literals, dict[Any, dict[T, int]]]] = {}
        self._probes: dict[tuple[int, bool], _Probes[T]] = {}  # by depth, and whether the topic begins with `$`
        self._pairs = 0

    def add(self, topic_filter: TopicFilter, subscriber: T, *, mask: int = -1) -> None:
        """Add the pair; adding it again changes nothing. A subscriber has the same mask under all its filters."""
        levels = topic_filter.levels
        shape = _Shape.of(levels)
        if shape not in self._tables:
            self._tables[shape] = (itemgetter(*shape.literals) if shape.literals else _NO_LITERALS, {})
            self._probes.clear()
        literals, table = self._tables[shape]
        subscribers = table.setdefault(literals(levels), {})
        if subscriber not in subscribers:
            subscribers[subscriber] = mask
            self._pairs += 1

    def discard(self, topic_filter: TopicFilter, subscriber: T) -> None:
        """Remove the pair, and all that becomes empty; removing an absent pair changes nothing."""
        levels = topic_filter.levels
        shape = _Shape.of(levels)
        if shape not in self._tables:
            return
        literals, table = self._tables[shape]
        key = literals(levels)
        subscribers = table.get(key)
        if subscribers is None or subscriber not in subscribers:
            return
        del subscribers[subscriber]
        self._pairs -= 1
        if not subscribers:
            del table[key]
        if not table:
            del self._tables[shape]
            self._probes.clear()

    def match_masked(self, name: TopicName, bits: int) -> list[T]:
        """Return the subscribers with a matching filter and one of these bits in their mask, each once.

        Their order depends on the filters and the order in which they were added, so that equal runs deliver equally.
        """
        return [subscriber for subscriber, mask in self._masks(name).items() if mask & bits]

    def _masks(self, name: TopicName) -> dict[T, int]:
        levels = name.levels
        kind = (len(levels), levels[0][:1] == "$")
        probes = self._probes.get(kind)
        if probes is None:
            depth, system = kind
            probes = self._probes[kind] = self._find_probes(depth, system=system)
        matches: dict[T, int] = {}
        for level, find in probes.one_literal:
            if subscribers := find(levels[level]):
                matches |= subscribers
        for literals, find in probes.others:
            if subscribers := find(literals(levels)):
                matches |= subscribers
        return matches

    def _find_probes(self, depth: int, *, system: bool) -> _Probes[T]:
        probes: _Probes[T] = _Probes([], [])
        for shape, (literals, table) in self._tables.items():
            if not shape.allows(depth, system=system):
                continue
            if len(shape.literals) == 1:
                probes.one_literal.append((shape.literals[0], table.get))
            else:
                probes.others.append((literals, table.get))
        return probes

    def shape_count(self) -> int:
        """Return the number of shapes, and so of look-ups for a topic at most."""
        return len(self._tables)

    def __len__(self) -> int:
        """Return the number of pairs of filter and subscriber."""
        return self._pairs
