"""Fuzz target: two topic filters and a topic name, one a line."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from bridge.domain.topics import TopicError, TopicFilter, TopicName
from tests.support.topic_oracle import oracle

MAX_BYTES: Final = 1_024
WORDS: Final = ("#", "/#", "+", "+/", "$SYS/", "$share/g/", "$queue/", "//", "\ufeff", "\uff0b")
Topic = TypeVar("Topic", TopicName, TopicFilter)


def seeds() -> Iterable[bytes]:
    yield b"a/+/#\n+/b\na/b"
    yield b"#\n$SYS/#\n$SYS/broker"
    yield b"/#\n+/+\n/"
    yield "plant1/+/L1/+/andon/#\n+/packing/L1/#\nplant1/packing/L1/ü/andon/x".encode()


def run(data: bytes) -> None:
    """Hold matching, covering and intersection against each other, and matching against a regular expression."""
    texts = data.decode(errors="surrogateescape").split("\n", 2)
    filters = [parsed for text in texts[:2] if (parsed := _parse(TopicFilter.parse, text))]
    name = _parse(TopicName.parse, texts[-1])
    names = [*(example for topic_filter in filters for example in _examples(topic_filter)), *([name] if name else [])]
    for topic_filter in filters:
        pattern = oracle(topic_filter.text)
        assert topic_filter.covers(topic_filter)
        for one in names:
            assert topic_filter.matches(one) == (pattern.fullmatch(one.text) is not None)
    if len(filters) == 2:
        _compare(filters[0], filters[1], names)


def _parse(parse: Callable[[str], Topic], text: str) -> Topic | None:
    try:
        parsed = parse(text)
    except TopicError as refusal:
        assert "\n" not in str(refusal)  # it is written to the log
        return None
    assert str(parsed) == text
    return parsed


def _examples(topic_filter: TopicFilter) -> list[TopicName]:
    """Return names that the filter matches, unless a `+` at its start meets a `$`."""
    levels = ["z" if level == "+" else level for level in topic_filter.spine]
    texts = ["/".join(levels)] + (["/".join([*levels, "", "z"])] if topic_filter.tail else [])
    return [name for text in texts if text and (name := _parse(TopicName.parse, text))]


def _compare(one: TopicFilter, other: TopicFilter, names: Iterable[TopicName]) -> None:
    common, reverse = one.intersect(other), other.intersect(one)
    assert (common is None) == (reverse is None)
    if common is not None and reverse is not None:
        assert common.covers(reverse)
        assert reverse.covers(common)
        assert one.covers(common)
        assert other.covers(common)
        assert TopicFilter.parse(str(common)) == common
    for name in names:
        both = one.matches(name) and other.matches(name)
        assert (common is not None and common.matches(name)) == both
        assert not one.covers(other) or one.matches(name) or not other.matches(name)
