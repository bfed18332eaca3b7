"""Layouts of our own topics, in which filters become regions: exact arithmetic instead of text.

An event's topic has 8 levels, a command's 5 (design.md, «Message flow»). Some levels hold ids, which are
unlimited. The others have closed sets of words: 13 pairs of category and type, 4 priorities, 5 kinds of command. So a
filter becomes an id or `+` for every id level, and a bit mask of the combinations of words in the closed levels.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Generic, TypeVar

from bridge.domain.event_topic import EVENT_WORDS
from bridge.domain.events import EventType, Priority
from bridge.domain.ids import is_id
from bridge.domain.place import LINE_LEVEL
from bridge.domain.steps import STEP_ITEMS, Steps
from bridge.domain.topics import TopicFilter, TopicName

ANY: Final = "+"

ACTIONS: Final = (
    *("andon.raise", "andon.acknowledge", "andon.arrive", "andon.resolve", "andon.cancel", "andon.escalate"),
    *("downtime.classify", "downtime.confirm", "downtime.unconfirm"),
    *("job.assign", "job.accept", "job.start", "job.pause", "job.complete", "job.cancel"),
    *("changeover.start", "changeover.complete"),
    "quality.clear",
)
"""Actions a user may command (protocol.md, «Requests»). The word before the dot is the kind, the topic's last level."""


@dataclass(frozen=True, slots=True)
class Region:
    """What a filter matches in a layout: an id or `+` for every id level, and a mask of combinations, never 0."""

    ids: tuple[str, ...]
    mask: int

    def covers(self, other: "Region") -> bool:
        return not other.mask & ~self.mask and self._covers_ids(other.ids)

    def intersect(self, other: "Region") -> "Region | None":
        """Return exactly the common part; None when there is none."""
        mask = self.mask & other.mask
        if not mask:
            return None
        ids = []
        for own_id, other_id in zip(self.ids, other.ids, strict=True):
            if own_id not in (ANY, other_id) and other_id != ANY:
                return None
            ids.append(other_id if own_id == ANY else own_id)
        return Region(tuple(ids), mask)

    def _covers_ids(self, ids: tuple[str, ...]) -> bool:
        return all(own_id in (ANY, other_id) for own_id, other_id in zip(self.ids, ids, strict=True))


@dataclass(frozen=True, slots=True)
class TopicLayout:
    """A family of topics: `id_levels` hold ids, the closed levels from `first_enum_level` on hold words.

    `optional_levels` may be `_` instead of an id. `combinations` are the possible words of the closed levels; the index
    of a combination is its bit in a mask.
    """

    name: str
    id_levels: tuple[int, ...]
    optional_levels: frozenset[int]
    first_enum_level: int
    combinations: tuple[tuple[str, ...], ...]
    _bits: dict[tuple[str, ...], int] = field(init=False, repr=False, compare=False, default_factory=dict)
    _bits_with: dict[tuple[int, str], int] = field(init=False, repr=False, compare=False, default_factory=dict)
    _word_levels: slice = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        word_levels = slice(self.first_enum_level, self.first_enum_level + len(self.combinations[0]))
        object.__setattr__(self, "_word_levels", word_levels)
        for bit, words in enumerate(self.combinations):
            self._bits[words] = self._bits.get(words, 0) | 1 << bit
            for index, word in enumerate(words):
                self._bits_with[index, word] = self._bits_with.get((index, word), 0) | 1 << bit

    @property
    def depth(self) -> int:
        return len(self.id_levels) + len(self.combinations[0])

    def region(self, topic_filter: TopicFilter, *, mask: int = -1) -> Region | None:
        """Return what the filter matches in this layout, within `mask`; None when that is no topic."""
        levels = topic_filter.spine
        if len(levels) > self.depth or (len(levels) < self.depth and not topic_filter.tail):
            return None
        levels += (ANY,) * (self.depth - len(levels))
        for level in self.id_levels:
            text = levels[level]
            if not (text == ANY or is_id(text) or (text == LINE_LEVEL and level in self.optional_levels)):
                return None
        mask &= (1 << len(self.combinations)) - 1
        for index, word in enumerate(levels[self._word_levels]):
            if word != ANY:
                mask &= self._bits_with.get((index, word), 0)
        return Region(tuple(levels[level] for level in self.id_levels), mask) if mask else None

    def word_mask(self, name: TopicName) -> int:
        """Return the mask of a topic's words; 0 for words or a depth of another layout."""
        return self._bits.get(name.levels[self._word_levels], 0) if len(name.levels) == self.depth else 0

    def locate(self, name: TopicName) -> tuple[tuple[str, ...], int] | None:
        """Return the ids of a topic and the mask of its words; None for words or a depth of another layout."""
        mask = self.word_mask(name)
        return (tuple(name.levels[level] for level in self.id_levels), mask) if mask else None

    def make_topic(self, ids: Iterable[str], bit: int) -> TopicName:
        levels = list(ids)
        levels[self.first_enum_level : self.first_enum_level] = self.combinations[bit]
        return TopicName.parse("/".join(levels))


