"""Our own messages: a topic relative to the root and its JSON payload -> a `Report`, or why it goes to quarantine.

Source: DESIGN, «The way of a message»; DOMAIN, «Reports». The topic says who speaks; a payload may only agree.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from bridge.core.events import LINE_LEVEL, Millis, Place
from bridge.core.reports import (
    BODY_OF,
    COMMAND_KINDS,
    Actor,
    AndonReport,
    Body,
    CountsReport,
    Disposition,
    Report,
    StateReport,
    quarantined,
)
from bridge.core.strict_json import MAX_BYTES, NotStrictJson, parse, strings

LEVELS: Final = 6  # {report|command}/{site}/{area}/{line}/{equipment}/{kind}
MAX_ROLES: Final = 50  # of one user; what a command may make us keep
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEX = re.compile(r"(?:0[xX])?[0-9A-Fa-f]{1,64}")
_LINE_BREAK = re.compile(r"[\t\n\r]")
_FREE_TEXT: Final = frozenset({"description", "notes", "reason"})  # what people write may have lines

_CLAIMS: Final[Mapping[str, int]] = {
    "site": 1, "site_id": 1,
    "area": 2, "area_id": 2,
    "line": 3, "line_id": 3,
    "equipment": 4, "equipment_id": 4, "equipment_code": 4, "device": 4, "device_id": 4, "station": 4, "station_id": 4,
}  # fmt: skip
"""Fields by which a payload says who it is -> the topic level that decides."""


class CommandUser(Struct, frozen=True):
    id: Annotated[str, Meta(min_length=1, max_length=255)]  # a token's subject, as long as claims.py takes it
    roles: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=MAX_ROLES)]
    name: Annotated[str, Meta(max_length=200)] | None = None


class Command(Struct, frozen=True):
    """What the front adds to a user's deed: the id it is known by for 24 h, and the proven user."""

    id: Annotated[str, Meta(min_length=1, max_length=64)]
    user: CommandUser


T = TypeVar("T")


@dataclass(eq=False)
class _Refused(Exception):
    reason: str


def decode(
    topic: str, payload: bytes, *, received_at: Millis, cause: str, retained: bool, max_bytes: int = MAX_BYTES
) -> Report | Disposition:
    """Return what a message says, or a quarantine disposition whose reason is one of a bounded set; never raises.

    `topic` is relative to the root. Fields that the kind does not know are counted in `unknown_fields`, no more.
    """
    try:
        levels = _levels(topic)
        tree = _object(payload, max_bytes)
        _check_claims(tree, levels)
        command = _convert(tree, Command) if levels[0] == "command" else None
        body = _convert(tree, BODY_OF[levels[5]])
        _check_rules(body, is_command=command is not None)
        if b"\\" in payload:  # a line break inside a string is always escaped: strict_json refuses raw ones
            _check_line_breaks(tree, body)
    except (NotStrictJson, _Refused) as refusal:
        return quarantined(refusal.reason)
    return Report(
        place=_place(levels),
        body=body,
        received_at=received_at,
        cause=cause,
        retained=retained,
        actor=None if command is None else Actor(command.user.id, tuple(command.user.roles), command.user.name),
        command_id=None if command is None else command.id,
        unknown_fields=_unknown_fields(tree, body, is_command=command is not None),
    )


def _levels(topic: str) -> list[str]:
    levels = topic.split("/", LEVELS)  # at most one more than there may be, however deep the topic is
    if len(levels) != LEVELS or levels[0] not in ("report", "command"):
        raise _Refused("bad_topic")
    ids = levels[1:4] if levels[4] == LINE_LEVEL else levels[1:5]
    if not all(map(_ID.fullmatch, ids)):
        raise _Refused("bad_topic")
    if levels[5] not in BODY_OF:
        raise _Refused("unknown_kind")
    if levels[0] == "command" and levels[5] not in COMMAND_KINDS:
        raise _Refused("report_only")
    if levels[0] == "report" and levels[5] == "quality":
        raise _Refused("command_only")
    return levels


