"""Stale messages among those that the broker retains, and the publications that clear them."""

import json
from collections.abc import Iterable, Sequence

import pytest

from bridge.domain import retained_scan as retained_module
from bridge.domain.events import Standing
from bridge.domain.messages import Message, PendingAck
from bridge.domain.place import LinePlace
from bridge.domain.publications import PublicationPlan, PublishedState, is_up_to_date
from bridge.domain.records import CommittedEvent, Position, Snapshot
from bridge.domain.retained_scan import RetainedScan
from bridge.domain.stream_status import StreamOwner, status_publication
from tests.domain.test_publications import at, call
from tests.support.journal_samples import event

OWNER = StreamOwner("own", 5)
LINE = ("plant", "packing", "bagger-1")
ANDON_LINE = ("north", "pack", "L1")
LAMP = "north/pack/L1/desk/material"
TOPIC = "plant/packing/bagger-1/_/changeover/changeover_started/medium/c1"


def message(topic: str, payload: bytes, *, retained: bool = True) -> Message:
    return Message(f"r/{topic}", payload, 1, retained, False, PendingAck(1, 1, 1, 1))


def status(owner: StreamOwner = OWNER, *, retained: bool) -> Message:
    status_message = status_publication(
        Position("main", "e", 1), root="r", online=True, ready=True, time=5, simulated=False, owner=owner
    )
    return Message(status_message.topic, status_message.payload, 1, retained, False, PendingAck(1, 1, 1, 1))


def of(stream: str, **more: object) -> bytes:
    return json.dumps({"stream": stream, **more}).encode()


def read(*messages: Message, complete: bool = True) -> RetainedScan:
    scan = RetainedScan("r", stream="main", owner=OWNER)
    for received in (*messages, *([status(retained=True)] if complete else [])):
        assert not scan.add(received)
    return scan


def holding(events: Iterable[CommittedEvent], lamps: Iterable[str] = ()) -> RetainedScan:
    """Return a whole scan of a broker that retains these."""
    return read(
        *(message(f"event/{event.topic}", event.body) for event in events),
        *(message(f"station/{lamp}", b"open") for lamp in lamps),
    )


def published(*events: CommittedEvent) -> PublishedState:
    state = PublishedState("r", retained={}, current=())
    state.confirm(state.plan(events))
    return state


def correct(
    state: PublishedState,
    scan: RetainedScan,
    *,
    current: Sequence[CommittedEvent] = (),
    pending: Sequence[CommittedEvent] = (),
    lines: Iterable[LinePlace] = (LINE, ANDON_LINE),
) -> PublicationPlan:
    return state.plan_corrections(scan, current=current, pending=pending, lines=set(lines))


def cleared(plan: PublicationPlan) -> list[str]:
    return [
        publication.topic.removeprefix("r/event/")
        for publication in plan.publications
        if publication.retain and not publication.payload
    ]


def switched(plan: PublicationPlan) -> list[str]:
    return [
        publication.topic.removeprefix("r/station/")
        for publication in plan.publications
        if publication.payload == b"off"
    ]


def test_a_scan_ends_with_our_own_live_status() -> None:
    scan = RetainedScan("r", stream="main", owner=OWNER)
    assert not scan.add(status(retained=True)), "retained: perhaps of an earlier process"
    assert not scan.add(status(StreamOwner("other", 1), retained=False))
    assert scan.add(status(retained=False))
    assert scan.is_complete


def test_a_scan_without_the_retained_status_is_not_whole() -> None:
    """It is asked for last: a queue that had no room for it had none for others either."""
    scan = RetainedScan("r", stream="main", owner=OWNER)
    scan.add(message(f"event/{TOPIC}", of("main")))
    assert scan.add(status(retained=False))
    assert not scan.is_complete
    assert scan.filters[-1] == "r/bridge/main"


@pytest.mark.parametrize(
    "payload", [of("other"), b"", b"{", b"[]", b"\xff\xfe", b'{"stream": 5}', b"1", b'{"no": "main"}']
)
def test_retained_messages_of_other_streams_are_kept(payload: bytes) -> None:
    assert read(message(f"event/{TOPIC}", payload)).events == {}


