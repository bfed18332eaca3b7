"""Andon calls: one open call per equipment and type, pressed again, called automatically, kept within bounds."""

from typing import Final

import msgspec
import pytest

from bridge.domain.event_data import Andon, AndonType, CallPriority, Escalation
from bridge.domain.events import EventType, Priority
from bridge.domain.line.andon.call_matching import CallRequest
from bridge.domain.line.andon.call_registry import MAX_FINAL_CALLS
from bridge.domain.reports import APPLIED, Actor, AndonReport, Disposition, Moment, rejected, suppressed
from bridge.domain.utc_time import Millis
from tests.domain.line.andon.andon_line import MAINTAINER, PLANT, SECOND, START, AndonLine

ANY_TWO: Final[tuple[AndonType, AndonType]] = ("equipment", "quality")


def test_a_raise_reports_the_call_and_its_escalation_at_level_0() -> None:
    line = AndonLine()
    line.apply(AndonReport(action="raise", andon_type="safety", description="guard open"), equipment="ST2")
    call, escalation = line.new_events()
    assert (call.type, call.subject, call.place.equipment, call.priority) == (
        EventType.ANDON_EVENT,
        "L1.call.1",
        "ST2",
        Priority.CRITICAL,
    )
    assert isinstance(call.data, Andon)
    assert (call.data.status, call.data.station_id, call.data.description) == ("open", "ST2", "guard open")
    assert (escalation.type, escalation.subject) == (EventType.ESCALATION_UPDATE, "L1.esc.1")
    assert isinstance(escalation.data, Escalation)
    assert (escalation.data.level, escalation.data.cause, escalation.data.minutes_remaining) == (0, None, 2.0)
    assert set(escalation.audience) == {*PLANT.responders["safety"], "team_leader"}


@pytest.mark.parametrize(
    ("andon_type", "priority"),
    [
        ("safety", "critical"),
        ("stop", "critical"),
        ("quality", "high"),
        ("equipment", "high"),
        ("maintenance", "medium"),
        ("material", "medium"),
        ("process", "medium"),
        ("changeover", "medium"),
    ],
)
def test_a_call_has_its_types_priority_unless_it_names_one(andon_type: AndonType, priority: CallPriority) -> None:
    line = AndonLine()
    line.apply(AndonReport(action="raise", andon_type=andon_type))
    assert {event.priority for event in line.new_events()} == {Priority(priority)}
    line.apply(AndonReport(action="raise", andon_type=andon_type, priority="low"), equipment="ST2", at=START)
    assert {event.priority for event in line.new_events()} == {Priority.LOW}


def test_a_machine_that_is_no_station_is_not_named_as_one() -> None:
    line = AndonLine()
    line.apply(AndonReport(action="raise", andon_type="equipment"), equipment="BAG1")
    assert [data.station_id for data in line.new_calls()] == [None]


def test_pressing_again_adds_to_repeat_and_moves_no_deadline() -> None:
    line = AndonLine()
    line.raised()
    due = line.registry.next_deadline()
    assert line.apply(AndonReport(action="raise", andon_type="equipment", seq=1), at=START + 60 * SECOND) == APPLIED
    (event,) = line.new_events()
    assert isinstance(event.data, Andon)
    assert (event.data.repeat, event.data.call_id, event.revision) == (1, "L1.call.1", 2)
    assert line.registry.next_deadline() == due


def test_pressing_again_does_not_reopen_an_acknowledged_call() -> None:
    line = AndonLine()
    call_id = line.raised()
    line.apply(AndonReport(action="acknowledge", call_id=call_id), at=START + SECOND)
    line.new_events()
    line.apply(AndonReport(action="raise", andon_type="equipment", seq=1), at=START + 2 * SECOND)
    assert [(data.status, data.repeat) for data in line.new_calls()] == [("acknowledged", 1)]


def test_calls_of_other_types_and_equipment_are_their_own() -> None:
    line = AndonLine()
    equipment_call, quality_call = (AndonReport(action="raise", andon_type=andon_type) for andon_type in ANY_TWO)
    line.apply(equipment_call, equipment="BAG1")
    line.apply(quality_call, equipment="BAG1")
    line.apply(equipment_call, equipment="ST2")
    line.apply(equipment_call, equipment=None)
    assert [data.call_id for data in line.new_calls()] == [f"L1.call.{number}" for number in (1, 2, 3, 4)]


def test_after_a_resolve_the_same_press_is_a_new_call() -> None:
    line = AndonLine()
    call_id = line.raised()
    line.apply(AndonReport(action="resolve", call_id=call_id), at=START + SECOND)
    line.new_events()
    assert line.raised(at=START + 10 * SECOND) == "L1.call.2"


def test_presses_without_seq_and_ts_within_2_seconds_are_one() -> None:
    line = AndonLine()
    press = AndonReport(action="raise", andon_type="equipment")
    assert line.apply(press, at=START) == APPLIED
    assert line.apply(press, at=START + 2 * SECOND) == suppressed("debounced")
    assert line.apply(press, at=START + 2 * SECOND + 1) == APPLIED
    assert [data.repeat for data in line.new_calls()] == [0, 1]


