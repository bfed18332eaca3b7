"""Every list of filters with every set of grants in a layout of three levels, against sets of topics."""

from itertools import combinations, product
from typing import Final

import pytest

from bridge.domain.access.grants import Allowed, Decision, Grant, Grants, decide_union
from bridge.domain.access.topic_layout import Region, RegionTable, TopicLayout
from bridge.domain.topics import TopicFilter, TopicName
from tests.support.reference_subscription import matches

LAYOUT: Final = TopicLayout(
    name="small",
    id_levels=(0, 1),
    optional_levels=frozenset(),
    first_enum_level=2,
    combinations=(("x",), ("y",)),
)
FILTERS: Final = tuple("/".join(levels) for levels in product(("a", "b", "+"), ("a", "+"), ("x", "y", "+")))
"""One filter of every region; `#` is another spelling of `+` at the end."""

TOPICS: Final = tuple("/".join(levels) for levels in product(("a", "b", "zz"), ("a", "zz"), ("x", "y")))
"""`zz` stands for all ids that no filter names."""

BITS: Final = {text: sum(1 << bit for bit, topic in enumerate(TOPICS) if matches(text, topic)) for text in FILTERS}
WITHIN: Final = {-1: (1 << len(TOPICS)) - 1, 0b01: BITS["+/+/x"], 0b10: BITS["+/+/y"]}
"""Mask of words -> the topics within it."""

LISTS: Final = [*combinations(FILTERS, 1), *combinations(FILTERS, 2)]
PARSED: Final = {text: TopicFilter.parse(text) for text in FILTERS}
GRANT_OF: Final = {text: Grant.for_filter(LAYOUT, PARSED[text], reason=text) for text in FILTERS}


def bits_of(texts: tuple[str, ...]) -> int:
    bits = 0
    for text in texts:
        bits |= BITS[text]
    return bits


def check(decision: Decision, requested: int, granted: int, grants: tuple[str, ...], within: int) -> None:
    effective: tuple[str, ...] = ()
    if isinstance(decision, Allowed):
        effective = tuple(str(topic_filter) for topic_filter in decision.effective)
        assert decision.narrowed == bool(requested & ~granted)
    kept = [BITS[text] & within for text in effective]
    assert bits_of(effective) & within == requested & granted
    assert not [1 for one, other in combinations(kept, 2) if one | other in (one, other)], effective
    assert isinstance(decision, Allowed) == bool(requested & granted)
    assert (decision.witness is None) == (not requested & ~granted)
    if decision.witness is not None:
        check_witness(decision.witness, requested, grants)


def check_witness(witness: TopicName, requested: int, grants: tuple[str, ...]) -> None:
    assert not any(matches(grant, str(witness)) for grant in grants)
    named = "/".join(text if text in ("a", "b", "x", "y") else "zz" for text in witness.levels)
    assert requested >> TOPICS.index(named) & 1


def check_all(granted: tuple[str, ...]) -> None:
    grants = Grants(LAYOUT, [grant for text in granted if (grant := GRANT_OF[text]) is not None])
    bits = bits_of(granted)
    for texts in LISTS:
        requested = [PARSED[text] for text in texts]
        for mask, within in WITHIN.items():
            decision = decide_union(requested, grants, mask=mask)
            try:
                check(decision, bits_of(texts) & within, bits, granted, within)
            except AssertionError as error:
                raise AssertionError(f"{texts} within {mask}, granted {granted}: {decision}") from error


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_union_within_a_mask_is_decided_exactly(count: int) -> None:
    for granted in combinations(FILTERS, count):
        check_all(granted)


@pytest.mark.proof
def test_a_union_within_a_mask_is_decided_exactly_for_three_grants() -> None:
    for granted in combinations(FILTERS, 3):
        check_all(granted)


def test_what_a_list_of_filters_does_not_cover_is_found_exactly() -> None:
    regions: dict[str, Region] = {}
    for text in FILTERS:
        region = LAYOUT.region(PARSED[text])
        assert region is not None
        regions[text] = region
    for others in [(), *LISTS, *combinations(FILTERS, 3)]:
        table = RegionTable((regions[other], None) for other in others)
        covered = bits_of(others)
        for text in FILTERS:
            missing = table.missing(regions[text])
            lost = [within for mask, within in WITHIN.items() if mask > 0 and BITS[text] & within & ~covered]
            assert lost == [within for mask, within in WITHIN.items() if mask > 0 and mask & missing], (text, others)
