"""Every action by every set of grants, upon things at every place of a line: applied if and only if granted there."""

from collections.abc import Mapping
from itertools import combinations, product
from typing import Any, Final, NamedTuple

import pytest

from bridge.domain.access.claims import Claims
from bridge.domain.access.command_admission import PlantPlaces
from bridge.domain.access.policy import Policy
from bridge.domain.access.topic_layout import ACTIONS
from bridge.domain.access.viewer import Viewer, admit
from bridge.domain.line.floor import Floor
from bridge.domain.place import Place
from bridge.domain.plant import Plant
from bridge.domain.reports import (
    AndonReport,
    Disposition,
    JobReport,
    MeasurementReport,
    Report,
    ReportBody,
    StateReport,
    rejected,
)
from bridge.domain.utc_time import Millis
from bridge.ingest.native import decode
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.commands import authorize, command_message, parse_command
from bridge.protocol.error_codes import ErrorCode
from tests.support.reference_subscription import matches

START: Final[Millis] = 1_750_000_000_000
EQUIPMENT: Final = ({"id": "E1"}, {"id": "ST1", "kind": "station"})
LIMIT: Final = {"parameter": "weight", "unit": "g", "lower": 490, "upper": 510}
PLANT: Final = Plant.model_validate(
    {
        "name": "works",
        "areas": [{"id": "A1", "site": "S1"}],
        "lines": [{"id": name, "area": "A1", "equipment": EQUIPMENT, "limits": [LIMIT]} for name in ("L1", "L2")],
    }
)
PLACES: Final = PlantPlaces.of(PLANT)
ROLES: Final = ("operator", "maintenance", "quality")


class CommandGrant(NamedTuple):
    filter: str
    actions: tuple[str, ...] = ACTIONS

    def covers(self, place: str, action: str) -> bool:
        kind = action.partition(".")[0]
        return action in self.actions and matches(self.filter, f"{place}/{kind}")


GRANTS: Final = (
    CommandGrant("#"),
    CommandGrant("S1/A1/L1/E1/+"),
    CommandGrant("+/+/L1/ST1/andon"),
    CommandGrant("+/+/L1/_/#"),
    CommandGrant("+/+/L1/+/+", ("andon.resolve", "quality.clear", "job.start")),
    CommandGrant("+/+/+/E1/+", ("andon.raise", "andon.cancel")),
    CommandGrant("+/+/L2/#"),
    CommandGrant("S1/+/+/+/+", ("andon.raise", "andon.escalate", "changeover.start")),
    CommandGrant("+/+/L9/#"),
)


class Thing(NamedTuple):
    """A thing that a command acts upon: the fields that name it, and the level at which it is."""

    fields: Mapping[str, Any]
    level: str


OPEN: Final = tuple(
    Thing({"call_id": f"L1.call.{number}"}, level) for number, level in ((1, "E1"), (2, "ST1"), (3, "_"))
)
FINISHED: Final = tuple(Thing({"call_id": f"L1.call.{number}"}, level) for number, level in ((4, "E1"), (5, "ST1")))
ALERTS: Final = (Thing({"alert_id": "L1.alert.1"}, "E1"), Thing({"alert_id": "L1.alert.2"}, "ST1"))
OTHER_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "andon.raise": {"andon_type": "safety"},
    "downtime.classify": {"downtime_id": "L1.down.1", "reason_code": "MECH"},
    "downtime.confirm": {"downtime_id": "L1.down.1"},
    "downtime.unconfirm": {"downtime_id": "L1.down.1"},
    "job.assign": {"job_id": "J2", "product": "p", "target_quantity": 1, "assigned_to": "eva"},
    **{f"job.{verb}": {"job_id": "J1"} for verb in ("accept", "start", "pause", "complete", "cancel")},
    "changeover.start": {"to_product": "p"},
    "changeover.complete": {},
}
"""Action on the line, or on what the request names -> its fields."""


def things_of(action: str) -> tuple[Thing, ...]:
    if action == "quality.clear":
        return ALERTS
    return (*OPEN, *FINISHED) if action not in OTHER_FIELDS else (Thing(OTHER_FIELDS[action], "_"),)


def unknown_of(action: str) -> Thing:
    """Return a thing that does not exist."""
    return Thing({"alert_id": "L1.alert.9"} if action == "quality.clear" else {"call_id": "L1.call.99"}, "E1")


BY_ID: Final = tuple(action for action in ACTIONS if action not in OTHER_FIELDS)
UNKNOWN: Final = (rejected("unknown_call"), rejected("unknown_alert"))


