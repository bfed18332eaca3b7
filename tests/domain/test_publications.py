"""Publications of events, and the messages retained afterwards. Source: design.md, «Message flow»."""

from bridge.domain import event_data
from bridge.domain.envelope import position_event
from bridge.domain.events import Event, EventType, Priority, Standing
from bridge.domain.messages import Publication
from bridge.domain.place import Place
from bridge.domain.publications import PublishedState
from bridge.domain.records import CommittedEvent
from bridge.domain.retained_scan import RetainedScan
from bridge.domain.stream_status import StreamOwner
from bridge.domain.utc_time import rfc3339
from tests.support.journal_samples import NOON, event

C, S = Standing.CURRENT, Standing.CLOSED
OWNER = StreamOwner("own", 5)


def at(offset: int, event: Event) -> CommittedEvent:
    return position_event(event, stream="main", epoch="e", offset=offset)


def call(
    call_id: str, status: event_data.CallStatus, *, standing: Standing = Standing.CURRENT, station: str | None = "desk"
) -> Event:
    return Event(
        type=EventType.ANDON_EVENT,
        place=Place("north", "pack", "L1", "desk"),
        subject=call_id,
        priority=Priority.HIGH,
        revision=1,
        timestamp=NOON,
        data=event_data.Andon(
            call_id=call_id,
            andon_type="material",
            priority="high",
            status=status,
            raised_at=rfc3339(NOON),
            raised_by=None,
            escalation_level=0,
            repeat=0,
            auto_generated=False,
            station_id=station,
        ),
        standing=standing,
    )


class Broker:
    """Keeps what a broker retains."""

    def __init__(self) -> None:
        self.retained: dict[str, bytes] = {}
        self.lamps: list[str] = []

    def take(self, publications: tuple[Publication, ...] | list[Publication]) -> None:
        for publication in publications:
            if "/station/" in publication.topic:
                self.lamps.append(publication.payload.decode())
            if publication.retain and publication.payload:
                self.retained[publication.topic] = publication.payload
            elif publication.retain:
                self.retained.pop(publication.topic, None)


def empty() -> PublishedState:
    return PublishedState("r", retained={}, current=())


def test_current_is_retained_and_closed_clears_after_it() -> None:
    state, broker = empty(), Broker()
    opened, closed = at(1, event("a", standing=C)), at(2, event("a", standing=S))
    plan = state.plan([opened])
    broker.take(plan.publications)
    state.confirm(plan)
    assert broker.retained == {f"r/event/{opened.topic}": opened.body}
    plan = state.plan([closed])
    assert [(publication.payload, publication.retain) for publication in plan.publications] == [
        (closed.body, False),
        (b"", True),
    ]
    broker.take(plan.publications)
    assert broker.retained == {}


def test_events_published_during_the_audit_are_cleared_once_not_current() -> None:
    """The line left the plant file: its last events are of before, and came too late for the reading."""
    state, broker = empty(), Broker()
    plan = state.plan([at(1, event("a", standing=C))])
    broker.take(plan.publications)
    state.confirm(plan)
    nothing_read = RetainedScan("r", stream="main", owner=OWNER)
    plan = state.plan_corrections(nothing_read, current=(), pending=(), lines=())
    broker.take(plan.publications)
    assert broker.retained == {}


def test_topic_that_changes_is_cleared_after_the_new_one() -> None:
    state = empty()
    started = at(1, event("a"))
    completed = at(2, event("a", event_type=EventType.CHANGEOVER_COMPLETED))
    state.confirm(state.plan([started]))
    assert [(publication.topic, publication.payload) for publication in state.plan([completed]).publications] == [
        (f"r/event/{completed.topic}", completed.body),
        (f"r/event/{started.topic}", b""),
    ]


def test_history_changes_nothing_retained() -> None:
    state = empty()
    state.confirm(state.plan([at(1, event("a"))]))
    plan = state.plan([at(2, event("a", standing=Standing.HISTORY))])
    assert [publication.retain for publication in plan.publications] == [False]
    assert plan.retained == {}


def test_a_plan_that_was_not_executed_is_planned_again_equally() -> None:
    state = empty()
    events = [at(1, event("a")), at(2, event("a", standing=S)), at(3, event("a"))]
    assert state.plan(events) == state.plan(events)


def test_one_plan_knows_what_it_does_itself() -> None:
    state, broker = empty(), Broker()
    broker.take(state.plan([at(1, event("a")), at(2, event("a", standing=S)), at(3, event("b"))]).publications)
    assert [topic.rsplit("/", 1)[1] for topic in broker.retained] == ["b"]


def test_lamp_follows_the_call() -> None:
    state, broker = empty(), Broker()
    broker.take(
        state.plan(
            [
                at(1, call("c1", "open")),
                at(2, call("c1", "open")),
                at(3, call("c1", "acknowledged")),
                at(4, call("c1", "resolved", standing=S)),
            ]
        ).publications
    )
    assert broker.lamps == ["open", "acknowledged", "off"]
    assert broker.retained == {"r/station/north/pack/L1/desk/material": b"off"}


def test_call_without_a_station_lights_no_lamp() -> None:
    broker = Broker()
    broker.take(empty().plan([at(1, call("c1", "open", station=None))]).publications)
    assert broker.lamps == []


def test_revision_of_an_ended_call_leaves_the_next_one_lit() -> None:
    state, broker = empty(), Broker()
    events = [
        at(1, call("c1", "resolved", standing=S)),
        at(2, call("c2", "open")),
        at(3, call("c1", "resolved", standing=S)),
    ]
    broker.take(state.plan(events).publications)
    assert broker.lamps == ["off", "open"]


def test_restore_publishes_what_is_published_and_current_and_clears_nothing() -> None:
    state = empty()
    a, b, lit = at(1, event("a")), at(2, event("b")), at(3, call("c1", "open"))
    state.confirm(state.plan([a, b, lit]))
    broker = Broker()
    broker.take(state.restore_publications([a, lit, at(4, event("not yet published"))]))
    assert broker.retained == {
        f"r/event/{a.topic}": a.body,
        f"r/event/{lit.topic}": lit.body,
        "r/station/north/pack/L1/desk/material": b"open",
    }


def test_lamps_are_known_again_from_the_current_calls() -> None:
    lit = at(1, call("c1", "acknowledged"))
    again = PublishedState("r", retained={lit.state_key: lit.topic}, current=[lit])
    broker = Broker()
    broker.take(again.restore_publications([lit]))
    assert broker.retained["r/station/north/pack/L1/desk/material"] == b"acknowledged"
