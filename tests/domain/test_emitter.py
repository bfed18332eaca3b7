"""The emitter: revisions counted per subject, priorities held for its life, across restarts and within a bound."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.emitter import CLOSED_SUBJECTS, Emitter, Subjects
from bridge.domain.event_data import Changeover, EventData, Job, Person, Quality
from bridge.domain.events import DataQuality, Event, EventType, Priority, Standing
from bridge.domain.place import Place
from bridge.domain.reports import Actor, Moment
from tests.support.one_line_plant import from_checkpoint

LINE: Final = Place("north", "pack", "L1")
JOB: Final = Job(job_id="J", product="p", status="assigned", target_quantity=1)
CHANGEOVER: Final = Changeover(changeover_id="c", to_product="p", started_at="t", signalled_at="t")
DATA: Final = Quality(
    alert_id="a", parameter="weight", rule="limit", value=1.0, unit="g", severity="low", status="active"
)
DATA_OF_TYPE: Final[dict[EventType, EventData]] = {
    EventType.QUALITY_ALERT: DATA,
    EventType.JOB_ASSIGNED: JOB,
    EventType.JOB_STARTED: JOB,
    EventType.CHANGEOVER_STARTED: CHANGEOVER,
}


def emit(
    emitter: Emitter,
    subject: str = "S1",
    *,
    standing: Standing = Standing.CURRENT,
    equipment: str | None = None,
    priority: Priority = Priority.LOW,
    kind: EventType = EventType.QUALITY_ALERT,
) -> Event:
    emitter.emit(
        kind,
        DATA_OF_TYPE[kind],
        moment=Moment(at=1_000),
        equipment=equipment,
        subject=subject,
        priority=priority,
        standing=standing,
    )
    (event,) = emitter.drain()
    return event


def test_an_event_is_printed_with_time_place_and_cause() -> None:
    emitter = Emitter(LINE, Subjects())
    moment = Moment(
        at=1_000,
        received_at=2_000,
        caused_by=("input:7",),
        clock="skewed",
        gap=3,
        actor=Actor("mia", ("quality",), ("+",)),
    )
    emitter.emit(
        EventType.QUALITY_ALERT,
        DATA,
        moment=moment,
        equipment="BAG1",
        subject="S1",
        priority=Priority.HIGH,
        standing=Standing.HISTORY,
        estimated=True,
        stale=True,
    )
    (event,) = emitter.drain()
    assert event == Event(
        type=EventType.QUALITY_ALERT,
        place=LINE.with_equipment("BAG1"),
        subject="S1",
        priority=Priority.HIGH,
        revision=1,
        timestamp=1_000,
        data=DATA,
        standing=Standing.HISTORY,
        received_at=2_000,
        caused_by=("input:7",),
        quality=DataQuality(clock="skewed", estimated=True, stale=True, historical=True, gap=3),
    )
    assert moment.person == Person("mia")


def test_draining_hands_over_in_order_and_starts_again() -> None:
    emitter = Emitter(LINE, Subjects())
    for subject in ("S2", "S1"):
        emitter.emit(
            EventType.QUALITY_ALERT,
            DATA,
            moment=Moment(at=0),
            equipment=None,
            subject=subject,
            priority=Priority.LOW,
            standing=Standing.CURRENT,
        )
    assert [event.subject for event in emitter.drain()] == ["S2", "S1"]
    assert emitter.drain() == ()


def test_a_subject_is_apart_by_equipment_and_category_but_not_by_type() -> None:
    emitter = Emitter(LINE, Subjects())
    assert emit(emitter, kind=EventType.JOB_ASSIGNED).revision == 1
    assert emit(emitter, kind=EventType.JOB_STARTED).revision == 2
    assert emit(emitter, kind=EventType.CHANGEOVER_STARTED).revision == 1
    assert emit(emitter, kind=EventType.JOB_STARTED, equipment="BAG1").revision == 1


def test_data_of_another_event_type_is_refused() -> None:
    emitter = Emitter(LINE, Subjects())
    with pytest.raises(AssertionError, match="job_started with data of another type"):
        emitter.emit(
            EventType.JOB_STARTED,
            DATA,
            moment=Moment(at=1_000),
            equipment=None,
            subject="S1",
            priority=Priority.LOW,
            standing=Standing.CURRENT,
        )


def test_the_first_priority_of_a_subject_stays_its_priority() -> None:
    emitter = Emitter(LINE, Subjects())
    emit(emitter, priority=Priority.MEDIUM)
    assert emit(emitter, priority=Priority.HIGH).priority is Priority.MEDIUM
    assert emit(emitter, priority=Priority.HIGH, standing=Standing.CLOSED).priority is Priority.MEDIUM
    assert emit(emitter, priority=Priority.HIGH, standing=Standing.HISTORY).priority is Priority.MEDIUM


def test_history_neither_ends_a_current_subject_nor_revives_a_closed_one() -> None:
    subjects = Subjects()
    emitter = Emitter(LINE, subjects)
    emit(emitter, "open")
    emit(emitter, "open", standing=Standing.HISTORY)
    emit(emitter, "shut", standing=Standing.CLOSED)
    emit(emitter, "shut", standing=Standing.HISTORY)
    assert list(subjects.current) == ["_/quality/open"]
    assert list(subjects.closed) == ["_/quality/shut"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(Standing)), max_size=40))
def test_revisions_count_every_event_of_a_subject_across_restarts(steps: list[tuple[str, Standing]]) -> None:
    subjects = Subjects()
    revisions: dict[str, int] = {}
    for subject, standing in steps:
        event = emit(Emitter(LINE, subjects), subject, standing=standing)
        revisions[subject] = revisions.get(subject, 0) + 1
        assert event.revision == revisions[subject]
        assert not subjects.current.keys() & subjects.closed.keys()
        subjects = from_checkpoint(subjects)


def test_closed_subjects_are_bounded_and_the_latest_touched_stay() -> None:
    subjects = Subjects()
    emitter = Emitter(LINE, subjects)
    for number in range(CLOSED_SUBJECTS):
        emit(emitter, f"S{number}", standing=Standing.CLOSED)
    emit(emitter, "S0", standing=Standing.HISTORY)
    emit(emitter, "one more", standing=Standing.CLOSED)
    assert len(subjects.closed) == CLOSED_SUBJECTS
    assert emit(emitter, "S0", standing=Standing.HISTORY).revision == 3
    assert emit(emitter, "S1", standing=Standing.HISTORY).revision == 1
