"""Events that the publisher takes from memory: exactly the next ones, or none."""

from bridge.domain.envelope import position_event
from bridge.publisher.recent_events import RecentEvents
from tests.support.journal_samples import applied, event


def recent_events(*offsets: int, most: int = 10) -> RecentEvents:
    recent = RecentEvents(most=most)
    events = [position_event(event("a"), stream="main", epoch="e", offset=offset) for offset in offsets]
    recent.add([applied(committed.offset, [committed]) for committed in events])
    return recent


def offsets_after(recent: RecentEvents, offset: int, *, limit: int = 10) -> list[int] | None:
    events = recent.take_after(offset, limit=limit)
    return None if events is None else [event.offset for event in events]


def test_the_next_events_are_returned_until_they_are_passed() -> None:
    recent = recent_events(3, 4, 5)
    assert offsets_after(recent, 2, limit=2) == [3, 4]
    assert offsets_after(recent, 2, limit=2) == [3, 4]
    assert offsets_after(recent, 4) == [5]
    assert offsets_after(recent, 5) == []


def test_a_gap_before_the_first_one_is_left_to_the_journal() -> None:
    recent = recent_events(3, 4)
    assert offsets_after(recent, 1) is None
    assert offsets_after(recent, 2) == [3, 4]


def test_beyond_the_bound_the_oldest_are_left_to_the_journal() -> None:
    recent = recent_events(1, 2, 3, most=2)
    assert offsets_after(recent, 0) is None
    assert offsets_after(recent, 1) == [2, 3]


def test_before_anything_is_committed_the_journal_knows_what_is_next() -> None:
    assert offsets_after(recent_events(), 0) is None
