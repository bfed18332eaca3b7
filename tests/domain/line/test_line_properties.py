"""Properties of a line: events do not depend on the ticks, and a restored checkpoint continues alike."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.envelope import encode_event
from bridge.domain.event_topic import EventTopic
from bridge.domain.events import Event, Standing
from bridge.domain.line.floor import Floor
from bridge.domain.line.line import Line
from bridge.domain.place import Place
from bridge.domain.reports import (
    Effect,
    Report,
)
from tests.domain.line.chaos import PLANTS, BufferingChaos, Chaos, new_line, play
from tests.support.packing_line import line_spec, state_of


@given(seed=st.integers(0, 2**32), which=st.integers(0, 1), ticks=st.lists(st.floats(0, 1), max_size=3))
@settings(max_examples=25, deadline=None)
def test_ticks_in_between_change_nothing(seed: int, which: int, ticks: list[float]) -> None:
    reports = Chaos(seed).reports(50)
    plain, ticked = play(new_line(which), reports, []), play(new_line(which), reports, ticks)
    assert ticked == plain


@given(seed=st.integers(0, 2**32), which=st.integers(0, 1), cut=st.integers(0, 50))
@settings(max_examples=25, deadline=None)
def test_a_restored_line_continues_as_if_nothing_had_happened(seed: int, which: int, cut: int) -> None:
    reports = Chaos(seed).reports(50)
    one = new_line(which)
    expected = play(one, reports, [])
    other = new_line(which)
    actual = play(other, reports[:cut], [])
    other = Line.restore(PLANTS[which], PLANTS[which].lines[0], other.checkpoint())
    actual += play(other, reports[cut:], [], before=reports[cut - 1].received_at if cut else None)
    assert actual == expected
    assert other.next_deadline() == one.next_deadline()


@given(
    seed=st.integers(0, 2**32),
    which=st.integers(2, 3),
    ticks=st.lists(st.floats(0, 1), max_size=3),
    cut=st.integers(0, 80),
)
@settings(max_examples=50, deadline=None)
def test_absences_of_devices_are_the_same_however_often_it_is_ticked_or_restored(
    seed: int, which: int, ticks: list[float], cut: int
) -> None:
    reports = BufferingChaos(seed).reports(80)
    plain = new_line(which)
    expected = play(plain, reports, [])
    line = new_line(which)
    actual = play(line, reports[:cut], ticks)
    line = Line.restore(PLANTS[which], PLANTS[which].lines[0], line.checkpoint())
    actual += play(line, reports[cut:], ticks, before=reports[cut - 1].received_at if cut else None)
    assert actual == expected
    assert line.next_deadline() == plain.next_deadline()
    assert sum(record.end is None for record in state_of(line).absences.records) <= len(BufferingChaos(0).numbers) + 2


def test_the_state_of_a_line_whose_devices_are_lost_again_and_again_is_bounded() -> None:
    line = new_line(2)
    play(line, BufferingChaos(5).reports(3_000), [])
    assert state_of(line).absences.records
    assert largest(msgspec.msgpack.decode(line.checkpoint())) <= 500
    assert len(line.checkpoint()) < 250_000


@given(seed=st.integers(0, 2**32), which=st.integers(0, 1))
@settings(max_examples=25, deadline=None)
def test_every_event_is_sound(seed: int, which: int) -> None:
    """Encodable, never dated backwards, revisions without holes, deadlines without a cause, reports with one."""
    line = new_line(which)
    revisions: dict[tuple[str, ...], int] = {}
    latest = 0
    for report in Chaos(seed).reports(80):
        outcome = line.apply(report, report.received_at)
        for index, event in enumerate(outcome.events):
            assert encode_event(event, stream="s", epoch="e", offset=1)
            assert event.timestamp >= latest
            latest = event.timestamp
            key = EventTopic.from_event(event).state_key
            assert event.revision == revisions.get(key, 0) + 1
            revisions[key] = event.revision
            of_deadline = index < outcome.deadline_events
            assert event.caused_by == (() if of_deadline else (report.cause,))
            assert event.received_at == (None if of_deadline else report.received_at)
        if outcome.disposition.effect is Effect.QUARANTINED:
            assert len(outcome.events) == outcome.deadline_events
    line.tick(report.received_at)  # a report about the past may leave something due at once
    deadline = line.next_deadline()
    assert deadline is None or deadline > report.received_at


def largest(state: object) -> int:
    """Return the length of the largest container in a state."""
    inner = list(state.values()) if isinstance(state, dict) else state
    if not isinstance(inner, list):
        return 0
    return max([len(inner), *map(largest, inner)])


def test_the_state_of_a_line_is_bounded() -> None:
    line, chaos = new_line(1), Chaos(7)
    play(line, chaos.reports(2_000), [])
    assert largest(msgspec.msgpack.decode(line.checkpoint())) <= 500
    assert len(line.checkpoint()) < 250_000


def test_a_closed_subject_is_never_current_again_without_a_new_event() -> None:
    """The current subjects of the emitter are those that a consumer of the standings derives."""
    line = new_line(0)
    current: set[tuple[str, ...]] = set()
    for event in play(line, Chaos(11).reports(800), []):
        key = EventTopic.from_event(event).state_key
        if event.standing is Standing.CURRENT:
            current.add(key)
        elif event.standing is Standing.CLOSED:
            current.discard(key)
    subjects = state_of(line).subjects.current
    assert {"/".join(key[3:]) for key in current} == set(subjects)


def test_a_floor_gives_each_line_what_it_would_get_alone() -> None:
    specs = [line_spec(id=name) for name in ("L1", "L2")]
    both = PLANTS[0].model_copy(update={"lines": tuple(specs)})
    floor, alone = Floor(both), Line(both, specs[0])
    mine = Chaos(3).reports(200)
    collected: list[Event] = []
    for report in mine:
        for _, events in floor.tick(report.received_at):
            collected += events
        collected += floor.apply(report, report.received_at).events
        twin = Report(
            place=Place("north", "pack", "L2", report.place.equipment),
            body=report.body,
            received_at=report.received_at,
            cause=report.cause,
        )
        collected += floor.apply(twin, report.received_at).events
    alone_events = play(alone, mine, [], always_watched=True)
    assert [event for event in collected if event.place.line == "L1"] == alone_events
