"""Topic names and topic filters (MQTT 5, section 4.7) as sets: matches, covers, intersect.

Authorization depends on this file, so every relation is exact. Comparison is by code point: names that merely look
alike, or that Unicode normalisation would make equal, are different topics (4.7.3: no normalization).
"""

import re
from dataclasses import dataclass, field
from typing import Final, Self

from typing_extensions import override

MAX_BYTES: Final = 65_535  # MQTT 5 1.5.4: a string's length is two bytes on the wire
MAX_LEVELS: Final = 200  # ours; a name of 32,768 slashes would cost every index and cache that splits it

# MQTT 5 1.5.4 forbids U+0000 and surrogates, and lets a receiver close the connection over control characters and
# non-characters. Brokers do so, each for its own set. Forbidden here is whatever may close our connection, break a line
# in a log or rewrite a terminal. U+FEFF is allowed: a character of the name, never stripped.
_PLANE_ENDS = "".join(chr(plane * 0x10000 + last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_FORBIDDEN = re.compile(f"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef{_PLANE_ENDS}]")

# First levels that select how a broker distributes messages, not which ones ($share: MQTT 5 4.8.2; the other two are
# dialects). Such filters can't be compared as sets of topics, so a grant for one would mean nothing.
_SHARING: Final = frozenset({"$share", "$queue", "$exclusive"})


class TopicError(ValueError):
    """Text that is no topic name or filter: the sender's fault."""


@dataclass(eq=False)
class EmptyTopic(TopicError):
    """An empty topic. MQTT 5 4.7.3: at least one character."""

    @override
    def __str__(self) -> str:
        return "a topic has at least one character"


@dataclass(eq=False)
class TopicTooLong(TopicError):
    """A topic over the size limit. `size` is in UTF-8 bytes, or in characters if these alone exceed it."""

    size: int
    limit: int

    @override
    def __str__(self) -> str:
        return f"a topic of {self.size} bytes passes the limit of {self.limit}"


@dataclass(eq=False)
class TopicTooDeep(TopicError):
    levels: int
    limit: int

    @override
    def __str__(self) -> str:
        return f"a topic of {self.levels} levels passes the limit of {self.limit}"


@dataclass(eq=False)
class ForbiddenCharacter(TopicError):
    codepoint: int
    at: int

    @override
    def __str__(self) -> str:
        return f"U+{self.codepoint:04X} at {self.at} has no place in a topic"


@dataclass(eq=False)
class WildcardInName(TopicError):
    wildcard: str
    at: int

    @override
    def __str__(self) -> str:
        return f"{self.wildcard!r} at {self.at} is a wildcard: this is a filter, not the name of a topic"


@dataclass(eq=False)
class MisplacedWildcard(TopicError):
    """`#` that isn't the whole last level, or `+` that isn't a whole level; `level` counts from 0."""

    wildcard: str
    level: int

    @override
    def __str__(self) -> str:
        rule = "the whole last level" if self.wildcard == "#" else "a whole level"
        return f"{self.wildcard!r} in level {self.level} is not {rule}"


@dataclass(eq=False)
class SharedSubscription(TopicError):
    prefix: str

    @override
    def __str__(self) -> str:
        return f"{self.prefix}/ shares messages out among clients; it names no set of topics to authorize"


@dataclass(frozen=True, slots=True)
class TopicName:
    """A topic that can be published to: no wildcards. It has at least one level; empty levels count."""

    text: str
    levels: tuple[str, ...] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a name, exactly as written; raise a TopicError that states the fault."""
        levels = _split(text)
        # MQTT 5 4.7.1: wildcards MUST NOT be used within a topic name.
        for at, character in enumerate(text):
            if character in "+#":
                raise WildcardInName(character, at)
        return cls(text, levels)

    @override
    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class TopicFilter:
    """A non-empty set of topic names.

    `spine`: the levels that every name in the set begins with (literal, or `+` for any one level). With `tail`, any
    number of further levels may follow. `#` is `+` and a tail, since a name has at least one level; `/#` is an empty
    level, `+` and a tail, since the name of one empty level would be empty.
    """

    text: str
    spine: tuple[str, ...] = field(compare=False, repr=False)
    tail: bool = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a filter, exactly as written; raise a TopicError that states the fault."""
        levels = _split(text)
        if levels[0] in _SHARING:
            raise SharedSubscription(levels[0])
        last = len(levels) - 1
        for index, level in enumerate(levels):
            # MQTT 5 4.7.1.2: `#` alone in its level, and the last; 4.7.1.3: `+` alone in its level.
            if "#" in level and (level != "#" or index != last):
                raise MisplacedWildcard("#", index)
            if "+" in level and level != "+":
                raise MisplacedWildcard("+", index)
        if levels[-1] != "#":
            return cls(text, levels, tail=False)
        if levels in (("#",), ("", "#")):
            return cls(text, (*levels[:-1], "+"), tail=True)
        return cls(text, levels[:-1], tail=True)

    @property
    def levels(self) -> tuple[str, ...]:
        """Return the levels as written, wildcards included."""
        return tuple(self.text.split("/"))

    def matches(self, name: TopicName) -> bool:
        levels, spine = name.levels, self.spine
        if len(levels) != len(spine) and not (self.tail and len(levels) > len(spine)):
            return False
        # MQTT 5 4.7.2: wildcards at the start never match $-topics.
        if spine[0] == "+" and levels[0].startswith("$"):
            return False
        return all(own in ("+", level) for own, level in zip(spine, levels, strict=False))

    def covers(self, other: "TopicFilter") -> bool:
        """Return whether this filter matches every name that `other` matches; exact."""
        spine, other_spine = self.spine, other.spine
        if self.tail:
            if len(other_spine) < len(spine):
                return False
        elif other.tail or len(other_spine) != len(spine):
            return False
        if spine[0] == "+" and other_spine[0].startswith("$"):
            return False
        return all(own in ("+", level) for own, level in zip(spine, other_spine, strict=False))

    def intersect(self, other: "TopicFilter") -> "TopicFilter | None":
        """Return the filter of exactly the names that both match; None when there are none.

        If one filter covers the other, the result is the other. Two filters near the size limit may intersect in a
        filter over it: right as a set, but no broker accepts its text.
        """
        if other.covers(self):
            return self
        if self.covers(other):
            return other
        short, long = sorted((self, other), key=lambda topic_filter: len(topic_filter.spine))
        if len(short.spine) < len(long.spine) and not short.tail:
            return None
        spine = list(long.spine)
        for index, level in enumerate(short.spine):
            if spine[index] == "+":
                spine[index] = level
            elif level not in ("+", spine[index]):
                return None
        if spine[0].startswith("$") and "+" in (short.spine[0], long.spine[0]):
            return None
        tail = long.tail and short.tail
        text = "/".join((*spine, "#")) if tail else "/".join(spine)
        if len(text) > MAX_BYTES and _shortest_name_bytes(spine) > MAX_BYTES:
            return None
        return TopicFilter(text, tuple(spine), tail)

    @override
    def __str__(self) -> str:
        return self.text


def _split(text: str) -> tuple[str, ...]:
    if not text:
        raise EmptyTopic
    if len(text) > MAX_BYTES:
        raise TopicTooLong(len(text), MAX_BYTES)
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        raise ForbiddenCharacter(ord(forbidden.group()), forbidden.start())
    size = len(text.encode())
    if size > MAX_BYTES:
        raise TopicTooLong(size, MAX_BYTES)
    depth = text.count("/") + 1
    if depth > MAX_LEVELS:
        raise TopicTooDeep(depth, MAX_LEVELS)
    return tuple(text.split("/"))


def _shortest_name_bytes(spine: list[str]) -> int:
    return len("/".join("" if level == "+" else level for level in spine).encode())
