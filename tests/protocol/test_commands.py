"""Commands: validation, authorization, and the published message."""

import json
from typing import Any

import pytest

from bridge.domain.access.command_admission import PlantPlaces
from bridge.domain.access.topic_layout import ACTIONS
from bridge.domain.place import Place
from bridge.domain.plant import AreaConfig, EquipmentConfig, LineConfig, Plant
from bridge.domain.reports import BODY_OF, COMMAND_KINDS, Actor, Report
from bridge.ingest.native import decode
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.commands import (
    ACTION_FIELDS,
    CommandRequest,
    authorize,
    command_message,
    parse_command,
)
from bridge.protocol.error_codes import ErrorCode
from tests.support.viewers import viewer

PLANT = Plant(
    name="test",
    areas=(AreaConfig(id="A1", site="S1"),),
    lines=(LineConfig(id="L1", area="A1", equipment=(EquipmentConfig(id="E1"),)),),
)
PLACES = PlantPlaces.of(PLANT)
VALUES: dict[str, Any] = {
    "andon_type": "quality", "priority": "high", "description": "torn\nbag", "call_id": "C1", "notes": "two\nlines",
    "resolution_code": "R1", "downtime_id": "D1", "reason_code": "MECH", "job_id": "J1", "product": "P1",
    "target_quantity": 5, "assigned_to": "otto", "reason": "why", "to_product": "P2", "from_product": "P1",
    "alert_id": "Q1",
}  # fmt: skip


def body(action: str, **fields: Any) -> dict[str, Any]:
    return {"type": "command", "id": "k1", "action": action, "line_id": "L1", **fields}


def full(action: str) -> dict[str, Any]:
    needed, possible = ACTION_FIELDS[action]
    return body(action, **{name: VALUES[name] for name in needed | possible})


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_becomes_a_message_that_the_pipeline_reads(action: str) -> None:
    request = parse_command({**full(action), "equipment_code": "E1", "boot_id": "x", "operator": "other", "seq": 1})
    admin = viewer(name="Eva")
    message = command_message(request, authorize(request, admin, PLACES), admin)
    kind, verb = action.split(".")
    level = "E1" if action == "andon.raise" else "_"  # the others act on the line, or on what they name by its id
    assert message.topic == f"command/S1/A1/L1/{level}/{kind}"
    report = decode(message.topic, message.payload, received_at=1, cause="input:1", retained=False)
    assert isinstance(report, Report), report
    assert isinstance(report.body, BODY_OF[kind])
    assert kind in COMMAND_KINDS
    assert report.unknown_fields == 0
    assert report.actor is not None
    assert report.actor == Actor("eva", ("admin",), ("+",), "Eva")
    assert (report.command_id, report.body.operator, report.body.boot_id) == ("k1", None, None)
    sent = json.loads(message.payload)
    assert sent["action"] == verb
    assert request.fields.items() <= sent.items()


@pytest.mark.parametrize("action", ACTIONS)
def test_every_needed_field_is_needed_and_the_others_are_not(action: str) -> None:
    needed, possible = ACTION_FIELDS[action]
    least = {name: value for name, value in full(action).items() if name not in possible}
    assert parse_command({**least, **dict.fromkeys(possible)}).fields.keys() == needed
    for name in needed:
        with pytest.raises(InvalidFrame, match=name):
            parse_command({**least, name: None})


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""}, {"id": "x" * 65}, {"id": 5}, {"id": "a\rb"}, {"action": "andon.dance"}, {"action": "andon"},
        {"action": ["andon.raise"]}, {"line_id": "L1/E1"}, {"line_id": "+"}, {"line_id": None},
        {"equipment_code": "#"}, {"andon_type": "party"}, {"priority": "huge"}, {"description": "x" * 501},
    ],
)  # fmt: skip
def test_a_command_that_is_not_well_formed_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidFrame) as caught:
        parse_command({**body("andon.raise", andon_type="quality"), **change})
    assert caught.value.code is ErrorCode.INVALID_MESSAGE


def test_a_code_with_a_line_break_is_refused_where_the_pipeline_would_quarantine_it() -> None:
    with pytest.raises(InvalidFrame):
        parse_command(body("downtime.classify", downtime_id="D1", reason_code="A\nB"))


def request_of(**changes: Any) -> CommandRequest:
    return parse_command({**body("andon.raise", andon_type="quality"), **changes})


def test_a_call_is_raised_at_the_line_or_equipment_that_is_named() -> None:
    admin = viewer()
    assert authorize(request_of(), admin, PLACES).place == Place("S1", "A1", "L1")
    assert authorize(request_of(equipment_code="E1"), admin, PLACES).place == Place("S1", "A1", "L1", "E1")


@pytest.mark.parametrize(
    "change", [{"line_id": "L2"}, {"equipment_code": "E2"}, {"line_id": "L2", "equipment_code": "E1"}]
)
def test_who_is_granted_a_place_wherever_it_may_be_learns_that_it_is_not_there(change: dict[str, str]) -> None:
    for grants, code in (
        (["#"], ErrorCode.UNKNOWN_PLACE),
        (["+/+/L1/#", "+/+/L2/#"], ErrorCode.UNKNOWN_PLACE),
        (["S1/A1/L1/E1/andon", "S1/A1/L1/_/andon"], ErrorCode.FORBIDDEN),
        (["S1/A1/+/+/andon", "S1/A1/L2/E1/andon"], code_within_the_area(change)),
        ([], ErrorCode.FORBIDDEN),
    ):
        user = viewer(role="nobody", trust_grants=True, grants={"command": grants})
        with pytest.raises(InvalidFrame) as caught:
            authorize(request_of(**change), user, PLACES)
        assert caught.value.code is code, grants


def code_within_the_area(change: dict[str, str]) -> ErrorCode:
    """Return the code for who is granted the whole area: a missing line may be in another one."""
    return ErrorCode.FORBIDDEN if "line_id" in change else ErrorCode.UNKNOWN_PLACE


def test_only_granted_actions_at_granted_places_are_authorized() -> None:
    assert authorize(request_of(), viewer(role="operator", lines=["L1"]), PLACES).granted_at == ("+",)
    for user in (viewer(role="operator", lines=["L2"]), viewer(role="nobody")):
        with pytest.raises(InvalidFrame):
            authorize(request_of(), user, PLACES)
    acknowledging = parse_command(body("andon.acknowledge", call_id="C1"))
    with pytest.raises(InvalidFrame):
        authorize(acknowledging, viewer(role="operator", lines=["L1"]), PLACES)


def test_what_is_named_by_its_id_may_be_wherever_the_action_is_granted() -> None:
    command = ["+/+/L1/E1/#", "+/+/L1/E9/#", "+/+/L2/_/#"]
    user = viewer(role="nobody", trust_grants=True, grants={"command": command})
    for equipment in (None, "E1", "E2"):  # it does not count
        resolving = parse_command(body("andon.resolve", call_id="C1", equipment_code=equipment))
        admitted = authorize(resolving, user, PLACES)
        assert (admitted.place, admitted.granted_at) == (Place("S1", "A1", "L1"), ("E1",))  # E9 is not in the plant
    with pytest.raises(InvalidFrame):
        authorize(parse_command(body("job.start", job_id="J1", equipment_code="E1")), user, PLACES)