@pytest.mark.parametrize("topic", ["event/a", f"event/{TOPIC}/more", "event/", "station/a/b", "station/a/b/c/d/e/f"])
def test_topics_of_another_shape_are_left_alone(topic: str) -> None:
    scan = read(message(topic, of("main")), message(topic, b"open"))
    assert (scan.events, scan.lit_lamps) == ({}, {})


def test_messages_published_during_the_audit_are_not_counted() -> None:
    scan = read(message(f"event/{TOPIC}", of("main"), retained=False))
    assert (scan.events, scan.messages) == ({}, 0)


def test_a_scan_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retained_module, "MAX_MESSAGES", 2)
    scan = RetainedScan("r", stream="main", owner=OWNER)
    assert not scan.add(message(f"event/{TOPIC}1", of("main")))
    assert scan.add(message(f"event/{TOPIC}2", of("main")))
    assert scan.stop_reason == "more than 2 retained messages"
    monkeypatch.setattr(retained_module, "MAX_BYTES", 100)
    scan = RetainedScan("r", stream="main", owner=OWNER)
    assert scan.add(message(f"event/{TOPIC}", of("other", more="x" * 100)))
    assert scan.stop_reason == "more than 100 bytes retained"


def test_event_that_the_journal_does_not_know_is_cleared() -> None:
    current, stale = at(1, event("a")), at(2, event("b"))
    plan = correct(published(current), holding([current, stale]), current=[current])
    assert cleared(plan) == [stale.topic.text]
    assert plan.retained == {}


def test_event_of_another_epoch_on_a_current_topic_is_restored_not_cleared() -> None:
    current = at(1, event("a"))
    scan = read(message(f"event/{current.topic}", of("main", epoch="older")))
    assert cleared(correct(published(current), scan, current=[current])) == []


def test_earlier_topic_of_a_subject_is_cleared() -> None:
    """Its priority moved it; a broker's older memory brought it back."""
    current = at(2, call("c1", "open"))
    earlier = current.topic.text.replace("/high/", "/low/")
    scan = read(message(f"event/{current.topic}", current.body), message(f"event/{earlier}", current.body))
    assert cleared(correct(published(current), scan, current=[current])) == [earlier]


def test_event_that_is_still_to_be_published_is_not_cleared() -> None:
    """After a crash before the mark the broker has events that will be published again."""
    coming = at(1, event("a"))
    assert cleared(correct(published(), holding([coming]), current=[coming], pending=[coming])) == []


def test_topic_that_a_pending_event_will_clear_is_left_to_it() -> None:
    """So that no subscriber is without the state in between."""
    before, after = at(1, event("a")), at(2, event("a", standing=Standing.CLOSED))
    state = published(before)
    plan = correct(state, holding([before]), pending=[after])
    assert cleared(plan) == []
    assert cleared(state.plan([after])) == [before.topic.text]


def test_closed_before_and_pending_again_elsewhere_is_cleared() -> None:
    older, closing = at(1, event("a")), at(9, event("a", standing=Standing.CLOSED))
    stale = older.topic.text.replace("/medium/", "/low/")
    scan = read(message(f"event/{stale}", older.body))
    assert cleared(correct(published(older), scan, pending=[closing])) == [stale]


def test_retired_topic_is_cleared_and_forgotten() -> None:
    """Its line left the plant file: it is no longer current, and no event will ever clear it."""
    retired = at(1, event("a"))
    state = published(retired)
    plan = correct(state, holding([retired]), lines=())
    assert cleared(plan) == [retired.topic.text]
    assert plan.retained == {retired.state_key: None}
    state.confirm(plan)
    assert correct(state, read()).retained == {}


def test_retired_topic_that_another_stream_has_now_is_forgotten_only() -> None:
    retired = at(1, event("a"))
    scan = read(message(f"event/{retired.topic}", of("other")))
    plan = correct(published(retired), scan, lines=())
    assert (cleared(plan), plan.retained) == ([], {retired.state_key: None})


@pytest.mark.parametrize("complete", [False, True])
def test_retired_topic_that_was_not_seen_is_cleared_all_the_same(*, complete: bool) -> None:
    """It may have been published while the broker was read."""
    retired = at(1, event("a"))
    plan = correct(published(retired), read(complete=complete))
    assert (cleared(plan), plan.retained) == ([retired.topic.text], {retired.state_key: None})