class World:
    """A floor with a call of every state and alerts at E1, ST1 and the line."""

    def __init__(self) -> None:
        floor = Floor(PLANT)
        self._floor, self._inputs = floor, 0
        self._report("E1", StateReport(state="stopped"))
        for equipment in ("E1", "ST1", None):
            self._report(equipment, AndonReport(action="raise", andon_type="quality", boot_id=1, seq=self._inputs))
        for number, equipment in enumerate(("E1", "ST1"), start=4):
            self._report(equipment, AndonReport(action="raise", andon_type="material", boot_id=1, seq=self._inputs))
            self._report(equipment, AndonReport(action="resolve", call_id=f"L1.call.{number}"))
        for equipment in ("E1", "ST1"):
            self._report(equipment, MeasurementReport(parameter="weight", value=900.0, unit="g"))
        self._report(None, JobReport(action="assign", job_id="J1", product="p", target_quantity=5, assigned_to="eva"))
        self._checkpoints = {line.id: floor.checkpoint(line.id) for line in PLANT.lines}

    def _report(self, equipment: str | None, body: ReportBody) -> None:
        self._inputs += 1
        at = START + self._inputs
        place = Place("S1", "A1", "L1", equipment)
        outcome = self._floor.apply(Report(place=place, body=body, received_at=at, cause=f"input:{self._inputs}"), at)
        assert outcome.disposition.reason is None, (equipment, body, outcome.disposition)

    def apply(self, report: Report) -> Disposition:
        floor = Floor.restore(PLANT, self._checkpoints)
        return floor.apply(report, report.received_at).disposition


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def viewer_with(grants: tuple[CommandGrant, ...]) -> Viewer:
    rules = (
        f"[roles.{role}]\nunscoped = true\ncommand = [{grant.filter!r}]\nactions = {list(grant.actions)}\n"
        for role, grant in zip(ROLES, grants, strict=False)
    )
    policy = Policy.parse("\n".join(rules) or "[roles.viewer]")
    claims = Claims("eva", "floor", 1, None, {"roles": list(ROLES)})
    return admit(claims, policy, trust_grants=False)


def send(world: World, viewer: Viewer, action: str, fields: Mapping[str, Any], **at: Any) -> Disposition | ErrorCode:
    """Return what becomes of a command, through the front and the core."""
    request = parse_command({"id": "k1", "action": action, "line_id": "L1", **fields, **at})
    try:
        admitted = authorize(request, viewer, PLACES)
    except InvalidFrame as refused:
        return refused.code
    message = command_message(request, admitted, viewer)
    report = decode(message.topic, message.payload, received_at=START + 1_000, cause="input:99", retained=False)
    assert isinstance(report, Report), report
    return world.apply(report)


def is_granted(grants: tuple[CommandGrant, ...], level: str, action: str, *, line: str = "S1/A1/L1") -> bool:
    return any(grant.covers(f"{line}/{level}", action) for grant in grants)


def check_things(world: World, grants: tuple[CommandGrant, ...]) -> None:
    viewer = viewer_with(grants)
    for action in ACTIONS:
        unknown = send(world, viewer, action, unknown_of(action).fields) if action in BY_ID else None
        for thing, named in product(things_of(action), (None, "E1") if action in BY_ID else (None,)):
            result = send(world, viewer, action, thing.fields, equipment_code=named)
            refused = result is ErrorCode.FORBIDDEN or result in UNKNOWN
            assert refused != is_granted(grants, thing.level, action), (action, thing, grants, result)
            if refused and unknown is not None:
                assert result == unknown, (action, thing, grants)


def check_places(world: World, grants: tuple[CommandGrant, ...]) -> None:
    """Check what is raised where, and who learns that a place is missing: whose grants cover wherever it may be."""
    viewer = viewer_with(grants)
    raising = OTHER_FIELDS["andon.raise"]
    for equipment in (None, "E1", "ST1"):
        result = send(world, viewer, "andon.raise", raising, equipment_code=equipment)
        granted = is_granted(grants, equipment or "_", "andon.raise")
        assert (result is ErrorCode.FORBIDDEN) != granted
    there = is_granted(grants, "E9", "andon.raise")
    expected = ErrorCode.UNKNOWN_PLACE if there else ErrorCode.FORBIDDEN
    assert send(world, viewer, "andon.raise", raising, equipment_code="E9") is expected
    for action in ACTIONS:
        fields = OTHER_FIELDS[action] if action in OTHER_FIELDS else unknown_of(action).fields
        levels = ("_", "E1", "zz") if action in BY_ID else ("_",)
        anywhere = product(("S1", "zz"), ("A1", "zz"), levels)
        everywhere = all(is_granted(grants, level, action, line=f"{site}/{area}/L9") for site, area, level in anywhere)
        expected = ErrorCode.UNKNOWN_PLACE if everywhere else ErrorCode.FORBIDDEN
        assert send(world, viewer, action, fields, line_id="L9") is expected, (action, grants)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_command_is_applied_if_and_only_if_it_is_granted_where_the_thing_is(world: World, count: int) -> None:
    for grants in combinations(GRANTS, count):
        check_things(world, grants)
        check_places(world, grants)


@pytest.mark.proof
def test_a_command_is_applied_if_and_only_if_it_is_granted_where_the_thing_is_for_three_grants(world: World) -> None:
    for grants in combinations(GRANTS, 3):
        check_things(world, grants)
        check_places(world, grants)
