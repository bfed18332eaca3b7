"""Station inputs: momentary buttons and latching switches."""

from typing import Final, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.emitter import Emitter, Subjects
from bridge.domain.event_data import Andon
from bridge.domain.line.andon.call_registry import AndonState, CallRegistry
from bridge.domain.line.andon.calls import AndonActions
from bridge.domain.line.andon.contacts import Contact, LevelReading, read_level
from bridge.domain.reports import APPLIED, AndonReport, Disposition, Moment, suppressed
from tests.support.one_line_plant import from_checkpoint, one_line_plant

PLANT: Final = one_line_plant(
    {"id": "BUTTON", "kind": "station"}, {"id": "SWITCH", "kind": "station", "input": "latching"}
)
START: Final = 1_750_000_000_000
SECOND: Final = 1_000


class SwitchLine:
    def __init__(self) -> None:
        self.state = AndonState()
        self.now = START
        line = PLANT.lines[0]
        place = PLANT.place_of(line)
        self.emitter = Emitter(place, Subjects())
        registry = CallRegistry(self.state, place=place, plant=PLANT, spec=line, emitter=self.emitter)
        self.calls = AndonActions(registry, plant=PLANT, spec=line)

    def observe(self, equipment: str, *, level: bool, after: float = 10) -> Disposition:
        self.now += round(after * SECOND)
        body = AndonReport(input=level, andon_type="material")
        return self.calls.apply(body, equipment=equipment, moment=Moment(at=self.now))

    def resolve(self, equipment: str) -> None:
        body = AndonReport(action="resolve", andon_type="material")
        assert self.calls.apply(body, equipment=equipment, moment=Moment(at=self.now)) == APPLIED
        self.emitter.drain()

    def new_calls(self) -> list[tuple[str, int]]:
        """Return number and repeat of each call reported."""
        data = [event.data for event in self.emitter.drain()]
        return [(call.call_id.rpartition(".")[2], call.repeat) for call in data if isinstance(call, Andon)]


def test_a_button_calls_on_the_observed_edge_only() -> None:
    line = SwitchLine()
    assert line.observe("BUTTON", level=False) == APPLIED
    assert line.observe("BUTTON", level=True) == APPLIED
    assert line.observe("BUTTON", level=True) == suppressed("unchanged")
    assert line.observe("BUTTON", level=False) == APPLIED
    assert line.observe("BUTTON", level=False) == suppressed("unchanged")
    assert line.new_calls() == [("1", 0)]


def test_a_button_first_seen_pressed_does_not_call() -> None:
    line = SwitchLine()
    assert line.observe("BUTTON", level=True) == suppressed("unobserved_edge")
    assert line.new_calls() == []


def test_a_button_pressed_again_adds_to_repeat_and_after_2_seconds_only() -> None:
    line = SwitchLine()
    line.observe("BUTTON", level=False)
    line.observe("BUTTON", level=True)
    line.observe("BUTTON", level=False, after=0.5)
    assert line.observe("BUTTON", level=True, after=0.5) == suppressed("debounced")
    line.observe("BUTTON", level=False, after=1)
    assert line.observe("BUTTON", level=True, after=0.5) == APPLIED
    assert line.new_calls() == [("1", 0), ("1", 1)]


def test_a_late_copy_of_a_press_hides_no_later_press() -> None:
    """The copy arrives after the release, and no release follows it."""
    line = SwitchLine()
    line.observe("BUTTON", level=False)
    line.observe("BUTTON", level=True)
    line.observe("BUTTON", level=False, after=0.5)
    assert line.observe("BUTTON", level=True, after=0.5) == suppressed("debounced")
    assert line.observe("BUTTON", level=True, after=600) == APPLIED
    assert line.new_calls() == [("1", 0), ("1", 1)]


def test_a_press_after_the_call_is_over_is_no_bounce_however_soon_it_comes() -> None:
    """After an offline network, reports of several minutes arrive at once: a press, its resolve, and the next press."""
    line = SwitchLine()
    line.observe("BUTTON", level=False)
    line.observe("BUTTON", level=True)
    line.observe("BUTTON", level=False, after=0)
    line.resolve("BUTTON")
    assert line.observe("BUTTON", level=True, after=0) == APPLIED
    assert line.new_calls() == [("2", 0)]