def _object(payload: bytes, max_bytes: int) -> dict[str, Any]:
    tree = parse(payload, max_bytes=max_bytes)
    if not isinstance(tree, dict):
        raise _Refused("not_an_object")
    return tree


def _place(levels: list[str]) -> Place:
    _, site, area, line, equipment, _ = levels
    return Place(site, area, line, None if equipment == LINE_LEVEL else equipment)


def _check_claims(tree: Mapping[str, Any], levels: list[str]) -> None:
    for name in _CLAIMS.keys() & tree.keys():
        claimed = tree[name]
        if claimed is not None and claimed != levels[_CLAIMS[name]]:
            raise _Refused("identity_mismatch")


def _convert(tree: dict[str, Any], shape: type[T]) -> T:
    try:
        return msgspec.convert(tree, shape)
    except msgspec.ValidationError as error:
        raise _Refused(_reason(str(error))) from None


def _reason(text: str) -> str:
    """Put msgspec's sentence into `{fault}:{field}`; the field is one of ours, never the sender's text."""
    match = _SENTENCE.fullmatch(text)
    assert match is not None  # both of its parts may be empty
    sentence, path = match[1], match[2] or ""
    field = _INDEX.sub("", path).lstrip(".")
    if missing := _MISSING.fullmatch(sentence):
        return f"missing_field:{field}.{missing[1]}" if field else f"missing_field:{missing[1]}"
    fault = next((name for sign, name in _FAULTS if sign in sentence), "wrong_type")
    return f"{fault}:{field}"


_SENTENCE = re.compile(r"(.*?)(?: - at `\$([a-z_.\[\]0-9]*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `([a-z_]+)`")
_INDEX = re.compile(r"\[[0-9.]*\]")
_FAULTS: Final = (
    ("Invalid enum value", "not_allowed"),  # first: it quotes the sender, who may have written one of the others
    (", got ", "wrong_type"),
    (" matching regex ", "bad_format"),
    (" of length ", "out_of_range"),
    ("Expected ", "out_of_range"),
)


def _check_rules(body: Body, *, is_command: bool) -> None:
    """Hold what no single field can: DOMAIN, «Reports»."""
    match body:
        case StateReport(state=state, packml=packml, fault_bits=bits):
            if (state is None) == (packml is None):
                raise _Refused("needs_state_or_packml")
            if isinstance(bits, str) and not _HEX.fullmatch(bits):
                raise _Refused("bad_format:fault_bits")
        case CountsReport(total=None, good=None, reject=None):
            raise _Refused("needs_a_counter")
        case AndonReport():
            _check_andon(body, is_command=is_command)
        case _:
            pass


def _check_andon(body: AndonReport, *, is_command: bool) -> None:
    if (body.action is None) == (body.input is None):
        raise _Refused("needs_action_or_input")
    if is_command and body.input is not None:
        raise _Refused("report_only:input")  # a level is what a wire has; a user does something
    if not is_command and body.action == "escalate":
        raise _Refused("command_only:action")
    if body.andon_type is None and (body.call_id is None or body.action in ("raise", None)):
        raise _Refused("missing_field:andon_type")


def _check_line_breaks(tree: Mapping[str, Any], body: Body) -> None:
    for name in (*body.__struct_fields__, "id", "user"):
        if name not in _FREE_TEXT and any(map(_LINE_BREAK.search, strings(tree.get(name)))):
            raise _Refused("control_character")


def _unknown_fields(tree: Mapping[str, Any], body: Body, *, is_command: bool) -> int:
    known = {*body.__struct_fields__, *_CLAIMS, *(Command.__struct_fields__ if is_command else ())}
    unknown = len(tree.keys() - known)
    if isinstance(body, StateReport) and body.packml is not None:
        unknown += len(tree["packml"].keys() - set(body.packml.__struct_fields__))
    return unknown