EVENTS: Final = TopicLayout(
    name="event",
    id_levels=(0, 1, 2, 3, 7),
    optional_levels=frozenset({3, 7}),
    first_enum_level=4,
    combinations=tuple(words for words, _, _ in EVENT_WORDS),
)
"""`{site}/{area}/{line}/{equipment}/{category}/{type}/{priority}/{subject}`, relative to `{root}/event/`."""

COMMANDS: Final = TopicLayout(
    name="command",
    id_levels=(0, 1, 2, 3),
    optional_levels=frozenset({3}),
    first_enum_level=4,
    combinations=tuple((action.partition(".")[0],) for action in ACTIONS),
)
"""`{site}/{area}/{line}/{equipment}/{kind}`, relative to `{root}/command/`; a kind has one bit per action."""


def event_mask(types: Iterable[EventType] | None, priorities: Iterable[Priority] | None) -> int:
    """Return the bits of those event types and priorities; None: of all."""
    return _event_mask(
        None if types is None else frozenset(types), None if priorities is None else frozenset(priorities)
    )


@lru_cache(maxsize=1_000)  # few are in use, and equal ones are the same object; clients may ask for any
def _event_mask(types: frozenset[EventType] | None, priorities: frozenset[Priority] | None) -> int:
    kinds = frozenset(EventType) if types is None else types
    ranks = frozenset(Priority) if priorities is None else priorities
    bits = (1 << bit for bit, (_, kind, rank) in enumerate(EVENTS.combinations) if kind in kinds and rank in ranks)
    return sum(bits)


def action_mask(actions: Iterable[str] | None) -> int:
    """Return the bits of those actions; None: of all. `andon.*` and `*` are accepted, unknown words add no bit."""
    if actions is None:
        return (1 << len(ACTIONS)) - 1
    patterns = frozenset(actions)
    return sum(
        1 << bit for bit, action in enumerate(ACTIONS) if patterns & {action, action.partition(".")[0] + ".*", "*"}
    )


T = TypeVar("T")


class RegionTable(Generic[T]):
    """Index of regions by the id levels that they fix: at most 2**5 look-ups find all that cover given ids.

    A thousand grants for a thousand lines fix the same level: one look-up.
    """

    __slots__ = ("_tables",)

    def __init__(self, entries: Iterable[tuple[Region, T]] = ()) -> None:
        self._tables: dict[tuple[int, ...], dict[tuple[str, ...], list[tuple[int, T]]]] = {}
        for region, entry in entries:
            self.add(region, entry)

    def add(self, region: Region, entry: T) -> None:
        fixed = tuple(level for level, text in enumerate(region.ids) if text != ANY)
        table = self._tables.setdefault(fixed, {})
        table.setdefault(tuple(region.ids[level] for level in fixed), []).append((region.mask, entry))

    def covering(self, ids: tuple[str, ...]) -> Iterator[tuple[int, T]]:
        """Yield (mask, entry) of every region that covers these ids; only `+` covers a `+` among them."""
        for fixed, table in self._tables.items():
            yield from table.get(tuple(ids[level] for level in fixed), ())

    def missing(self, region: Region) -> int:
        """Return the mask of all that a region matches and no region of the table does.

        It is exact: a `+` of the region can be filled by an id that the table does not name.
        """
        mask = region.mask
        for covered, _ in self.covering(region.ids):
            mask &= ~covered
        return mask


def remove_covered(regions: Iterable[Region]) -> Steps[list[Region]]:
    """Return the regions without those that another one covers: the same topics, in the given order."""
    distinct = list(dict.fromkeys(regions))
    if len(distinct) < 2:
        return distinct
    table: RegionTable[Region] = RegionTable()
    for number, region in enumerate(distinct, start=1):
        table.add(region, region)
        if number % STEP_ITEMS == 0:
            yield
    kept = []
    for number, region in enumerate(distinct, start=1):
        if not any(other != region and not region.mask & ~mask for mask, other in table.covering(region.ids)):
            kept.append(region)
        if number % STEP_ITEMS == 0:
            yield
    return kept