def test_lamp_without_a_call_is_switched_off() -> None:
    lit = at(1, call("c1", "open"))
    other = LAMP.replace("material", "quality")
    plan = correct(published(lit), holding([lit], [LAMP, other]), current=[lit])
    assert switched(plan) == [other]


def test_lamp_of_an_ended_call_is_switched_off_and_known_as_off() -> None:
    opened, ended = at(1, call("c1", "open")), at(2, call("c1", "resolved", standing=Standing.CLOSED))
    state = published(opened, ended)
    plan = correct(state, holding([], [LAMP]))
    assert switched(plan) == [LAMP]
    state.confirm(plan)
    again = at(3, call("c2", "open"))
    assert (f"r/station/{LAMP}", b"open") in [(p.topic, p.payload) for p in state.plan([again]).publications]


def test_lamp_of_a_call_still_to_be_published_stays_lit() -> None:
    coming = at(1, call("c1", "open"))
    assert switched(correct(published(), holding([coming], [LAMP]), current=[coming], pending=[coming])) == []


def test_lamp_of_another_plants_line_is_left_alone() -> None:
    assert switched(correct(published(), holding([], [LAMP]), lines=[LINE])) == []


def test_lamp_of_a_line_that_left_the_plant_is_switched_off() -> None:
    stale = at(1, call("c1", "open"))
    assert switched(correct(published(), holding([stale], [LAMP]), lines=[LINE])) == [LAMP]


def test_lamp_of_a_line_that_another_stream_took_over_is_left_alone() -> None:
    stale = at(1, call("c1", "open"))
    theirs = stale.topic.text.replace("c1", "c2")
    scan = read(
        message(f"event/{stale.topic}", stale.body),
        message(f"event/{theirs}", of("other")),
        message(f"station/{LAMP}", b"open"),
    )
    plan = correct(published(), scan, lines=[LINE])
    assert (cleared(plan), switched(plan)) == ([stale.topic.text], [])


def test_lamp_that_is_off_or_unknown_is_left_alone() -> None:
    scan = read(message(f"station/{LAMP}", b"off"), message(f"station/{LAMP}2", b"blinking"))
    assert switched(correct(published(), scan)) == []


def test_a_restored_event_that_was_not_published_is_missing() -> None:
    a, lit, closed = at(1, event("a")), at(2, call("c1", "open")), at(3, event("b"))
    state = published(a, lit, closed)
    restored = state.restore_publications([a, lit, closed])
    state.confirm(state.plan([at(4, event("b", standing=Standing.CLOSED))]))
    assert state.find_missing(restored, holding([a, lit], [LAMP])) == []
    assert state.find_missing(restored, holding([a])) == [f"r/event/{lit.topic}", f"r/station/{LAMP}"]


def test_line_of_either_topic_is_its_first_three_levels() -> None:
    scan = read(message(f"event/{TOPIC}", of("main")), message(f"station/{LAMP}", b"open"))
    assert (scan.events, scan.lit_lamps) == ({TOPIC: LINE}, {LAMP: ANDON_LINE})


def snapshot(offset: int, *current: CommittedEvent) -> Snapshot:
    return Snapshot(Position("main", "e", offset), current)


def test_far_behind_nothing_can_be_judged() -> None:
    assert not is_up_to_date(snapshot(9), [at(8, event("a"))])
    assert is_up_to_date(snapshot(9), [])
    assert is_up_to_date(snapshot(9), [at(8, event("a", standing=Standing.CLOSED)), at(10, event("b"))])


def test_retired_event_that_is_still_to_be_published_is_waited_for() -> None:
    """It will be retained when it goes out, and no later event clears it."""
    retired = at(9, event("a"))
    assert not is_up_to_date(snapshot(9), [retired])
    assert not is_up_to_date(snapshot(10), [retired, at(10, event("a", standing=Standing.HISTORY))])
    assert is_up_to_date(snapshot(9, retired), [retired])
    assert is_up_to_date(snapshot(10), [retired, at(10, event("a", standing=Standing.CLOSED))])
