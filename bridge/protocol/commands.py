"""Commands of dashboard users, and the MQTT messages they become. Source: protocol.md, «Requests».

A message is a report body under `command/`. Beside the fields it has the command's id, the authenticated user, and the
equipment levels at which the action is granted to them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bridge.domain.access.command_admission import AdmittedCommand, CommandNotGranted, PlantPlaces, admit_command
from bridge.domain.access.topic_layout import ACTIONS
from bridge.domain.access.viewer import Viewer
from bridge.domain.control_characters import CONTROL_CHARACTER
from bridge.domain.report_fields import MULTILINE_FIELDS
from bridge.domain.reports import BODY_OF
from bridge.domain.topic_tree import TopicBranch
from bridge.domain.validation_errors import FieldFault, invalid_value
from bridge.protocol.client_frames import Body, CommandHead, InvalidFrame, repeatable_id
from bridge.protocol.error_codes import ErrorCode

_NOTES: Final = frozenset({"notes", "resolution_code"})
_REASON: Final = frozenset({"reason"})

ACTION_FIELDS: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "andon.raise": (frozenset({"andon_type"}), frozenset({"priority", "description"})),
    "andon.acknowledge": (frozenset({"call_id"}), _NOTES),
    "andon.arrive": (frozenset({"call_id"}), _NOTES),
    "andon.resolve": (frozenset({"call_id"}), _NOTES),
    "andon.cancel": (frozenset({"call_id"}), frozenset()),
    "andon.escalate": (frozenset({"call_id"}), frozenset()),
    "downtime.classify": (frozenset({"downtime_id", "reason_code"}), frozenset({"notes"})),
    "downtime.confirm": (frozenset({"downtime_id"}), frozenset()),
    "downtime.unconfirm": (frozenset({"downtime_id"}), frozenset()),
    "job.assign": (frozenset({"job_id", "product", "target_quantity", "assigned_to"}), frozenset()),
    "job.accept": (frozenset({"job_id"}), _REASON),
    "job.start": (frozenset({"job_id"}), _REASON),
    "job.pause": (frozenset({"job_id"}), _REASON),
    "job.complete": (frozenset({"job_id"}), _REASON),
    "job.cancel": (frozenset({"job_id"}), _REASON),
    "changeover.start": (frozenset({"to_product"}), frozenset({"from_product"})),
    "changeover.complete": (frozenset(), frozenset()),
    "quality.clear": (frozenset({"alert_id"}), frozenset()),
}
"""Action -> required fields, optional fields. All other fields of a body are ignored and never forwarded."""

assert ACTION_FIELDS.keys() == set(ACTIONS), "an action without fields could be granted and never sent"

_CONTROL: Final = re.compile(CONTROL_CHARACTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRequest:
    """A well-formed command, not yet authorized. `fields` holds the action's own fields, without nulls."""

    id: str
    action: str
    line_id: str
    equipment_code: str | None
    fields: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return self.action.partition(".")[0]


def parse_command(body: Body) -> CommandRequest:
    """Return the command in a body; raise InvalidFrame."""
    try:
        head = msgspec.convert(body, CommandHead)
    except msgspec.ValidationError as error:
        message = FieldFault.of(error).describe("command")
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, message, id=repeatable_id(body)) from None
    if head.action not in ACTION_FIELDS:
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, "no such action", id=head.id, detail={"actions": list(ACTIONS)})
    required, optional = ACTION_FIELDS[head.action]
    fields = {name: body[name] for name in sorted(required | optional) if body.get(name) is not None}
    missing = sorted(required - fields.keys())
    if missing:
        message = f"{head.action} needs {', '.join(missing)}"
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, message, id=head.id)
    request = CommandRequest(
        id=head.id, action=head.action, line_id=head.line_id, equipment_code=head.equipment_code, fields=fields
    )
    _check_fields(request)
    return request


def _check_fields(request: CommandRequest) -> None:
    for name, value in request.fields.items():
        if name not in MULTILINE_FIELDS and isinstance(value, str) and _CONTROL.search(value):
            raise InvalidFrame(ErrorCode.INVALID_MESSAGE, invalid_value(name, request.action), id=request.id)
    verb = request.action.partition(".")[2]
    try:
        msgspec.convert({"action": verb, **request.fields}, BODY_OF[request.kind])
    except msgspec.ValidationError as error:
        message = FieldFault.of(error).describe(request.action)
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, message, id=request.id) from None


def acknowledge_request(*, id: str, call_id: str, line_id: str) -> CommandRequest:  # noqa: A002 - the field's name
    """Return the command behind `acknowledge {event_id}`."""
    return CommandRequest(
        id=id, action="andon.acknowledge", line_id=line_id, equipment_code=None, fields={"call_id": call_id}
    )


def authorize(request: CommandRequest, viewer: Viewer, places: PlantPlaces) -> AdmittedCommand:
    """Return where the command is granted; raise InvalidFrame, the same for a place that only might not exist."""
    match admit_command(request.action, request.line_id, request.equipment_code, viewer, places):
        case AdmittedCommand() as admitted:
            return admitted
        case CommandNotGranted(is_unknown=True):
            message = "the plant has no such line, or the line no such equipment"
            raise InvalidFrame(ErrorCode.UNKNOWN_PLACE, message, id=request.id)
        case CommandNotGranted():
            message = f"there is no such line or equipment, or {request.action} is not granted there"
            raise InvalidFrame(ErrorCode.FORBIDDEN, message, id=request.id)


@dataclass(frozen=True, slots=True)
class CommandMessage:
    """MQTT message of a command: `topic` relative to the root, and the JSON payload that the pipeline reads."""

    topic: str
    payload: bytes


def command_message(request: CommandRequest, admitted: AdmittedCommand, viewer: Viewer) -> CommandMessage:
    """Return the message of an authorized command; the same command gives the same bytes."""
    user: dict[str, Any] = {"id": viewer.user_id, "roles": list(viewer.roles)}
    if viewer.name is not None:
        user["name"] = viewer.name
    verb = request.action.partition(".")[2]
    own = {"id": request.id, "user": user, "granted_at": admitted.granted_at, "action": verb}
    body = {**own, **request.fields}
    topic = "/".join((TopicBranch.COMMAND, *admitted.place.levels(), request.kind))
    return CommandMessage(topic, msgspec.json.encode(body))
