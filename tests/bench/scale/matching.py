"""Matching of events with 10 to 100,000 mixed subscriptions, beside a scan of all, and the cost of a change."""

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final, TypeVar

from bridge.domain.access.subscription_request import parse_subscription
from bridge.domain.access.subscriptions import Acceptance, Subscription, admit_subscription
from bridge.domain.access.topic_layout import EVENTS
from bridge.domain.event_topic import EventTopic
from bridge.domain.filter_index import FilterIndex
from tests.bench.scale.plant_subscriptions import event_topics, mixed_subscriptions
from tests.support.viewers import viewer

T = TypeVar("T")

COUNTS: Final = (10, 100, 1_000, 10_000, 100_000)
QUICK_COUNTS: Final = (10, 1_000)
SUBSCRIPTIONS_OF_A_LINE: Final = 20  # whatever the number of lines: few match
TOPICS: Final = 4_000
SCANNED: Final = 100_000  # subscriptions, over all topics for which a scan is timed; three topics at least
CHANGES: Final = 2_000
EVENTS_PER_CHANGE: Final = 0.4  # 5,000 events/s while 5,000 dashboards make 20 subscriptions each in 8 s
ROUNDS: Final = 5


@dataclass(frozen=True, slots=True, eq=False)
class Subscriber:
    """A subscription in the index, with what decides on the events that its filters match."""

    subscription: Subscription
    acceptance: Acceptance


Index = FilterIndex[Subscriber]


def measure_matching(count: int) -> Mapping[str, float]:
    """Return the figures of so many subscriptions; times are the best of some rounds, in microseconds.

    `match`: to find all whose filters and masks match a topic; `new_topic`: and whose audience an event has; neither
    from a cache. `same_topic`: from a cache by topic.
    `change`: to add or remove a subscription; `storm`: the same with its share of events, none of which finds a cache.
    """
    random = Random(count)
    lines = max(1, count // SUBSCRIPTIONS_OF_A_LINE)
    subscribers = _admit(count, lines=lines, random=random)
    index, index_bytes = _build(subscribers)
    topics = event_topics(TOPICS, lines=lines, random=random)
    scan_us = _scan(subscribers, topics, index)
    match_us = min(_time(partial(_match, index), _copies(topics)) for _ in range(ROUNDS))
    new_topic_us = min(_time(partial(_find, index), _copies(topics)) for _ in range(ROUNDS))
    routes = {topic.text: _find(index, topic) for topic in topics}
    same_topic_us = min(_time(lambda topic: routes[topic.text], topics) for _ in range(ROUNDS))
    change_us, storm_us = _change(index, subscribers, topics)
    return {
        "matches": sum(len(routes[topic.text]) for topic in topics) / TOPICS,
        "shapes": index.shape_count(),
        "match_us": match_us,
        "new_topic_us": new_topic_us,
        "same_topic_us": same_topic_us,
        "scan_us": scan_us,
        "scan_ratio": scan_us / match_us,
        "change_us": change_us,
        "storm_us": storm_us,
        "index_bytes": index_bytes / count,
    }


def _match(index: Index, topic: EventTopic) -> list[Subscriber]:
    return index.match_masked(topic, EVENTS.word_mask(topic))


def _find(index: Index, topic: EventTopic) -> tuple[Subscriber, ...]:
    return tuple(subscriber for subscriber in _match(index, topic) if subscriber.acceptance.is_for(()))


def _admit(count: int, *, lines: int, random: Random) -> Sequence[Subscriber]:
    user = viewer()
    subscribers = []
    for body in mixed_subscriptions(count, lines=lines, random=random):
        subscription = admit_subscription(parse_subscription(body), user)
        assert isinstance(subscription, Subscription), body
        subscribers.append(Subscriber(subscription, subscription.acceptance))
    return subscribers


def _build(subscribers: Iterable[Subscriber]) -> tuple[Index, int]:
    """Return the index, and the memory that it takes beside the subscriptions."""
    index: Index = FilterIndex()
    gc.collect()
    tracemalloc.start()
    for subscriber in subscribers:
        _add(index, subscriber)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return index, size


def _add(index: Index, subscriber: Subscriber) -> None:
    for topic_filter in subscriber.subscription.effective:
        index.add(topic_filter, subscriber, mask=subscriber.acceptance.mask)


def _discard(index: Index, subscriber: Subscriber) -> None:
    for topic_filter in subscriber.subscription.effective:
        index.discard(topic_filter, subscriber)


def _scan(subscribers: Sequence[Subscriber], topics: Sequence[EventTopic], index: Index) -> float:
    """Return the time of a scan of all subscriptions, which must find what the index finds."""

    def scan(topic: EventTopic) -> None:
        matching = {subscriber for subscriber in subscribers if subscriber.subscription.matches(topic)}
        assert matching == set(_find(index, topic)), topic

    return _time(scan, topics[: max(3, SCANNED // len(subscribers))])


def _change(index: Index, subscribers: Sequence[Subscriber], topics: Sequence[EventTopic]) -> tuple[float, float]:
    some = subscribers[-CHANGES:]
    removing_us, adding_us = _time(partial(_discard, index), some), _time(partial(_add, index), some)
    events = iter(_copies(topics))
    due = 0.0

    def change(subscriber: Subscriber) -> None:
        nonlocal due
        _discard(index, subscriber)
        _add(index, subscriber)
        due += 2 * EVENTS_PER_CHANGE
        while due >= 1:
            _find(index, next(events))
            due -= 1

    return (removing_us + adding_us) / 2, _time(change, some) / 2


def _copies(topics: Iterable[EventTopic]) -> Sequence[EventTopic]:
    """Return equal topics as of new events: no hash of their text is known yet."""
    return [EventTopic.parse("/".join(topic.levels)) for topic in topics]


def _time(work: Callable[[T], object], items: Sequence[T]) -> float:
    """Return the microseconds for one item."""
    began = time.perf_counter()
    for item in items:
        work(item)
    return (time.perf_counter() - began) / len(items) * 1e6
