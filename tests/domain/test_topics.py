"""Names and filters: what parses, and what matches what, held against an oracle of regular expressions."""

import itertools
import unicodedata
from collections.abc import Iterable
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain import topics
from bridge.domain.topics import (
    EmptyTopic,
    ForbiddenCharacter,
    MisplacedWildcard,
    SharedSubscription,
    TopicError,
    TopicFilter,
    TopicName,
    TopicTooDeep,
    TopicTooLong,
    WildcardInName,
)
from tests.support.topic_oracle import oracle

LITERALS = ("a", "$x", "")
# "z" is in no filter: what a wildcard matches beyond the literals in play.
NAME_LEVELS = (*LITERALS, "z")


def texts(levels: Iterable[str], depth: int) -> list[str]:
    levels = tuple(levels)
    joined = [
        "/".join(combination)
        for length in range(1, depth + 1)
        for combination in itertools.product(levels, repeat=length)
    ]
    return [text for text in joined if text]


LEVELS = (*LITERALS, "+")
FILTERS = [*texts(LEVELS, 3), *(f"{head}/#" for head in texts(LEVELS, 2)), "#", "/#"]
NAMES = texts(NAME_LEVELS, 4)


@cache
def matched(topic_filter: str) -> frozenset[str]:
    pattern = oracle(topic_filter)
    return frozenset(name for name in NAMES if pattern.fullmatch(name))


def test_every_small_filter_matches_what_the_oracle_matches() -> None:
    names = [TopicName.parse(name) for name in NAMES]
    for text in FILTERS:
        parsed = TopicFilter.parse(text)
        assert {name.text for name in names if parsed.matches(name)} == matched(text), text


def test_covers_is_exactly_the_subset_relation() -> None:
    for one, other in itertools.product(FILTERS, repeat=2):
        claimed = TopicFilter.parse(one).covers(TopicFilter.parse(other))
        assert claimed == (matched(other) <= matched(one)), (one, other)


def test_intersect_is_exactly_the_common_set_and_one_filter() -> None:
    for one, other in itertools.product(FILTERS, repeat=2):
        common = TopicFilter.parse(one).intersect(TopicFilter.parse(other))
        expected = matched(one) & matched(other)
        assert (matched(str(common)) if common else frozenset()) == expected, (one, other)
        # The text form and the set form are equivalent.
        assert common is None or TopicFilter.parse(str(common)) == common


level = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn"), exclude_characters="+#/"), max_size=3
)
names = st.lists(level, min_size=1, max_size=12).map("/".join).filter(bool).map(TopicName.parse)


@st.composite
def filters_of(draw: st.DrawFn, name: TopicName) -> TopicFilter:
    """A filter that is `name` with some levels made wildcards, some changed, and maybe a `#`."""
    levels = [draw(st.sampled_from((level, level, "+", "other"))) for level in name.levels]
    if draw(st.booleans()):
        levels = [*levels[: draw(st.integers(0, len(levels)))], "#"]
    text = "/".join(levels) or "+"
    return TopicFilter.parse("+" if text.startswith(("$share", "$queue", "$exclusive")) else text)


@given(st.data())
def test_any_filter_agrees_with_the_oracle(data: st.DataObject) -> None:
    name = data.draw(names)
    one, other = data.draw(filters_of(name)), data.draw(filters_of(name))
    assert one.matches(name) == bool(oracle(one.text).fullmatch(name.text))
    common = one.intersect(other)
    assert (common is not None and common.matches(name)) == (one.matches(name) and other.matches(name))
    assert common is None or (one.covers(common) and other.covers(common))
    if one.covers(other) and other.matches(name):
        assert one.matches(name)


@given(st.text(max_size=30))
def test_any_text_parses_and_survives_or_raises_a_topic_error(text: str) -> None:
    for parse in (TopicName.parse, TopicFilter.parse):
        try:
            parsed = parse(text)
        except TopicError:
            continue
        assert str(parsed) == text


@pytest.mark.parametrize(
    ("topic_filter", "name", "expected"),
    [
        ("a/#", "a", True),
        ("a/#", "a/", True),
        ("a/#", "A/b", False),
        ("+/+", "/", True),
        ("+", "/x", False),
        ("a//b", "a//b", True),
        ("a//b", "a/b", False),
        ("a/b", "a/../b", False),
        ("#", "$SYS/broker", False),
        ("+/broker", "$SYS/broker", False),
        ("$SYS/#", "$SYS/broker", True),
        ("$CONTROL/#", "$CONTROL/dynamic-security/v1", True),
        ("a/+", "a/$x", True),
        ("a/\ufeffb", "a/b", False),
        ("a/+", "a/\uff0b", True),
        ("a/\uff0b", "a/b", False),
    ],
)
def test_matching_by_the_letter_of_the_standard(topic_filter: str, name: str, *, expected: bool) -> None:
    assert TopicFilter.parse(topic_filter).matches(TopicName.parse(name)) is expected


