"""Cohorts: one queue, one encoding and one count for all dashboards that want the same."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.events import EventType
from bridge.domain.records import CommittedEvent, Position
from bridge.protocol.cohort import FLUSH_BYTES, Batching, Cohort, FlushDue, Membership
from bridge.protocol.event_feed import EventFeed
from bridge.protocol.ledger import Ledger
from tests.support.committed_events import event

STATE = EventType.LINE_STATUS_UPDATE
ALARM = EventType.ANDON_EVENT


class Plant:
    """A feed, and a cohort that selects all of it."""

    def __init__(self, batching: Batching | None = None) -> None:
        self.feed = EventFeed(Position("s", "e", 0), page_events=256, page_bytes=2**20)
        self.cohort: Cohort[str] = Cohort(frozenset({"all"}), batching or Batching(), self.feed, total=Ledger())

    def add(self, kind: EventType, *, line: str = "L1", size: int = 10) -> FlushDue:
        added = event(self.feed.offset + 1, kind, line=line, size=size)
        self.feed.advance(added)
        return self.cohort.add(added)


def test_a_window_begins_with_the_first_state_and_an_alarm_ends_it() -> None:
    plant = Plant()
    assert [plant.add(STATE), plant.add(STATE, line="L2"), plant.add(ALARM)] == [
        FlushDue.IN_WINDOW, FlushDue.SCHEDULED, FlushDue.AFTER_COMMIT,
    ]  # fmt: skip
    plant.cohort.end_flush()
    assert plant.add(STATE) is FlushDue.IN_WINDOW


def test_without_a_window_a_state_is_due_at_once() -> None:
    assert Plant(Batching(arrays=True, window_ms=0)).add(STATE) is FlushDue.AFTER_COMMIT


def test_too_many_bytes_do_not_wait() -> None:
    plant = Plant()
    assert plant.add(STATE, size=FLUSH_BYTES) is FlushDue.IN_WINDOW
    assert plant.add(STATE, line="L2", size=1) is FlushDue.BUFFER_FULL


def test_bytes_of_a_replaced_state_do_not_count() -> None:
    plant = Plant()
    plant.add(STATE, size=FLUSH_BYTES)
    assert plant.add(STATE, size=FLUSH_BYTES) is FlushDue.SCHEDULED


def test_a_flush_is_in_the_order_of_the_offsets() -> None:
    plant = Plant()
    for kind, line, size in ((STATE, "L1", 1), (ALARM, "L1", 2), (STATE, "L2", 3), (STATE, "L1", 4)):
        plant.add(kind, line=line, size=size)
    assert [len(text) for text in plant.cohort.waiting_frames().split(b"\x81")[1:]] == [3, 4, 5]


def test_what_waits_is_not_claimed_nor_counted_before_the_flush() -> None:
    plant = Plant()
    plant.add(ALARM)
    plant.cohort.end_flush()
    plant.add(STATE)
    plant.add(STATE)
    assert (plant.cohort.flushed_offset, plant.cohort.ledger.conflated) == (1, Counter())
    plant.cohort.end_flush()
    assert (plant.cohort.flushed_offset, plant.cohort.ledger.conflated) == (3, Counter({STATE: 1}))


def test_nobody_joins_while_events_wait() -> None:
    plant = Plant()
    plant.add(STATE)
    with pytest.raises(AssertionError):
        plant.cohort.join("late", expires_at=0)


@given(st.integers(0, 2**32))
def test_a_membership_counts_exactly_what_was_flushed_in_its_time(seed: int) -> None:
    chance = Random(seed)
    plant = Plant()
    waiting: list[CommittedEvent] = []
    members: list[tuple[Membership[str], Counter[EventType], Counter[EventType]]] = []
    for _ in range(40):
        match chance.randrange(4):
            case 0:
                sent, conflated = _outcomes(waiting)
                plant.cohort.end_flush()
                waiting.clear()
                for _, all_sent, all_conflated in members:
                    all_sent.update(sent)
                    all_conflated.update(conflated)
            case 1 if not waiting:
                members.append((plant.cohort.join(str(len(members)), expires_at=0), Counter(), Counter()))
            case _:
                plant.add(chance.choice((STATE, ALARM)), line=chance.choice(("L1", "L2")))
                waiting.append(plant.feed.pages.after(plant.feed.offset - 1).events[-1])  # type: ignore[union-attr]
        for membership, all_sent, all_conflated in members:
            assert (membership.ledger.sent, membership.ledger.conflated) == (all_sent, all_conflated)


def _outcomes(events: list[CommittedEvent]) -> tuple[Counter[EventType], Counter[EventType]]:
    last = {added.state_key: added.offset for added in events if not added.is_lossless}
    sent = [added for added in events if added.is_lossless or last[added.state_key] == added.offset]
    return Counter(added.type for added in sent), Counter(added.type for added in events if added not in sent)
