"""JSON Schemas of the dashboard protocol's frames, as PROTOCOL.md lists them: what a client sends, what it is told."""

from collections.abc import Mapping
from typing import Any, Final

from bridge.core.events import EventType, Priority
from bridge.core.shapes import ACTIONS

Schema = dict[str, Any]

SUBSCRIPTION_TYPES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "line": ("line id, or `site/area/line`", ("+/+/{line}/#", "#")),
    "equipment": ("equipment code", ("+/+/+/{equipment}/#", "#")),
    "job": ("job id, or `me`", ("+/+/+/+/job/+/+/{job}", "+/+/+/+/job/#")),
    **{
        category: (
            "line id, `line:L`, `equipment:E`, or `site/area/line`",
            (f"+/+/{{line}}/+/{category}/#", f"+/+/+/{{equipment}}/{category}/#", f"+/+/+/+/{category}/#"),
        )
        for category in ("production", "oee", "downtime", "andon", "quality", "changeover")
    },
    "escalation": (
        "priority, `priority:P`, `escalation:X`, `line:L`, or `me`",
        (
            "+/+/+/+/escalation/+/{priority}/+",
            "+/+/+/+/escalation/+/+/{escalation}",
            "+/+/{line}/+/escalation/#",
            "+/+/+/+/escalation/#",
        ),
    ),
}
"""subscription_type -> (what its target may be, the filters it becomes, relative to `{root}/event/`).

The last filter of each is that of the target `all`, or of none.
"""

ERROR_CODES: Final = (
    "INVALID_JSON", "UNKNOWN_TYPE", "INVALID_MESSAGE", "UNAUTHENTICATED", "FORBIDDEN", "UNKNOWN_SUBSCRIPTION_TYPE",
    "MISSING_TARGET_ID", "LIMIT_EXCEEDED", "RATE_LIMITED", "UNAVAILABLE",
)  # fmt: skip

_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {"type": "array", "items": _TEXT}
_FLAG: Final[Schema] = {"type": "boolean"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_TIME: Final[Schema] = {"type": "string", "format": "date-time"}
_ANY: Final[Schema] = {}
_FREE: Final[Schema] = {"type": "object"}
_POSITION: Final[Schema] = {
    "type": "object",
    "properties": {"epoch": _TEXT, "offset": _COUNT},
    "required": ["epoch", "offset"],
}
_POSITIONS: Final[Schema] = {"type": "object", "additionalProperties": _POSITION}
_FILTERS: Final[Schema] = {**_TEXTS, "description": "MQTT topic filters relative to {root}/event/"}
_TARGET: Final[Schema] = {"anyOf": [_TEXT, {**_TEXTS, "minItems": 1}]}
_NARROWING: Final[Schema] = {
    "type": "object",
    "properties": {
        "event_types": {"type": "array", "items": {"enum": [each.value for each in EventType]}},
        "priorities": {"type": "array", "items": {"enum": [each.value for each in Priority]}},
    },
}
_BODY: Final[Mapping[str, Schema]] = {
    "id?": _TEXT,
    "subscription_type?": {"enum": list(SUBSCRIPTION_TYPES)},
    "target_id?": _TARGET,
    "target?": _TARGET,
    "filters?": _NARROWING,
    "mqtt_filter?": _TEXT,
    "strict?": {**_FLAG, "default": False},
    "snapshot?": {**_FLAG, "default": True},
}
_CONFIRMED: Final[Mapping[str, Schema]] = {
    "id?": _TEXT,
    "subscription_type?": {"anyOf": [_TEXT, {"type": "null"}]},
    "target_id?": _ANY,
    "target?": _ANY,
    "effective": _FILTERS,
    "narrowed": _FLAG,
}


def _object(fields: Mapping[str, Schema], **extra: Any) -> Schema:
    """An object's schema; a name ending in `?` is optional."""
    return {
        "type": "object",
        **extra,
        "properties": {name.rstrip("?"): schema for name, schema in fields.items()},
        "required": [name for name in fields if not name.endswith("?")],
    }


_LINK_STREAM: Final = _object({"live": _FLAG, "last_seen?": _ANY, "offset?": _COUNT})
_COMMAND: Final[Mapping[str, Schema]] = {
    "id": {"type": "string", "minLength": 1, "maxLength": 64},
    "action": {"enum": list(ACTIONS)},
    "line_id": _TEXT,
    "equipment_code?": {"anyOf": [_TEXT, {"type": "null"}]},
}
_STREAMS_RECOVERED: Final[Schema] = {"type": "object", "additionalProperties": _object({"recovered": _FLAG})}

_CLIENT: Final[Mapping[str, Mapping[str, Schema]]] = {
    "auth": {"token": _TEXT},
    "subscribe": _BODY,
    "unsubscribe": {"id?": _TEXT, "subscription_type?": _TEXT, "target_id?": _TARGET, "target?": _TARGET},
    "resume": {"subscriptions": {"type": "array", "items": _object(_BODY)}, "since": _POSITIONS},
    "options": {"batch?": _FLAG, "batch_ms?": {"type": "integer", "minimum": 0, "maximum": 1_000}},
    "ping": {"timestamp?": _ANY},
    "heartbeat": {"timestamp?": _ANY},
    "command": _COMMAND,
    "acknowledge": {"event_id": _TEXT},
    "explain": _BODY,
}

_SERVER: Final[Mapping[str, Mapping[str, Schema]]] = {
    "auth_ok": {
        "user_id": _TEXT, "roles": _TEXTS, "expires_at": _TIME, "read": _FILTERS, "command": _TEXTS,
        "streams": _POSITIONS, "server_time": _TIME, "simulated": _FLAG,
    },
    "subscription_confirmed": _CONFIRMED,
    "unsubscription_confirmed": {name: schema for name, schema in _CONFIRMED.items() if name.endswith("?")},
    "resumed": {"subscriptions": {"type": "array", "items": _FREE}, "streams": _STREAMS_RECOVERED},
    "options": {"batch": _FLAG, "batch_ms": _COUNT},
    "pong": {"timestamp?": _ANY, "server_time": _TIME},
    "command_result": {
        "id": _TEXT, "outcome": {"enum": ["applied", "suppressed", "rejected", "unknown"]},
        "reason?": {"anyOf": [_TEXT, {"type": "null"}]}, "event_ids?": _TEXTS,
    },
    "snapshot_begin": {"id": _ANY, "positions": _POSITIONS},
    "snapshot_end": {"id": _ANY, "count": _COUNT},
    "position": {"streams": _POSITIONS},
    "link": {"broker": _ANY, "streams": {"type": "object", "additionalProperties": _LINK_STREAM}},
    "conflated": {"counts": {"type": "object", "additionalProperties": _COUNT}},
    "revoked": {"filters": _FILTERS},
    "widened": {"filters": _FILTERS},
    "expiring": {"expires_at": _TIME},
    "explained": {"allowed": _FLAG},
    "error": {"code": {"enum": list(ERROR_CODES)}, "message": _TEXT, "id?": _ANY, "detail?": _ANY},
}  # fmt: skip


def client_frames() -> dict[str, Schema]:
    """The schema of each frame that a client sends, by its `type`."""
    return {name: _frame(name, fields) for name, fields in _CLIENT.items()}


def server_frames() -> dict[str, Schema]:
    """The schema of each frame that the server sends, by its `type`; events are envelopes and have schemas apart."""
    return {name: _frame(name, fields) for name, fields in _SERVER.items()}


def _frame(name: str, fields: Mapping[str, Schema]) -> Schema:
    return _object({"type": {"const": name}, **fields})
