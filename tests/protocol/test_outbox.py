"""The outbox against an oracle that keeps every event it was ever offered and what became of it."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge.domain.event_topic import EventTopic
from bridge.domain.events import CATEGORY_OF, CONFLATED_TYPES, EventType, Standing
from bridge.domain.records import EVENT_OVERHEAD_BYTES, CommittedEvent
from bridge.protocol.outbox import CONFLATED_OVERHEAD_BYTES, Outbox

MAX_EVENTS = 6
MAX_BYTES = 6 * (EVENT_OVERHEAD_BYTES + 60)
TYPES = [EventType.ANDON_EVENT, EventType.JOB_STARTED, EventType.OEE_UPDATE, EventType.LINE_STATUS_UPDATE]
OFFER = st.tuples(st.sampled_from(TYPES), st.sampled_from(["L1", "L2"]), st.integers(1, 120))


def event(offset: int, kind: EventType = EventType.ANDON_EVENT, *, line: str = "L1", size: int = 10) -> CommittedEvent:
    return CommittedEvent(
        offset=offset,
        id=f"s:e:{offset}",
        topic=EventTopic.parse(f"S/A/{line}/_/{CATEGORY_OF[kind]}/{kind}/high/x"),
        standing=Standing.CURRENT,
        timestamp=offset,
        audience=(),
        body=b"x" * size,
    )


def box() -> Outbox:
    return Outbox(max_events=MAX_EVENTS, max_bytes=MAX_BYTES)


def offsets(events: list[CommittedEvent]) -> list[int]:
    return [event.offset for event in events]


@dataclass
class EventFate:
    event: CommittedEvent
    became: str = "pending"


@dataclass
class OutboxOracle:
    fates: list[EventFate] = field(default_factory=list)

    def waiting(self) -> list[EventFate]:
        return [fate for fate in self.fates if fate.became == "pending"]

    def tally(self, became: str | None) -> Counter[EventType]:
        return Counter(fate.event.type for fate in self.fates if became in (None, fate.became))


class OutboxAgainstOracle(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.outbox = box()
        self.oracle = OutboxOracle()
        self.flying: list[EventFate] = []
        self.offset = 0
        self.spilled = Counter[EventType]()
        self.totals: dict[str, Counter[EventType]] = {}

    @rule(offers=st.lists(OFFER, min_size=1, max_size=6))
    def offer(self, offers: list[tuple[EventType, str, int]]) -> None:
        for kind, line, size in offers:
            self.offset += 1
            self._offer(event(self.offset, kind, line=line, size=size))

    def _offer(self, new: CommittedEvent) -> None:
        for fate in self.oracle.waiting():
            same = fate.event.state_key == new.state_key and fate.event.type in CONFLATED_TYPES
            if same and new.type in CONFLATED_TYPES and fate not in self.flying:
                fate.became = "conflated"
        self.oracle.fates.append(EventFate(new))
        self.outbox.offer(new)

    @rule(
        max_events=st.integers(1, 5),
        max_bytes=st.integers(1, 200),
        back=st.one_of(st.none(), st.integers(0, 6)),
        lossless_only=st.booleans(),
    )
    def take(self, max_events: int, max_bytes: int, back: int | None, *, lossless_only: bool) -> None:
        self.outbox.mark_sent()
        for fate in self.flying:
            fate.became = "sent"
        up_to = None if back is None else self.offset - back
        due = [fate for fate in self.oracle.waiting() if up_to is None or fate.event.offset <= up_to]
        if lossless_only:
            due = [fate for fate in due if fate.event.type not in CONFLATED_TYPES]
        self.flying, size = [], 0
        for fate in due[:max_events]:
            size += len(fate.event.body)
            if self.flying and size > max_bytes:
                break
            self.flying.append(fate)
        batch = self.outbox.take(max_events=max_events, max_bytes=max_bytes, up_to=up_to, lossless_only=lossless_only)
        assert offsets(batch) == [fate.event.offset for fate in self.flying]

    @rule()
    def confirm(self) -> None:
        self.outbox.mark_sent()
        for fate in self.flying:
            fate.became = "sent"
        self.flying = []

    @rule(line=st.sampled_from(["L1", "L2"]))
    def revoke(self, line: str) -> None:
        self.outbox.revoke(lambda event: event.state_key[2] != line)
        for fate in self.oracle.waiting():
            if fate.event.state_key[2] == line and fate not in self.flying:
                fate.became = "revoked"

    @rule()
    def pull(self) -> None:
        waiting = [fate for fate in self.oracle.waiting() if fate not in self.flying]
        expected = waiting[0].event.offset - 1 if waiting else None
        assert self.outbox.spill() == expected
        if expected is None:
            return
        again = [fate for fate in self.oracle.fates if fate.event.offset > expected and self.waits_again(fate)]
        self.spilled.update(fate.event.type for fate in again if fate.became == "pending")
        # As the journal gives them again, they are offered again: each is counted once.
        self.oracle.fates = [fate for fate in self.oracle.fates if fate not in again]
        for fate in again:
            self._offer(fate.event)

    def waits_again(self, fate: EventFate) -> bool:
        return fate not in self.flying and fate.became in ("pending", "conflated")

    @rule()
    def abandon(self) -> None:
        self.outbox.abandon()
        for fate in self.oracle.waiting():
            fate.became = "abandoned"
        self.flying = []

    @invariant()
    def the_books_agree(self) -> None:
        ledger = self.outbox.ledger
        assert ledger.is_balanced()
        assert +ledger.matched == self.oracle.tally(None)
        assert +ledger.sent == self.oracle.tally("sent")
        assert +ledger.conflated == self.oracle.tally("conflated")
        assert +ledger.revoked == self.oracle.tally("revoked")
        assert +ledger.abandoned == self.oracle.tally("abandoned")
        assert +ledger.pending == self.oracle.tally("pending")
        assert self.outbox.ledger.spilled == self.spilled

    @invariant()
    def totals_never_fall_and_add_up(self) -> None:
        totals = {name: Counter(tally) for name, tally in self.outbox.ledger.totals().items()}
        assert all(tally <= totals[name] for name, tally in self.totals.items())
        outcomes = Counter(self.outbox.ledger.pending)
        for name in totals.keys() - {"matched"}:
            outcomes.update(totals[name])
        assert +outcomes == totals["matched"]
        self.totals = totals

    @invariant()
    def pending_events_are_accounted(self) -> None:
        waiting = [fate.event for fate in self.oracle.waiting() if fate not in self.flying]
        assert len(self.outbox) == len(waiting)
        charged = sum(event.memory_bytes for event in waiting)
        notes = self.outbox.bytes - charged
        assert 0 <= notes <= CONFLATED_OVERHEAD_BYTES * sum(self.oracle.tally("conflated").values())
        assert waiting or not notes
        assert self.outbox.first_offset() == (waiting[0].offset if waiting else None)
        lossless = [event for event in waiting if event.type not in CONFLATED_TYPES]
        assert self.outbox.is_over_limit == (len(lossless) > MAX_EVENTS or self.outbox.bytes > MAX_BYTES)


OutboxAgainstOracle.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestOutboxAgainstOracle = OutboxAgainstOracle.TestCase


def test_latest_wins_types_keep_one_per_state_key_in_the_place_of_the_latest() -> None:
    outbox = box()
    outbox.offer(event(1, EventType.OEE_UPDATE))
    outbox.offer(event(2))
    outbox.offer(event(3, EventType.OEE_UPDATE))
    assert offsets(outbox.take(max_events=10, max_bytes=1_000)) == [2, 3]


def test_a_lossless_event_is_never_conflated() -> None:
    outbox = box()
    for offset in range(1, 5):
        outbox.offer(event(offset))
    assert offsets(outbox.take(max_events=10, max_bytes=1_000)) == [1, 2, 3, 4]


def test_an_event_being_sent_is_not_conflated() -> None:
    outbox = box()
    outbox.offer(event(1, EventType.OEE_UPDATE))
    assert offsets(outbox.take(max_events=10, max_bytes=1_000)) == [1]
    outbox.offer(event(2, EventType.OEE_UPDATE))
    outbox.mark_sent()
    assert offsets(outbox.take(max_events=10, max_bytes=1_000)) == [2]
    assert not outbox.ledger.conflated


def test_an_event_larger_than_the_batch_is_still_taken() -> None:
    outbox = box()
    outbox.offer(event(1, size=5_000))
    assert offsets(outbox.take(max_events=10, max_bytes=1_000)) == [1]


def test_the_ledgers_of_several_dashboards_add_up() -> None:
    first, second = box(), box()
    first.offer(event(1))
    second.offer(event(1))
    second.abandon()
    first.ledger.add(second.ledger)
    assert first.ledger.is_balanced()
    assert first.ledger.as_data()["matched"] == {"andon_event": 2}
    assert first.ledger.as_data()["abandoned"] == {"andon_event": 1}
