"""Decoder of the bridge's own messages: topic and JSON payload -> a `Report`, or the reason for its quarantine.

Source: docs/devices.md; design.md, «Message flow». The topic identifies the device; the payload must agree.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from bridge.domain.events import LINE_LEVEL, Millis
from bridge.domain.ids import is_id
from bridge.domain.report_fields import CommandId
from bridge.domain.reports import (
    BODY_OF,
    COMMAND_KINDS,
    TOPIC_LEVELS,
    Actor,
    Disposition,
    Report,
    ReportBody,
    StateReport,
    place_of_levels,
    quarantined,
)
from bridge.domain.strict_json import MAX_BYTES, NotStrictJson, parse_json
from bridge.domain.topic_tree import TopicBranch
from bridge.ingest.report_validation import PayloadRejected, check_line_breaks, convert, convert_body

MAX_ROLES: Final = 50  # of one user; bounds what a command makes us store

IDENTITY_FIELDS: Final[Mapping[str, int]] = {
    "site": 1, "site_id": 1,
    "area": 2, "area_id": 2,
    "line": 3, "line_id": 3,
    "equipment": 4, "equipment_id": 4, "equipment_code": 4, "device": 4, "device_id": 4, "station": 4, "station_id": 4,
}  # fmt: skip
"""Identity fields of a payload -> the topic level that each must agree with."""


class CommandUser(Struct, frozen=True):
    id: Annotated[str, Meta(min_length=1, max_length=255)]  # a token's subject, as long as claims.py allows
    roles: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=MAX_ROLES)]
    name: Annotated[str, Meta(max_length=200)] | None = None


class CommandPayload(Struct, frozen=True):
    """Fields that the front adds to a user's action: its id, kept for 24 h, and the authenticated user."""

    id: CommandId
    user: CommandUser


def decode(
    topic: str, payload: bytes, *, received_at: Millis, cause: str, retained: bool, max_bytes: int = MAX_BYTES
) -> Report | Disposition:
    """Return the report in a message, or a quarantine disposition whose reason is one of a bounded set; never raise.

    `topic` is relative to the root. Fields unknown to the kind are only counted, in `unknown_fields`.
    """
    try:
        levels = _parse_topic(topic)
        tree = _parse_object(payload, max_bytes)
        _check_identity(tree, levels)
        command = convert(tree, CommandPayload) if levels[0] == TopicBranch.COMMAND else None
        body = convert_body(tree, levels[5], is_command=command is not None)
        if b"\\" in payload:  # a line break inside a string is always escaped: strict_json refuses raw ones
            check_line_breaks(body, command)
    except (NotStrictJson, PayloadRejected) as refusal:
        return quarantined(refusal.reason)
    return Report(
        place=place_of_levels(levels),
        body=body,
        received_at=received_at,
        cause=cause,
        retained=retained,
        actor=None if command is None else Actor(command.user.id, tuple(command.user.roles), command.user.name),
        command_id=None if command is None else command.id,
        unknown_fields=_unknown_fields(tree, body, is_command=command is not None),
    )


def _parse_topic(topic: str) -> list[str]:
    levels = topic.split("/", TOPIC_LEVELS)  # at most one more than there may be, however deep the topic is
    if len(levels) != TOPIC_LEVELS or levels[0] not in (TopicBranch.REPORT, TopicBranch.COMMAND):
        raise PayloadRejected("bad_topic")
    ids = levels[1:4] if levels[4] == LINE_LEVEL else levels[1:5]
    if not all(map(is_id, ids)):
        raise PayloadRejected("bad_topic")
    if levels[5] not in BODY_OF:
        raise PayloadRejected("unknown_kind")
    if levels[0] == TopicBranch.COMMAND and levels[5] not in COMMAND_KINDS:
        raise PayloadRejected("report_only")
    if levels[0] == TopicBranch.REPORT and levels[5] == "quality":
        raise PayloadRejected("command_only")
    return levels


def _parse_object(payload: bytes, max_bytes: int) -> dict[str, Any]:
    tree = parse_json(payload, max_bytes=max_bytes)
    if not isinstance(tree, dict):
        raise PayloadRejected("not_an_object")
    return tree


def _check_identity(tree: Mapping[str, Any], levels: list[str]) -> None:
    for name in IDENTITY_FIELDS.keys() & tree.keys():
        claimed = tree[name]
        if claimed not in (None, "") and claimed != levels[IDENTITY_FIELDS[name]]:
            raise PayloadRejected("identity_mismatch")


def _unknown_fields(tree: Mapping[str, Any], body: ReportBody, *, is_command: bool) -> int:
    known_fields = {
        *body.__struct_fields__,
        *IDENTITY_FIELDS,
        *(CommandPayload.__struct_fields__ if is_command else ()),
    }
    unknown = sum(value is not None for name, value in tree.items() if name not in known_fields)
    if isinstance(body, StateReport) and body.packml is not None:
        unknown += _unknown_in(tree["packml"], body.packml)
    return unknown


def _unknown_in(tree: Mapping[str, Any], struct: Struct) -> int:
    return sum(value is not None for name, value in tree.items() if name not in struct.__struct_fields__)
