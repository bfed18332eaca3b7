"""Authorization by set arithmetic: the intersection of a requested filter with grants, and a reason for each decision.

Decisions are exact for the layouts of our topics. Ids are unlimited, so every `+` of a request can be filled with an
unused id. Only grants that cover all ids of the request match such a topic. They alone decide whether the request is
narrowed, so there is no search that hostile grants could make expensive.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any, Final, Self, assert_never

from typing_extensions import override

from bridge.domain.access.topic_layout import (
    ANY,
    COMMANDS,
    Region,
    RegionTable,
    TopicLayout,
    action_mask,
    remove_covered,
)
from bridge.domain.steps import STEP_ITEMS, Steps, complete
from bridge.domain.topics import TopicFilter, TopicName

MAX_GRANTS: Final = 1_000  # that one token may expand to; stops 300 sites x 300 lines from filling memory
MAX_EFFECTIVE: Final = 1_000  # filters of one decision; stops 100 targets x 1,000 grants from filling index and reply


@dataclass(frozen=True, slots=True)
class Grant:
    """A filter that a viewer may read or command, and the rule or claim that it comes from."""

    filter: TopicFilter
    reason: str
    region: Region = field(repr=False)

    @classmethod
    def for_filter(
        cls, layout: TopicLayout, topic_filter: TopicFilter, *, reason: str, actions: Iterable[str] | None = None
    ) -> "Grant | None":
        """Return the grant of this filter, of commands only for `actions`; None when no topic in `layout` matches."""
        mask = action_mask(actions) if layout is COMMANDS else -1
        region = layout.region(topic_filter, mask=mask)
        return None if region is None else cls(topic_filter, reason, region)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The granted part of a request, `effective`. `witness` is a requested topic outside of it, or None."""

    effective: tuple[TopicFilter, ...]
    witness: TopicName | None
    grants: tuple[Grant, ...]

    @property
    def narrowed(self) -> bool:
        return self.witness is not None


@dataclass(frozen=True, slots=True)
class NotGranted:
    """A refused request. `witness` is a requested topic that is not granted, None where `reason` needs none."""

    witness: TopicName | None
    reason: str


Decision = Allowed | NotGranted


class Grants:
    """The grants of one viewer, to read or to command, without those that another one covers. Immutable."""

    __slots__ = ("__weakref__", "_hash", "_table", "_unused_id", "all", "layout")

    def __init__(self, layout: TopicLayout, grants: Iterable[Grant | None]) -> None:
        complete(self._take(layout, grants))

    @classmethod
    def in_steps(cls, layout: TopicLayout, grants: Iterable[Grant | None]) -> Steps[Self]:
        """Return the grants of one viewer; a None is none."""
        made = cls.__new__(cls)
        yield from made._take(layout, grants)  # noqa: SLF001 - its own
        return made

    def _take(self, layout: TopicLayout, grants: Iterable[Grant | None]) -> Steps[None]:
        self.layout = layout
        by_region: dict[Region, Grant] = {}
        for number, grant in enumerate(grants, start=1):
            if grant is not None:
                by_region.setdefault(grant.region, grant)
            if number % STEP_ITEMS == 0:
                yield
        kept = yield from remove_covered(by_region)
        self.all = tuple(by_region[region] for region in kept)
        self._table: RegionTable[Grant] = RegionTable()
        for number, grant in enumerate(self.all, start=1):
            self._table.add(grant.region, grant)
            if number % STEP_ITEMS == 0:
                yield
        self._hash = hash(self.all)
        self._unused_id: str | None = None  # found when it is first asked for

    @property
    def unused_id(self) -> str:
        """Return an id that no grant names."""
        if self._unused_id is None:
            used = {text for grant in self.all for text in grant.region.ids}
            names = chain(("any",), (f"any{number}" for number in count()))
            self._unused_id = next(name for name in names if name not in used)
        return self._unused_id

    def covering(self, region: Region) -> Iterable[tuple[int, Grant]]:
        """Return (mask, grant) for every grant that covers all ids of the region."""
        return self._table.covering(region.ids)

    def missing(self, region: Region) -> int:
        """Return the mask of what of the region is not granted."""
        return self._table.missing(region)

    def find(self, name: TopicName) -> Grant | None:
        """Return a grant for this topic; None when there is none."""
        point = self.layout.locate(name)
        if point is None:
            return None
        ids, mask = point
        return next((grant for granted, grant in self._table.covering(ids) if granted & mask), None)

    @override
    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Grants) and (self.layout, self.all) == (other.layout, other.all)

    @override
    def __hash__(self) -> int:
        return self._hash

    @override
    def __repr__(self) -> str:
        return f"Grants({self.layout.name}, {[str(grant.filter) for grant in self.all]})"


