"""Commands as the native decoder reads them."""

from typing import Any

import pytest

from bridge.domain.reports import (
    BODY_OF,
    COMMAND_KINDS,
    Report,
)
from tests.ingest.native_payloads import HERE, MINIMAL, USER, command, decoded, reason


@pytest.mark.parametrize("kind", COMMAND_KINDS)
def test_a_command_has_its_actor_and_its_id(kind: str) -> None:
    result = command(kind, **MINIMAL[kind])
    assert isinstance(result, Report)
    assert result.actor is not None
    assert (result.actor.id, result.actor.name, result.actor.roles) == ("anna", "Anna", ("operator",))
    assert result.command_id == "c1"
    assert result.unknown_fields == 0


@pytest.mark.parametrize("kind", sorted(BODY_OF.keys() - set(COMMAND_KINDS)))
def test_a_device_only_report_is_no_command(kind: str) -> None:
    assert reason(command(kind, **MINIMAL[kind])) == "report_only"


def test_a_user_escalates_and_a_wire_has_a_level() -> None:
    assert isinstance(command("andon", action="escalate", call_id="L1.call.1"), Report)
    assert reason(command("andon", input=True, andon_type="stop")) == "report_only:input"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": None}, "missing_field:id"),
        ({"id": ""}, "out_of_range:id"),
        ({"id": "x" * 65}, "out_of_range:id"),
        ({"id": "c1\n"}, "control_character"),
        ({"user": None}, "missing_field:user"),
        ({"user": {"id": "anna", "roles": None}}, "missing_field:user.roles"),
        ({"user": "anna"}, "wrong_type:user"),
        ({"user": {"roles": []}}, "missing_field:user.id"),
        ({"user": {"id": "anna"}}, "missing_field:user.roles"),
        ({"user": {"id": "anna", "roles": "admin"}}, "wrong_type:user.roles"),
        ({"user": {"id": "anna", "roles": [1]}}, "wrong_type:user.roles"),
        ({"user": {"id": "anna", "roles": ["r"] * 51}}, "out_of_range:user.roles"),
        ({"user": {"id": "anna\r\nadmin", "roles": []}}, "control_character"),
        ({"granted_at": "+"}, "wrong_type:granted_at"),
        ({"granted_at": [None]}, "wrong_type:granted_at"),
        ({"granted_at": ["x" * 65]}, "out_of_range:granted_at"),
        ({"granted_at": ["E1"] * 202}, "out_of_range:granted_at"),
    ],
)
def test_a_command_without_a_user_is_quarantined(change: dict[str, Any], expected: str) -> None:
    assert reason(command("andon", **{**MINIMAL["andon"], **change})) == expected


def test_a_command_without_id_or_user_is_quarantined() -> None:
    assert reason(decoded(f"command/{HERE}/andon", MINIMAL["andon"])) == "missing_field:id"
    assert reason(decoded(f"command/{HERE}/andon", {**MINIMAL["andon"], "id": "c1"})) == "missing_field:user"


def test_a_command_of_an_earlier_front_is_granted_at_the_level_of_its_topic() -> None:
    for topic, fields, granted_at in (
        (HERE, {}, (HERE.rpartition("/")[2],)),
        (HERE, {"granted_at": None}, (HERE.rpartition("/")[2],)),
        (f"{HERE.rpartition('/')[0]}/_", {}, ("_",)),
        (HERE, {"granted_at": []}, ()),
        (HERE, {"granted_at": ["_", "E1"]}, ("_", "E1")),
        (HERE, {"granted_at": ["+"]}, ("+",)),
    ):
        result = decoded(f"command/{topic}/andon", {"id": "c1", "user": USER, **MINIMAL["andon"], **fields})
        assert isinstance(result, Report)
        assert result.actor is not None
        assert result.actor.granted_at == granted_at
        assert result.unknown_fields == 0