def test_a_switch_calls_even_when_first_seen_on() -> None:
    line = SwitchLine()
    assert line.observe("SWITCH", level=True) == APPLIED
    assert line.new_calls() == [("1", 0)]


def test_a_switch_left_on_reports_nothing_more() -> None:
    line = SwitchLine()
    line.observe("SWITCH", level=True)
    assert line.observe("SWITCH", level=True) == suppressed("unchanged")
    assert line.new_calls() == [("1", 0)]


def test_a_switch_turned_off_ends_no_call_and_turned_on_again_repeats_it() -> None:
    line = SwitchLine()
    line.observe("SWITCH", level=True)
    assert line.observe("SWITCH", level=False) == APPLIED
    assert line.observe("SWITCH", level=True) == APPLIED
    assert line.new_calls() == [("1", 0), ("1", 1)]


def test_after_a_resolve_a_switch_must_be_off_before_it_calls_again() -> None:
    line = SwitchLine()
    line.observe("SWITCH", level=True)
    line.resolve("SWITCH")
    assert line.observe("SWITCH", level=True) == suppressed("not_released")
    line.observe("SWITCH", level=False)
    assert line.observe("SWITCH", level=True) == APPLIED
    assert line.new_calls() == [("2", 0)]


def test_a_switch_whose_level_was_never_seen_does_not_repeat_an_open_call() -> None:
    line = SwitchLine()
    raised = AndonReport(action="raise", andon_type="material", seq=0)
    line.calls.apply(raised, equipment="SWITCH", moment=Moment(at=line.now))
    assert line.observe("SWITCH", level=True) == suppressed("unobserved_edge")


def test_types_and_stations_have_contacts_of_their_own() -> None:
    line = SwitchLine()
    line.observe("BUTTON", level=False)
    line.observe("BUTTON", level=True)
    other = AndonReport(input=True, andon_type="quality")
    assert line.calls.apply(other, equipment="BUTTON", moment=Moment(at=line.now)) == suppressed("unobserved_edge")


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5_000))))
def test_a_button_agrees_with_a_reading_of_its_whole_history(history: list[tuple[bool, int]]) -> None:
    """The oracle has the whole history. The contact has two values, and is restored from a checkpoint each time."""
    contact, at, presses, last = Contact(), START, 0, None
    expected, observed = 0, list[bool]()
    for level, wait in history:
        at += wait
        reading = read_level(contact, level=level, kind="momentary", call_open=True, received_at=at, debounce_ms=2_000)
        if reading is LevelReading.PRESSED:
            contact.pressed_at = at
            presses += 1
        contact = from_checkpoint(contact)
        edge = level and observed[-1:] == [False]
        bounces = edge and last is not None and at - last <= 2_000
        if not bounces:
            observed.append(level)
        if edge and not bounces:
            expected, last = expected + 1, at
        assert presses == expected


@given(
    kind=st.sampled_from(["momentary", "latching"]),
    history=st.lists(
        st.tuples(st.booleans(), st.integers(0, 100_000), st.none() | st.integers(0, 900_000)), max_size=12
    ),
    call_open=st.booleans(),
    behind=st.integers(0, 1_000_000),
)
def test_a_press_is_read_whatever_came_before_its_release(
    kind: Literal["momentary", "latching"],
    history: list[tuple[bool, int, int | None]],
    *,
    call_open: bool,
    behind: int,
) -> None:
    """Late copies and a clock that is set may add a press; they never hide one."""
    contact, at = Contact(), START

    def read(*, level: bool, stamped: int | None) -> LevelReading:
        reading = read_level(
            contact,
            level=level,
            kind=kind,
            call_open=call_open,
            received_at=at,
            device_time=stamped,
            debounce_ms=2_000,
        )
        if reading is LevelReading.PRESSED:
            contact.record_press(received_at=at, device_time=stamped)
        return reading

    for level, wait, late in history:
        at += wait
        read(level=level, stamped=None if late is None else at - late)
        contact = from_checkpoint(contact)
    at += 5 * SECOND
    read(level=False, stamped=at - behind)
    at += 5 * SECOND
    assert read(level=True, stamped=at - behind) is LevelReading.PRESSED


@pytest.mark.parametrize("reading", list(LevelReading))
def test_reasons_are_fixed_lower_case_phrases(reading: LevelReading) -> None:
    assert reading.value == reading.name.lower()
