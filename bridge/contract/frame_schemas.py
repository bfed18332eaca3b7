"""JSON Schemas of the dashboard protocol's client and server frames, as protocol.md lists them."""

from collections.abc import Mapping
from typing import Any, Final

from bridge.contract.model_schemas import Schema, schemas_by_name
from bridge.domain.access.subscription_types import SubscriptionType
from bridge.domain.access.topic_layout import ACTIONS
from bridge.domain.events import EventType, Priority
from bridge.protocol.commands import ACTION_FIELDS
from bridge.protocol.server_frames import ServerFrame

_TEXT: Final[Schema] = {"type": "string"}
_TEXTS: Final[Schema] = {"type": "array", "items": _TEXT}
_FLAG: Final[Schema] = {"type": "boolean"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_ANY: Final[Schema] = {}
_POSITION: Final[Schema] = {
    "type": "object",
    "properties": {"epoch": _TEXT, "offset": _COUNT},
    "required": ["epoch", "offset"],
}
_POSITIONS: Final[Schema] = {"type": "object", "additionalProperties": _POSITION}
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
    "subscription_type?": {"enum": [each.value for each in SubscriptionType]},
    "target_id?": _TARGET,
    "target?": _TARGET,
    "filters?": _NARROWING,
    "mqtt_filter?": _TEXT,
    "strict?": {**_FLAG, "default": False},
    "snapshot?": {**_FLAG, "default": True},
}


def _object(fields: Mapping[str, Schema], **extra: Any) -> Schema:
    """Return an object's schema; a name ending in `?` is optional."""
    return {
        "type": "object",
        **extra,
        "properties": {name.rstrip("?"): schema for name, schema in fields.items()},
        "required": [name for name in fields if not name.endswith("?")],
    }


_COMMAND: Final[Mapping[str, Schema]] = {
    "id": {"type": "string", "minLength": 1, "maxLength": 64},
    "action": {"enum": list(ACTIONS)},
    "line_id": _TEXT,
    "equipment_code?": {"anyOf": [_TEXT, {"type": "null"}]},
}

_CLIENT: Final[Mapping[str, Mapping[str, Schema]]] = {
    "auth": {"token": _TEXT},
    "subscribe": _BODY,
    "unsubscribe": {"id?": _TEXT, "subscription_type?": _TEXT, "target_id?": _TARGET, "target?": _TARGET},
    "resume": {"subscriptions": {"type": "array", "items": _object(_BODY)}, "since": _POSITIONS},
    "options": {"batch?": _FLAG, "batch_ms?": {"type": "integer", "minimum": 0, "maximum": 1_000}},
    "ping": {"timestamp?": _ANY},
    "heartbeat": {"timestamp?": _ANY},
    "command": _COMMAND,
    "acknowledge": {"event_id": _TEXT, "id?": _TEXT},
    "explain": _BODY,
}


def client_frames() -> dict[str, Schema]:
    """Return the schema of each frame that a client sends, by its `type`."""
    frames = {name: _object({"type": {"const": name}, **fields}) for name, fields in _CLIENT.items()}
    frames["command"]["oneOf"] = [
        _object({"action": {"const": action}, **dict.fromkeys(sorted(needed), _ANY)})
        for action, (needed, _) in ACTION_FIELDS.items()
    ]
    return frames


def server_frames(reference: str) -> tuple[dict[str, Schema], Schema]:
    """Return the schema of each server frame except events, by its `type`, and the components they share."""
    frames = ServerFrame.__subclasses__()
    return schemas_by_name([str(frame.__struct_config__.tag) for frame in frames], frames, reference)