def test_ids_that_normalize_to_the_same_stay_different() -> None:
    composed, decomposed = "Gro\u00df/\u00fc", unicodedata.normalize("NFD", "Gro\u00df/\u00fc")
    assert composed != decomposed
    assert not TopicFilter.parse(composed).matches(TopicName.parse(decomposed))
    assert TopicFilter.parse(composed).intersect(TopicFilter.parse(decomposed)) is None


def test_a_grant_of_one_level_does_not_cover_a_request_for_the_tree() -> None:
    grant, requested = TopicFilter.parse("a/+"), TopicFilter.parse("a/#")
    assert not grant.covers(requested)
    assert grant.intersect(requested) == grant


@pytest.mark.parametrize("text", ["a#", "a/#/b", "#/a", "##", "a/b#", "/#/"])
def test_a_hash_is_refused_anywhere_but_alone_in_the_last_level(text: str) -> None:
    with pytest.raises(MisplacedWildcard) as caught:
        TopicFilter.parse(text)
    assert caught.value.wildcard == "#"


@pytest.mark.parametrize(("text", "level_index"), [("a+", 0), ("a/+b", 1), ("++", 0), ("a/b/c+/d", 2)])
def test_a_plus_is_refused_beside_anything_in_its_level(text: str, level_index: int) -> None:
    with pytest.raises(MisplacedWildcard) as caught:
        TopicFilter.parse(text)
    assert (caught.value.wildcard, caught.value.level) == ("+", level_index)


@pytest.mark.parametrize(("text", "at"), [("a/+", 2), ("#", 0), ("a#", 1)])
def test_a_name_holds_no_wildcard(text: str, at: int) -> None:
    with pytest.raises(WildcardInName) as caught:
        TopicName.parse(text)
    assert (caught.value.wildcard, caught.value.at) == (text[at], at)


@pytest.mark.parametrize("text", ["$share/g/x", "$share/g/#", "$share", "$queue/x", "$exclusive/x"])
def test_a_shared_subscription_is_refused_as_a_filter(text: str) -> None:
    with pytest.raises(SharedSubscription):
        TopicFilter.parse(text)


FORBIDDEN = "\0\x01\x1f\x7f\x85\x9f\ud800\udfff\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0010ffff"


@pytest.mark.parametrize("character", list(FORBIDDEN), ids=[f"U+{ord(char):04X}" for char in FORBIDDEN])
def test_characters_that_break_brokers_and_logs_are_refused(character: str) -> None:
    for parse in (TopicName.parse, TopicFilter.parse):
        with pytest.raises(ForbiddenCharacter) as caught:
            parse(f"a/{character}")
        assert (caught.value.codepoint, caught.value.at) == (ord(character), 2)
        assert character not in str(caught.value)


@pytest.mark.parametrize("character", list(" \u00a0\u0300\u200b\ufdcf\ufdf0\ufeff\ufffd\U0001f527"))
def test_unusual_characters_are_part_of_the_name(character: str) -> None:
    assert TopicName.parse(character).text == character


def test_the_empty_text_is_no_topic() -> None:
    for parse in (TopicName.parse, TopicFilter.parse):
        with pytest.raises(EmptyTopic):
            parse("")


def test_the_size_limit_counts_bytes() -> None:
    assert TopicName.parse("x" * 65_535).levels == ("x" * 65_535,)
    with pytest.raises(TopicTooLong):
        TopicName.parse("x" * 65_536)
    with pytest.raises(TopicTooLong) as caught:
        TopicFilter.parse("\u00fc" * 32_768)
    assert (caught.value.size, caught.value.limit) == (65_536, 65_535)


def test_filters_whose_common_names_would_pass_the_size_limit_have_none() -> None:
    half = "x" * 40_000
    assert TopicFilter.parse(f"{half}/+").intersect(TopicFilter.parse(f"+/{half}")) is None
    assert TopicFilter.parse(f"{half}/+").intersect(TopicFilter.parse(f"+/{half[:20_000]}")) is not None


def test_depth_is_bounded() -> None:
    assert len(TopicName.parse("/".join("a" * 200)).levels) == 200
    for parse in (TopicName.parse, TopicFilter.parse):
        with pytest.raises(TopicTooDeep) as caught:
            parse("/".join("a" * 201))
        assert (caught.value.levels, caught.value.limit) == (201, 200)


def test_the_deepest_topics_there_can_be_are_compared_without_recursion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "MAX_LEVELS", 40_000)
    deep = TopicFilter.parse("/".join("+" * 32_768))
    name = TopicName.parse("/".join("a" * 32_768))
    assert deep.matches(name)
    assert deep.covers(TopicFilter.parse(name.text))
    assert not TopicFilter.parse("b/#").matches(name)


def test_equal_text_is_an_equal_topic() -> None:
    assert len({TopicFilter.parse("a/+"), TopicFilter.parse("a/+"), TopicFilter.parse("a/#")}) == 2
    assert TopicName.parse("a") == TopicName.parse("a") != TopicName.parse("a/")
