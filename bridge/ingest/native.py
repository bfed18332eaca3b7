"""Decoder of the bridge's own messages: topic and JSON payload -> a `Report`, or the reason for its quarantine.

Source: docs/devices.md; design.md, «Message flow». The topic identifies the device; the payload must agree.
"""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from bridge.domain.ids import is_id
from bridge.domain.place import Place
from bridge.domain.probe_topics import probe_disposition
from bridge.domain.report_fields import CommandId
from bridge.domain.report_topic import ReportTopic
from bridge.domain.reports import (
    BODY_OF,
    COMMAND_KINDS,
    Actor,
    Disposition,
    Report,
    ReportBody,
    StateReport,
    quarantined,
)
from bridge.domain.strict_json import MAX_BYTES, NotStrictJson, parse_json
from bridge.domain.topic_tree import TopicBranch
from bridge.domain.utc_time import Millis
from bridge.ingest.report_validation import PayloadRejected, check_line_breaks, convert, convert_body

MAX_TOPICS: Final = 16_384  # whose parts are kept; a plant of 5,000 devices uses as many
MAX_ROLES: Final = 50  # of one user; bounds what a command makes us store
MAX_LEVELS: Final = 201  # a line's most equipment, and `_`

IDENTITY_FIELDS: Final[Mapping[str, int]] = {
    "site": 0, "site_id": 0,
    "area": 1, "area_id": 1,
    "line": 2, "line_id": 2,
    "equipment": 3, "equipment_id": 3, "equipment_code": 3, "device": 3, "device_id": 3, "station": 3, "station_id": 3,
}  # fmt: skip
"""Identity fields of a payload -> the level of the place in the topic that each must agree with."""


class CommandUser(Struct, frozen=True):
    id: Annotated[str, Meta(min_length=1, max_length=255)]  # a token's subject, as long as claims.py allows
    roles: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=MAX_ROLES)]
    name: Annotated[str, Meta(max_length=200)] | None = None


class CommandPayload(Struct, frozen=True):
    """Fields that the front adds to a user's action: its id, kept for 24 h, the authenticated user, and their grants.

    `granted_at`: equipment levels of the line, or `+`. A front of an earlier version has authorized that of the topic.
    """

    id: CommandId
    user: CommandUser
    granted_at: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=MAX_LEVELS)] | None = None


def decode(
    topic: str, payload: bytes, *, received_at: Millis, cause: str, retained: bool, max_bytes: int = MAX_BYTES
) -> Report | Disposition:
    """Return the report in a message, or a quarantine disposition whose reason is one of a bounded set; never raise.

    What is on a topic of the probe is suppressed. `topic` is relative to the root. Fields unknown to the kind are only
    counted, in `unknown_fields`.
    """
    try:
        report_topic = _parse_topic(topic)
        is_command = report_topic.branch is TopicBranch.COMMAND
        tree = _parse_object(payload, max_bytes)
        _check_identity(tree, report_topic.place)
        command = convert(tree, CommandPayload) if is_command else None
        body = convert_body(tree, report_topic.kind, is_command=is_command)
        if b"\\" in payload:  # a line break inside a string is always escaped: strict_json refuses raw ones
            check_line_breaks(body, command)
    except (NotStrictJson, PayloadRejected) as refusal:
        return probe_disposition(topic) or quarantined(refusal.reason)  # a topic of the probe is always refused
    return Report(
        place=report_topic.place,
        body=body,
        received_at=received_at,
        cause=cause,
        retained=retained,
        actor=None if command is None else _actor_of(command, report_topic.place),
        command_id=None if command is None else command.id,
        unknown_fields=_unknown_fields(tree, body, is_command=is_command),
    )


def _actor_of(command: CommandPayload, place: Place) -> Actor:
    granted_at = (place.levels()[3],) if command.granted_at is None else tuple(command.granted_at)
    return Actor(command.user.id, tuple(command.user.roles), granted_at, command.user.name)


@lru_cache(maxsize=MAX_TOPICS)  # keeps no refused topic: of those there is no end
def _parse_topic(text: str) -> ReportTopic:
    topic = ReportTopic.parse(text)
    if topic is None:
        raise PayloadRejected("bad_topic")
    place = topic.place
    ids = (place.site, place.area, place.line, *(() if place.equipment is None else (place.equipment,)))
    if not all(map(is_id, ids)):
        raise PayloadRejected("bad_topic")
    if topic.kind not in BODY_OF:
        raise PayloadRejected("unknown_kind")
    if topic.branch is TopicBranch.COMMAND and topic.kind not in COMMAND_KINDS:
        raise PayloadRejected("report_only")
    if topic.branch is TopicBranch.REPORT and topic.kind == "quality":
        raise PayloadRejected("command_only")
    return topic


def _parse_object(payload: bytes, max_bytes: int) -> dict[str, Any]:
    tree = parse_json(payload, max_bytes=max_bytes)
    if not isinstance(tree, dict):
        raise PayloadRejected("not_an_object")
    return tree


def _check_identity(tree: Mapping[str, Any], place: Place) -> None:
    levels = place.levels()
    for name in IDENTITY_FIELDS.keys() & tree.keys():
        claimed = tree[name]
        if claimed not in (None, "") and claimed != levels[IDENTITY_FIELDS[name]]:
            raise PayloadRejected("identity_mismatch")


def _unknown_fields(tree: Mapping[str, Any], body: ReportBody, *, is_command: bool) -> int:
    names = tree.keys() - _known_fields(type(body), is_command=is_command)
    unknown = sum(tree[name] is not None for name in names)
    if isinstance(body, StateReport) and body.packml is not None:
        unknown += _unknown_in(tree["packml"], body.packml)
    return unknown


@cache
def _known_fields(body: type[ReportBody], *, is_command: bool) -> frozenset[str]:
    command_fields = CommandPayload.__struct_fields__ if is_command else ()
    return frozenset((*body.__struct_fields__, *IDENTITY_FIELDS, *command_fields))


def _unknown_in(tree: Mapping[str, Any], struct: Struct) -> int:
    return sum(value is not None for name, value in tree.items() if name not in struct.__struct_fields__)
