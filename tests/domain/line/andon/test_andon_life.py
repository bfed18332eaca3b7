"""The life cycle of an Andon call compared with a table: transitions, cancellation, and the content of its events."""

from typing import Final

import pytest

from bridge.domain.event_data import Andon, CallStatus, Person
from bridge.domain.events import EventType, Standing
from bridge.domain.line.andon.call import NEXT, REFUSALS, CallAction
from bridge.domain.reports import APPLIED, Actor, AndonReport, Disposition, Effect, rejected, suppressed
from tests.domain.line.andon.andon_line import MAINTAINER, SECOND, START, VISITOR, AndonLine

# What each action does to a call in each status: the status after it, or the answer.
LIFE: Final[dict[CallStatus, dict[CallAction, CallStatus | Disposition]]] = {
    "open": {
        "acknowledge": "acknowledged",
        "arrive": "open",
        "resolve": "resolved",
        "cancel": "cancelled",
        "escalate": "open",
    },
    "acknowledged": {
        "acknowledge": suppressed("already_acknowledged"),
        "arrive": "acknowledged",
        "resolve": "resolved",
        "cancel": "cancelled",
        "escalate": "acknowledged",
    },
    "resolved": {
        "acknowledge": rejected("already_final"),
        "arrive": rejected("already_final"),
        "resolve": suppressed("already_resolved"),
        "cancel": rejected("already_final"),
        "escalate": rejected("already_final"),
    },
    "cancelled": {
        "acknowledge": rejected("already_final"),
        "arrive": rejected("already_final"),
        "resolve": rejected("already_final"),
        "cancel": suppressed("already_cancelled"),
        "escalate": rejected("already_final"),
    },
}
WAY_TO: Final[dict[CallStatus, CallAction | None]] = {
    "open": None,
    "acknowledged": "acknowledge",
    "resolved": "resolve",
    "cancelled": "cancel",
}


def test_the_tables_answer_every_action_in_every_status_once() -> None:
    every = {(status, action) for status, row in LIFE.items() for action in row}
    assert len(every) == 4 * 5
    assert NEXT.keys() | REFUSALS.keys() == every
    assert not NEXT.keys() & REFUSALS.keys()


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize(("status", "action"), [(status, action) for status, row in LIFE.items() for action in row])
def test_every_action_in_every_status_follows_the_table(
    status: CallStatus, action: CallAction, *, restored: bool
) -> None:
    line = AndonLine()
    call_id = line.raised()
    way = WAY_TO[status]
    if way is not None:
        assert line.apply(AndonReport(action=way, call_id=call_id), at=START + SECOND) == APPLIED
    line.new_events()
    if restored:
        line.restore()

    answer = line.apply(AndonReport(action=action, call_id=call_id), at=START + 2 * SECOND)

    expected = LIFE[status][action]
    calls = line.new_calls()
    if isinstance(expected, Disposition):
        assert answer == expected
        assert calls == []
    else:
        assert answer == APPLIED
        assert [data.status for data in calls] == [expected]


@pytest.mark.parametrize("action", ["acknowledge", "arrive", "resolve", "cancel"])
def test_a_clear_older_than_the_raise_is_ignored(action: CallAction) -> None:
    line = AndonLine()
    line.raised()
    body = AndonReport(action=action, andon_type="equipment")
    assert line.apply(body, at=START - 1) == suppressed("older_than_raise")
    assert line.apply(body, at=START) == APPLIED


def test_a_call_reports_who_did_what_and_how_fast_the_response_was() -> None:
    line = AndonLine()
    line.apply(AndonReport(action="raise", andon_type="equipment"), operator="olga")
    line.apply(AndonReport(action="acknowledge", andon_type="equipment"), at=START + 90_500, actor=MAINTAINER)
    line.apply(AndonReport(action="arrive", andon_type="equipment"), at=START + 100_000, actor=MAINTAINER)
    resolve = AndonReport(action="resolve", andon_type="equipment", resolution_code="JAM", notes="film torn")
    line.apply(resolve, at=START + 200_000, actor=MAINTAINER)
    events = line.new_events()
    last = [event for event in events if event.type is EventType.ANDON_EVENT][-1]
    assert last.standing is Standing.CLOSED
    assert isinstance(last.data, Andon)
    assert last.data.raised_by == Person("olga", claimed=True)
    assert last.data.acknowledged_by == last.data.resolved_by == Person("mia", "Mia")
    assert last.data.response_seconds == 90.5
    assert last.data.arrived_at is not None
    assert last.data.acknowledged_at is not None
    assert last.data.acknowledged_at < last.data.arrived_at
    assert (last.data.resolution_code, last.data.resolution_notes) == ("JAM", "film torn")
    standings = [event.standing for event in events if event.type is EventType.ESCALATION_UPDATE]
    assert standings == [Standing.CURRENT, Standing.CURRENT, Standing.CLOSED]


def test_a_call_resolved_before_it_was_acknowledged_has_no_response_time() -> None:
    line = AndonLine()
    line.raised()
    line.apply(AndonReport(action="resolve", andon_type="equipment"), at=START + SECOND)
    (data,) = line.new_calls()
    assert (data.acknowledged_at, data.response_seconds) == (None, None)


def test_arriving_twice_is_arriving_once() -> None:
    line = AndonLine()
    line.raised()
    body = AndonReport(action="arrive", andon_type="equipment")
    assert line.apply(body) == APPLIED
    assert line.apply(body) == suppressed("already_arrived")


@pytest.mark.parametrize(
    ("actor", "equipment", "allowed"),
    [
        (Actor("rita", ("viewer",), ("+",)), "ST2", True),  # raised it
        (VISITOR, "BAG1", False),  # no part in it, though at the machine
        (MAINTAINER, None, True),  # responds to the type
        (Actor("x", ("engineer",), ("+",)), None, True),  # receives of level 1
        (Actor("x", ("production_manager",), ("+",)), None, True),  # receives of level 2
        (Actor("x", ("quality",), ("+",)), None, False),
        (Actor("x", ("admin",), ("+",)), None, True),
        (None, "BAG1", True),  # the equipment itself
        (None, "ST2", False),
        (None, None, False),
    ],
)
def test_only_raiser_station_or_a_role_of_the_call_may_cancel(
    actor: Actor | None, equipment: str | None, *, allowed: bool
) -> None:
    line = AndonLine()
    line.apply(AndonReport(action="raise", andon_type="equipment"), actor=Actor("rita", ("operator",), ("+",)))
    answer = line.apply(AndonReport(action="cancel", call_id="L1.call.1"), equipment=equipment, actor=actor)
    assert answer == (APPLIED if allowed else rejected("not_allowed"))


def test_a_claimed_operator_is_no_raiser() -> None:
    line = AndonLine()
    line.apply(AndonReport(action="raise", andon_type="equipment"), operator="vic")
    answer = line.apply(AndonReport(action="cancel", call_id="L1.call.1"), actor=VISITOR)
    assert answer == rejected("not_allowed")


def test_every_answer_is_counted_as_applied_or_suppressed() -> None:
    assert {answer.effect for answer in REFUSALS.values()} == {Effect.SUPPRESSED}