def test_a_clock_set_back_does_not_mute_a_button() -> None:
    line = AndonLine()
    press = AndonReport(action="raise", andon_type="equipment")
    line.apply(press, at=START)
    assert line.apply(press, at=START - 3_600 * SECOND) == APPLIED


@pytest.mark.parametrize("actor", [None, MAINTAINER])
def test_presses_distinguished_by_seq_or_by_a_user_all_count(actor: Actor | None) -> None:
    line = AndonLine()
    for number in range(3):
        seq = number if actor is None else None
        line.apply(AndonReport(action="raise", andon_type="equipment", seq=seq), at=START + number, actor=actor)
    assert [data.repeat for data in line.new_calls()] == [0, 1, 2]


def test_actions_without_call_id_go_to_the_open_call_of_the_type_there() -> None:
    line = AndonLine()
    line.raised()
    line.apply(AndonReport(action="raise", andon_type="equipment"), equipment="ST2")
    line.new_events()
    line.apply(AndonReport(action="acknowledge", andon_type="equipment"), equipment="ST2")
    assert [(data.call_id, data.status) for data in line.new_calls()] == [("L1.call.2", "acknowledged")]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (AndonReport(andon_type="equipment"), rejected("incomplete")),
        (AndonReport(action="raise"), rejected("incomplete")),
        (AndonReport(input=True), rejected("incomplete")),
        (AndonReport(action="resolve"), rejected("incomplete")),
        (AndonReport(action="resolve", andon_type="material"), rejected("unknown_call")),
        (AndonReport(action="resolve", call_id="L1.call.9"), rejected("unknown_call")),
        (AndonReport(action="resolve", call_id="L1.call.1", andon_type="material"), rejected("unknown_call")),
    ],
)
def test_a_wrong_request_states_what_is_wrong_and_changes_nothing(body: AndonReport, answer: Disposition) -> None:
    line = AndonLine()
    line.raised()
    before = msgspec.msgpack.encode(line.state)
    assert line.apply(body, at=START + SECOND) == answer
    assert line.new_events() == ()
    assert msgspec.msgpack.encode(line.state) == before


def test_a_station_calls_only_what_it_has_buttons_for() -> None:
    line = AndonLine()
    assert line.apply(AndonReport(action="raise", andon_type="safety"), equipment="ST1") == rejected(
        "type_not_at_station"
    )
    assert line.apply(AndonReport(action="raise", andon_type="quality"), equipment="ST1") == APPLIED


def test_the_latest_final_calls_are_known_and_no_more_are_kept() -> None:
    line = AndonLine()
    for number in range(MAX_FINAL_CALLS + 1):
        line.apply(AndonReport(action="raise", andon_type="equipment", seq=number))
        line.apply(AndonReport(action="resolve", andon_type="equipment"))
    assert len(line.state.final) == MAX_FINAL_CALLS
    first, second = (AndonReport(action="acknowledge", call_id=f"L1.call.{number}") for number in (1, 2))
    assert line.apply(first) == rejected("unknown_call")
    assert line.apply(second) == rejected("already_final")


def automatic(line: AndonLine, *, downtime_id: str = "L1.down.1", at: Millis = START) -> None:
    help_ = CallRequest(
        equipment="BAG1",
        stopped="BAG1",
        andon_type="equipment",
        priority="high",
        description="MECH for 15 min",
        downtime_id=downtime_id,
        since=START,
    )
    line.automatic.request_call(help_, moment=Moment(at=at))


def test_an_automatic_call_names_its_downtime_and_no_person() -> None:
    line = AndonLine()
    automatic(line)
    (data,) = line.new_calls()
    assert (data.auto_generated, data.downtime_id, data.raised_by, data.description) == (
        True,
        "L1.down.1",
        None,
        "MECH for 15 min",
    )
    assert line.registry.next_deadline() == START + 5 * 60 * SECOND


def test_a_station_answers_the_one_call_of_the_type_on_its_line() -> None:
    line = AndonLine()
    line.raised()
    assert line.apply(AndonReport(action="acknowledge", andon_type="equipment"), equipment="ST2") == APPLIED
    assert [data.status for data in line.new_calls()] == ["acknowledged"]


def test_a_station_does_not_guess_between_two_calls_and_a_machine_answers_its_own_only() -> None:
    line = AndonLine()
    resolve = AndonReport(action="resolve", andon_type="equipment")
    press = AndonReport(action="raise", andon_type="equipment", seq=0)
    assert line.apply(press, equipment="ST2") == APPLIED
    assert line.apply(resolve, equipment="BAG1") == rejected("unknown_call")
    assert line.apply(press, equipment="BAG1") == APPLIED
    assert line.apply(resolve, equipment="ST1") == rejected("unknown_call")
