"""Commands that the front sends and the pipeline decodes: every action, and the longest user of a token."""

from typing import Any

import pytest

from bridge.adapters import policy_file
from bridge.domain.access.claims import MAX_SUBJECT, Claims
from bridge.domain.access.command_admission import AdmittedCommand
from bridge.domain.access.policy import Role
from bridge.domain.access.viewer import MAX_NAME, admit
from bridge.domain.place import Place
from bridge.domain.reports import Report
from bridge.ingest.native import decode
from bridge.protocol.commands import ACTION_FIELDS, command_message, parse_command

VALUES: dict[str, Any] = {
    "andon_type": "material", "priority": "high", "description": "no film\nleft", "call_id": "L1.call.1",
    "notes": "n" * 500, "resolution_code": "R1", "downtime_id": "L1.down.1", "reason_code": "MECH", "job_id": "J1",
    "product": "P1", "target_quantity": 100, "assigned_to": "anna", "reason": "two\nlines", "from_product": "P1",
    "to_product": "P2", "alert_id": "L1.alert.1",
}  # fmt: skip


@pytest.mark.parametrize("action", ACTION_FIELDS)
@pytest.mark.parametrize("equipment", [None, "bagger"])
@pytest.mark.parametrize("with_options", [False, True])
def test_every_command_arrives_as_its_report(action: str, equipment: str | None, *, with_options: bool) -> None:
    claims = Claims(
        subject="s" * MAX_SUBJECT,
        issuer="floor",
        expires_at=1,
        token_id=None,
        claim_set={"name": "N" * (MAX_NAME + 1), "roles": [role.value for role in Role]},
    )
    viewer = admit(claims, policy_file.load(None), trust_grants=False)
    needed, possible = ACTION_FIELDS[action]
    fields = {name: VALUES[name] for name in (needed | possible if with_options else needed)}
    request = parse_command({"id": "c" * 64, "action": action, "line_id": "L1", "equipment_code": equipment, **fields})
    granted_at = ("_", *(f"{number}".rjust(64, "E") for number in range(200)))  # of the longest line there may be
    admitted = AdmittedCommand(Place("north", "pack", "L1", equipment), granted_at)
    message = command_message(request, admitted, viewer)
    report = decode(message.topic, message.payload, received_at=5, cause="input:1", retained=False)
    assert isinstance(report, Report), report
    assert report.actor is not None
    assert (report.actor.id, report.actor.name) == (viewer.user_id, viewer.name)
    assert report.actor.granted_at == granted_at
    assert set(report.actor.roles) == set(viewer.roles)
    assert report.command_id == "c" * 64
    assert report.place == Place("north", "pack", "L1", equipment)
    assert report.unknown_fields == 0
    for name, value in fields.items():
        assert getattr(report.body, name) == value
