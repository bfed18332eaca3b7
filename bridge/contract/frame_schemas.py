"""JSON Schemas of the dashboard protocol's client and server frames, from their types."""

from typing import Any, Final

import msgspec

from bridge.contract.model_schemas import Schema, schemas_by_name
from bridge.domain.access.subscription_request import SubscriptionBody
from bridge.protocol.client_frames import BODY_OF, CLIENT_FRAMES, Resume
from bridge.protocol.commands import ACTION_FIELDS
from bridge.protocol.server_frames import ServerFrame

_ACTIONS: Final[list[Schema]] = [
    {
        "properties": {"action": {"const": action}, **{name: {"not": {"type": "null"}} for name in sorted(needed)}},
        "required": ["action", *sorted(needed)],
    }
    for action, (needed, _) in ACTION_FIELDS.items()
]
"""Required fields of a command, for each action."""


def client_frames(reference: str) -> tuple[dict[str, Schema], Schema]:
    """Return the schema of each frame that a client sends, by its `type`, and the components they share."""
    frames, shared = schemas_by_name(list(CLIENT_FRAMES), map(_client_frame, CLIENT_FRAMES), reference)
    frames["command"]["oneOf"] = _ACTIONS
    return frames, shared


def _client_frame(name: str) -> type[msgspec.Struct]:
    """Return the struct of all fields of a frame: those that are parsed later, as a body, are among them."""
    shape = CLIENT_FRAMES[name]
    fields: dict[str, tuple[Any, Any]] = {
        field.name: (field.type, field.default) for field in msgspec.structs.fields(BODY_OF.get(name, shape))
    }
    if shape is Resume:
        fields["subscriptions"] = (list[SubscriptionBody], msgspec.NODEFAULT)
    members = [(field, *declared) for field, declared in fields.items()]
    return msgspec.defstruct(f"{name.capitalize()}Frame", members, kw_only=True, tag_field="type", tag=name)


def server_frames(reference: str) -> tuple[dict[str, Schema], Schema]:
    """Return the schema of each server frame except events, by its `type`, and the components they share."""
    frames = ServerFrame.__subclasses__()
    return schemas_by_name([str(frame.__struct_config__.tag) for frame in frames], frames, reference)
