"""Index of subscribers by topic filter: a tree of levels. A look-up costs by the topic's depth, not by the filters."""

from collections.abc import Hashable, Iterator
from collections.abc import Set as AbstractSet
from typing import Generic, TypeVar

from bridge.domain.topics import TopicFilter, TopicName

T = TypeVar("T", bound=Hashable)


class FilterIndex(Generic[T]):
    """Finds every subscriber of a topic by walking its levels.

    At most two branches leave a level (the literal and `+`), and only where a filter made them: an 8-level event visits
    fewer than 2**9 nodes, however many filters there are. Iterative, since the peer chooses the depth.
    """

    __slots__ = ("_pairs", "_root")

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._pairs = 0

    def add(self, topic_filter: TopicFilter, subscriber: T) -> None:
        """Add the pair; adding it again changes nothing."""
        node = self._root
        for level in topic_filter.levels:
            node = node.children.setdefault(level, _Node())
        if subscriber not in node.subscribers:
            node.subscribers[subscriber] = None
            self._pairs += 1

    def discard(self, topic_filter: TopicFilter, subscriber: T) -> None:
        """Remove the pair, and every node that becomes empty; removing an absent pair changes nothing."""
        path: list[tuple[_Node[T], str]] = []
        node = self._root
        for level in topic_filter.levels:
            child = node.children.get(level)
            if child is None:
                return
            path.append((node, level))
            node = child
        if subscriber not in node.subscribers:
            return
        del node.subscribers[subscriber]
        self._pairs -= 1
        while path and not node.subscribers and not node.children:
            node, level = path.pop()
            del node.children[level]

    def match(self, name: TopicName) -> AbstractSet[T]:
        """Return the subscribers with at least one matching filter, each once.

        Their order depends on the filters and the order in which they were added, so that equal runs deliver equally.
        """
        matches: dict[T, None] = {}
        nodes = [self._root]
        # MQTT 5 4.7.2: wildcards at the start never match $-topics.
        wildcards = not name.levels[0].startswith("$")
        for level in name.levels:
            next_nodes: list[_Node[T]] = []
            for node in nodes:
                for key in (level, "+", "#") if wildcards else (level,):
                    child = node.children.get(key)
                    if child is None:
                        continue
                    if key == "#":
                        matches |= child.subscribers
                    else:
                        next_nodes.append(child)
            nodes, wildcards = next_nodes, True
        for node in nodes:
            matches |= node.subscribers
            # MQTT 5 4.7.1.2: `#` matches the parent level too.
            parent = node.children.get("#")
            if parent is not None:
                matches |= parent.subscribers
        return matches.keys()

    def __len__(self) -> int:
        """Return the number of pairs of filter and subscriber."""
        return self._pairs

    def __iter__(self) -> Iterator[tuple[str, T]]:
        """Yield every pair, as the filter's text and the subscriber, in no particular order."""
        waiting: list[tuple[tuple[str, ...], _Node[T]]] = [((), self._root)]
        while waiting:
            levels, node = waiting.pop()
            for subscriber in node.subscribers:
                yield "/".join(levels), subscriber
            waiting.extend(((*levels, level), child) for level, child in node.children.items())

    def node_count(self) -> int:
        """Return the number of nodes below the root, which determines the memory used."""
        count, waiting = 0, [self._root]
        while waiting:
            children = waiting.pop().children.values()
            count += len(children)
            waiting.extend(children)
        return count


class _Node(Generic[T]):
    __slots__ = ("children", "subscribers")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.subscribers: dict[T, None] = {}
