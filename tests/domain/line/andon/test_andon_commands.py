"""A command acts on a call where that is granted to the user; any other call is as unknown as one that never was."""

from typing import Final, Literal

import pytest

from bridge.domain.line.andon.call import REFUSALS
from bridge.domain.reports import APPLIED, Actor, AndonReport, Disposition, rejected
from tests.domain.line.andon.andon_line import AndonLine

CallAction = Literal["acknowledge", "arrive", "resolve", "cancel", "escalate"]
ACTIONS: Final[tuple[CallAction, ...]] = ("acknowledge", "arrive", "resolve", "cancel", "escalate")
UNKNOWN: Final = rejected("unknown_call")


def mia(*granted_at: str) -> Actor:
    return Actor("mia", ("maintenance",), granted_at)


def act(line: AndonLine, action: CallAction, call_id: str, actor: Actor) -> Disposition:
    return line.apply(AndonReport(action=action, call_id=call_id), equipment=None, actor=actor)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_call_is_commanded_where_the_action_is_granted(action: CallAction) -> None:
    for granted_at, expected in {
        ("BAG1",): APPLIED,
        ("_", "BAG1"): APPLIED,
        ("+",): APPLIED,
        ("_", "ST1"): UNKNOWN,
        (): UNKNOWN,
    }.items():
        line = AndonLine()
        call_id = line.raised()
        assert act(line, action, call_id, mia(*granted_at)) == expected, granted_at
        assert bool(line.new_events()) == (expected == APPLIED)
        assert act(line, action, "L1.call.99", mia(*granted_at)) == UNKNOWN


def test_a_call_of_the_whole_line_is_at_the_level_of_the_line() -> None:
    line = AndonLine()
    assert line.apply(AndonReport(action="raise", andon_type="material"), equipment=None) == APPLIED
    assert act(line, "acknowledge", "L1.call.1", mia("BAG1")) == UNKNOWN
    assert act(line, "acknowledge", "L1.call.1", mia("_")) == APPLIED


@pytest.mark.parametrize("action", ACTIONS)
def test_the_end_of_a_call_is_known_where_the_action_is_granted(action: CallAction) -> None:
    line = AndonLine()
    call_id = line.raised()
    assert act(line, "resolve", call_id, mia("BAG1")) == APPLIED
    line.restore()
    for granted_at in (("BAG1",), ("+",)):
        assert act(line, action, call_id, mia(*granted_at)) == REFUSALS["resolved", action]
    assert act(line, action, call_id, mia("_", "ST1")) == UNKNOWN


def test_the_end_of_a_call_in_an_earlier_version_is_known_only_to_who_may_act_everywhere() -> None:
    line = AndonLine()
    line.state.final["L1.call.1"] = "resolved"
    line.restore()
    assert act(line, "arrive", "L1.call.1", mia("BAG1", "ST1", "_")) == UNKNOWN
    assert act(line, "arrive", "L1.call.1", mia("+")) == REFUSALS["resolved", "arrive"]


def test_a_command_that_names_a_type_acts_no_further_than_it_is_granted() -> None:
    line = AndonLine()
    line.raised()
    body = AndonReport(action="acknowledge", andon_type="equipment")
    assert line.apply(body, equipment="BAG1", actor=mia("ST1")) == UNKNOWN
    assert line.apply(body, equipment="BAG1", actor=mia("BAG1")) == APPLIED
