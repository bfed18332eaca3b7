"""The filter index: results of a linear scan, removal of filters, and a cost by depth."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.filter_index import FilterIndex
from bridge.domain.topics import TopicFilter, TopicName

ALL = -1  # the mask with all bits

level = st.sampled_from(("a", "b", "", "$x", "+"))
filters = st.builds(
    lambda levels, tail: TopicFilter.parse("/".join([*levels, "#"] if tail or levels == [""] else levels)),
    st.lists(level, min_size=1, max_size=4),
    st.booleans(),
) | st.just(TopicFilter.parse("#"))
names = st.lists(st.sampled_from(("a", "b", "", "$x", "z")), min_size=1, max_size=5).map("/".join).filter(bool)
steps = st.lists(st.tuples(st.booleans(), filters, st.integers(0, 3)), max_size=30)


@settings(max_examples=300)
@given(steps, st.lists(names, min_size=1, max_size=8))
def test_the_index_answers_as_a_linear_scan_does(steps: list[tuple[bool, TopicFilter, int]], texts: list[str]) -> None:
    index: FilterIndex[int] = FilterIndex()
    indexed: set[tuple[TopicFilter, int]] = set()
    for adding, topic_filter, subscriber in steps:
        if adding:
            index.add(topic_filter, subscriber)
            indexed.add((topic_filter, subscriber))
        else:
            index.discard(topic_filter, subscriber)
            indexed.discard((topic_filter, subscriber))
    assert len(index) == len(indexed)
    for name in map(TopicName.parse, texts):
        matching = {subscriber for topic_filter, subscriber in indexed if topic_filter.matches(name)}
        found = index.match_masked(name, ALL)
        assert (set(found), len(found)) == (matching, len(matching))


@given(steps)
def test_discarding_everything_leaves_nothing_behind(steps: list[tuple[bool, TopicFilter, int]]) -> None:
    index: FilterIndex[int] = FilterIndex()
    for _, topic_filter, subscriber in steps:
        index.add(topic_filter, subscriber)
    for _, topic_filter, subscriber in steps:
        index.discard(topic_filter, subscriber)
    assert (len(index), index.shape_count()) == (0, 0)


def test_discarding_keeps_what_others_share() -> None:
    index: FilterIndex[str] = FilterIndex()
    for text, subscriber in (("a/b", "one"), ("a/b/c", "two"), ("a/#", "three")):
        index.add(TopicFilter.parse(text), subscriber)
    index.discard(TopicFilter.parse("a/b"), "one")
    index.discard(TopicFilter.parse("a/b"), "unknown")
    index.discard(TopicFilter.parse("never/added"), "two")
    assert set(index.match_masked(TopicName.parse("a/b/c"), ALL)) == {"two", "three"}
    index.discard(TopicFilter.parse("a/b/c"), "two")
    assert len(index) == 1
    assert index.match_masked(TopicName.parse("a/b/c"), ALL) == ["three"]


def test_a_subscriber_with_many_matching_filters_is_found_once() -> None:
    index: FilterIndex[str] = FilterIndex()
    for text in ("a/b", "a/+", "+/b", "#", "a/#", "a/b/#"):
        index.add(TopicFilter.parse(text), "me")
    assert index.match_masked(TopicName.parse("a/b"), ALL) == ["me"]


class CountingStr(str):
    """A level that counts how often the index looks it up."""

    __slots__ = ()
    lookups = 0

    def __hash__(self) -> int:
        CountingStr.lookups += 1
        return super().__hash__()

    __eq__ = str.__eq__


def test_the_cost_does_not_grow_with_the_number_of_filters() -> None:
    levels = tuple(CountingStr(level) for level in ("s1", "a1", "l1", "e1", "andon", "andon_event", "high", "c1"))
    name = TopicName("/".join(levels), levels)

    def cost(filters: int) -> int:
        index: FilterIndex[int] = FilterIndex()
        for number in range(filters):
            index.add(TopicFilter.parse(f"+/+/line{number}/#"), number)
            index.add(TopicFilter.parse(f"s1/a1/l1/e{number}/#"), number)
        CountingStr.lookups = 0
        index.match_masked(name, ALL)
        return CountingStr.lookups

    assert cost(2_000) == cost(20)
