"""Benchmarks: each prints the ratio of two ways measured in one run, which a noisy machine leaves nearly alone."""

import json
import time
from collections.abc import Callable

import pytest

from bridge.domain.envelope import encode_event
from bridge.domain.filter_index import FilterIndex
from bridge.domain.reports import Report
from bridge.domain.topics import TopicFilter, TopicName
from bridge.ingest.native import decode
from tests.support.journal_samples import event

pytestmark = pytest.mark.bench

LINES = 1_000
DASHBOARDS = 100


def seconds(work: Callable[[], object], *, repeat: int = 5) -> float:
    best = float("inf")
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best


def test_the_index_beats_a_walk_over_all_filters() -> None:
    filters = [TopicFilter.parse(f"+/+/L{number}/#") for number in range(LINES)]
    names = [TopicName.parse(f"S1/A1/L{number}/_/andon/andon_event/high/c1") for number in range(0, LINES, 10)]
    index: FilterIndex[int] = FilterIndex()
    for number, topic_filter in enumerate(filters):
        index.add(topic_filter, number)
    matched = [set(index.match(name)) for name in names]
    walked = [{number for number, topic_filter in enumerate(filters) if topic_filter.matches(name)} for name in names]
    assert matched == walked
    fast = seconds(lambda: [set(index.match(name)) for name in names])
    slow = seconds(lambda: [[topic_filter.matches(name) for topic_filter in filters] for name in names], repeat=1)
    print(f"\nfilter index, {LINES} filters: {slow / fast:.0f} times a walk")  # noqa: T201
    assert slow > fast


def test_encoding_once_beats_encoding_for_each_dashboard() -> None:
    events = [event(f"c{number}") for number in range(100)]
    once = seconds(lambda: [encode_event(event, stream="s", epoch="e", offset=1) for event in events])
    per_dashboard = seconds(
        lambda: [encode_event(event, stream="s", epoch="e", offset=1) for event in events for _ in range(DASHBOARDS)]
    )
    print(f"\nencode once for {DASHBOARDS} dashboards: {per_dashboard / once:.0f} times less work")  # noqa: T201
    assert per_dashboard > once


def test_strict_decoding_takes_this_much_longer_than_plain_json() -> None:
    payload = b'{"boot_id":7,"seq":41,"total":1200,"good":1190,"reject":10,"modulus":65536}'

    def strict() -> None:
        for _ in range(1_000):
            read = decode("report/S1/A1/L1/M1/counts", payload, received_at=0, cause="input:1", retained=False)
            assert isinstance(read, Report)

    def plain() -> None:
        for _ in range(1_000):
            json.loads(payload)

    print(f"\nstrict decoding: {seconds(strict) / seconds(plain):.1f} times json.loads")  # noqa: T201
