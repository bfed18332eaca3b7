"""Frames that a dashboard sends, as types, and their strict conversion from parsed JSON.

Source: protocol.md. Unknown fields are ignored. An unknown type or wrong field is an error; the connection stays open.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct, field

from bridge.domain.access.subscription_request import MAX_SUBSCRIPTION_ID, SubscriptionBody
from bridge.domain.access.topic_layout import ACTIONS
from bridge.domain.ids import Id
from bridge.domain.report_fields import CommandId
from bridge.domain.validation_errors import FieldFault
from bridge.protocol.error_codes import ErrorCode

MAX_VALUES: Final = 8_192  # of one frame or HTTP body, some 3 ms at most; a resume of 100 x 30 targets has 3,406
MAX_RESUME_STREAMS: Final = 100  # streams one client can know; a resume names each once


class InvalidFrame(Exception):
    """A frame that cannot be served, by the client's fault. All attributes may be sent to the client."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        id: str | None = None,  # noqa: A002 - the field's name on the wire
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.id = id
        self.detail = detail


FrameId = Annotated[CommandId, Meta(pattern=r"^[^\x00-\x1f\x7f]*\Z")]
Body = dict[str, Any]


class Auth(Struct, frozen=True):
    token: Annotated[str, Meta(min_length=1)]


class Subscribe(Struct, frozen=True):
    """`body` is the whole frame, a `SubscriptionBody`; domain/access/subscription_request.py parses it."""

    body: Body = field(default_factory=dict)


class Unsubscribe(Struct, frozen=True):
    """`body` is the whole frame: the id of a `SubscriptionBody`, or its type and targets."""

    body: Body = field(default_factory=dict)


class ResumePosition(Struct, frozen=True):
    epoch: Annotated[str, Meta(max_length=128)]
    offset: Annotated[int, Meta(ge=0)]


class Resume(Struct, frozen=True):
    subscriptions: list[Body]
    since: Annotated[dict[str, ResumePosition], Meta(max_length=MAX_RESUME_STREAMS)]


class Options(Struct, frozen=True):
    batch: bool | None = None
    batch_ms: Annotated[int, Meta(ge=0, le=1_000)] | None = None


class Ping(Struct, frozen=True):
    timestamp: Annotated[str, Meta(max_length=64)] | int | float | None = None


class CommandHead(Struct, frozen=True):
    """Fields of every command; commands.py has those of each action."""

    id: FrameId
    action: Annotated[str, Meta(max_length=64, extra_json_schema={"enum": list(ACTIONS)})]
    line_id: Id
    equipment_code: Id | None = None


class CommandFrame(Struct, frozen=True):
    """`body` is the whole frame, a `CommandHead` with the fields of its action; commands.py parses it."""

    id: FrameId
    body: Body = field(default_factory=dict)


class Acknowledge(Struct, frozen=True):
    event_id: Annotated[str, Meta(min_length=1, max_length=256)]
    id: FrameId | None = None


class Explain(Struct, frozen=True):
    """`body` is the whole frame, a `SubscriptionBody`."""

    body: Body = field(default_factory=dict)


ClientFrame = Auth | Subscribe | Unsubscribe | Resume | Options | Ping | CommandFrame | Acknowledge | Explain

CLIENT_FRAMES: Final[Mapping[str, type[ClientFrame]]] = {
    "auth": Auth,
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "resume": Resume,
    "options": Options,
    "ping": Ping,
    "heartbeat": Ping,
    "command": CommandFrame,
    "acknowledge": Acknowledge,
    "explain": Explain,
}

BODY_OF: Final[Mapping[str, type[Struct]]] = {
    "subscribe": SubscriptionBody,
    "unsubscribe": SubscriptionBody,
    "command": CommandHead,
    "explain": SubscriptionBody,
}
"""The fields of the frames that are parsed as a body."""


def parse_frame(tree: object) -> ClientFrame:
    """Return the frame in parsed JSON; raise InvalidFrame, with the frame's id where that is valid."""
    if not isinstance(tree, dict):
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, "a frame is one JSON object")
    kind = tree.get("type")
    frame_id = repeatable_id(tree)
    if not isinstance(kind, str):
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, "a frame has a type", id=frame_id)
    frame_type = CLIENT_FRAMES.get(kind)
    if frame_type is None:
        raise InvalidFrame(ErrorCode.UNKNOWN_TYPE, "no such type of frame", id=frame_id)
    try:
        frame = msgspec.convert({name: value for name, value in tree.items() if name != "body"}, frame_type)
    except msgspec.ValidationError as error:
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, FieldFault.of(error).describe(kind), id=frame_id) from None
    if isinstance(frame, Subscribe | Unsubscribe | CommandFrame | Explain):
        return msgspec.structs.replace(frame, body=tree)
    return frame


def repeatable_id(body: Body) -> str | None:
    """Return the id in a frame that an error may repeat; bounded, so that replies do not grow with requests."""
    value = body.get("id")
    return value if isinstance(value, str) and 0 < len(value) <= MAX_SUBSCRIPTION_ID else None