def decide(requested: TopicFilter, grants: Grants, *, mask: int = -1) -> Decision:
    """Decide what of a request, within `mask`, is granted.

    A topic matches an effective filter iff it is requested and granted.
    `narrowed` is exact too: a witness matches the request and no grant.
    """
    return complete(_decision(requested, grants, mask))


def _decision(requested: TopicFilter, grants: Grants, mask: int) -> Steps[Decision]:
    layout = grants.layout
    region = layout.region(requested, mask=mask)
    if region is None:
        return NotGranted(None, f"no {layout.name} topic can match {_quoted(requested)}")
    # Without the mask: an effective filter must not be wider than the grant it comes from.
    unmasked = layout.region(requested)
    for granted, grant in grants.covering(region):
        if unmasked is not None and not unmasked.mask & ~granted:
            return Allowed((requested,), None, (grant,))
    missing = grants.missing(region)
    witness = _witness(region, missing, grants) if missing else None
    overlaps = yield from _overlaps(region, grants)
    if not overlaps:
        return NotGranted(witness, "no grant reaches any topic of it")
    kept = yield from remove_covered(overlaps)
    effective: dict[TopicFilter, None] = {}
    used: dict[Grant, None] = {}
    for number, overlap in enumerate(kept, start=1):
        grant = overlaps[overlap]
        common = requested.intersect(grant.filter)
        if common is not None:
            effective[common] = None
        used[grant] = None
        if number % STEP_ITEMS == 0:
            yield
    return Allowed(tuple(effective), witness, tuple(used))


def _overlaps(region: Region, grants: Grants) -> Steps[dict[Region, Grant]]:
    overlaps: dict[Region, Grant] = {}
    for number, grant in enumerate(grants.all, start=1):
        overlap = region.intersect(grant.region)
        if overlap is not None:
            overlaps.setdefault(overlap, grant)
        if number % STEP_ITEMS == 0:
            yield
    return overlaps


def decide_union(requested: Iterable[TopicFilter], grants: Grants, *, mask: int = -1) -> Decision:
    """Decide what of the union of these filters, within `mask`, is granted.

    It is as exact as `decide`. A filter that matches nothing within the mask asks for nothing. Refused, if the grants
    cut it into more than `MAX_EFFECTIVE` filters.
    """
    return complete(decide_union_in_steps(requested, grants, mask=mask))


def decide_union_in_steps(requested: Iterable[TopicFilter], grants: Grants, *, mask: int = -1) -> Steps[Decision]:
    """Decide as `decide_union` does."""
    effective: dict[Region, TopicFilter] = {}
    used: dict[Grant, None] = {}
    witness: TopicName | None = None
    refusal: NotGranted | None = None
    for topic_filter in requested:
        decision = yield from _decision(topic_filter, grants, mask)
        yield
        witness = witness or decision.witness
        if isinstance(decision, NotGranted):
            refusal = decision if refusal is None or refusal.witness is None else refusal
            continue
        used.update(dict.fromkeys(decision.grants))
        for number, common in enumerate(decision.effective, start=1):
            region = grants.layout.region(common, mask=mask)
            assert region is not None, "`decide` returns nothing empty"
            effective.setdefault(region, common)
            if number % STEP_ITEMS == 0:
                yield
        if len(effective) > MAX_EFFECTIVE:
            effective = yield from _without_covered(effective)
            if len(effective) > MAX_EFFECTIVE:
                return NotGranted(
                    None, f"the grants cut it into more than {MAX_EFFECTIVE} filters: ask for less at once"
                )
    if refusal is not None and not effective:
        return refusal
    effective = yield from _without_covered(effective)
    return Allowed(tuple(effective.values()), witness, tuple(used))


def _without_covered(filters: dict[Region, TopicFilter]) -> Steps[dict[Region, TopicFilter]]:
    kept = yield from remove_covered(filters)
    return {region: filters[region] for region in kept}


def explain_decision(decision: Decision) -> dict[str, Any]:
    """Return the decision as plain data. It reveals only the asker's own request and grants, and unused ids."""
    match decision:
        case Allowed(effective, witness, grants):
            return {
                "allowed": True,
                "effective": [str(topic_filter) for topic_filter in effective],
                "narrowed": decision.narrowed,
                "witness": None if witness is None else str(witness),
                "grants": [{"filter": str(grant.filter), "reason": grant.reason} for grant in grants],
            }
        case NotGranted(witness, reason):
            return {"allowed": False, "witness": None if witness is None else str(witness), "reason": reason}
        case _:
            assert_never(decision)


def _witness(region: Region, missing: int, grants: Grants) -> TopicName:
    """Return a topic of the region with the first combination in `missing`; no grant names the ids that replace `+`."""
    lowest_bit = (missing & -missing).bit_length() - 1
    ids = (grants.unused_id if text == ANY else text for text in region.ids)
    return grants.layout.make_topic(ids, lowest_bit)


def _quoted(topic_filter: TopicFilter) -> str:
    return repr(topic_filter.text[:80])
