"""Contract documents: JSON Schemas of event types, report and command kinds and the revocation list; AsyncAPI 3.

`floor schema --write docs` writes them to docs/, and the diagram in docs/protocol.md; tests fail when they differ.
"""

import json
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec

from bridge.contract.delivery_diagram import with_diagram
from bridge.contract.frame_schemas import client_frames, server_frames
from bridge.contract.model_schemas import Schema, schemas_by_name, self_contained
from bridge.contract.report_schemas import REPORT_KINDS, command_schemas, report_schemas
from bridge.domain.access.revocations import RevocationList
from bridge.domain.access.subscription_types import TARGET_PLACEHOLDERS, SubscriptionType
from bridge.domain.envelope import Envelope
from bridge.domain.event_data import AndonType
from bridge.domain.events import CATEGORY_OF, CONFLATED_TYPES, DATA_OF, EventType, Priority
from bridge.domain.reports import COMMAND_KINDS
from bridge.domain.stream_status import status_topic
from bridge.domain.topic_tree import TopicBranch

REFERENCE: Final = "#/components/schemas/{name}"
VERSION: Final = "1.0.0"  # of the contract, which changes additively within 1


def event_schemas() -> dict[str, Schema]:
    """Return a self-contained JSON Schema for the envelope of each of the 13 event types, with its own `data`."""
    schemas, shared = _envelopes("#/$defs/{name}")
    return {name: self_contained(schema, shared) for name, schema in schemas.items()}


def payload_schemas() -> dict[str, Schema]:
    """Return a self-contained JSON Schema for each inbound payload, named `report.{kind}` or `command.{kind}`."""
    schemas, shared = _payloads("#/$defs/{name}")
    return {name: self_contained(schema, shared) for name, schema in schemas.items()}


def revocations_schema() -> Schema:
    """Return a self-contained JSON Schema of the revocation list."""
    schemas, shared = schemas_by_name(["revocations"], [RevocationList], "#/$defs/{name}")
    return self_contained(schemas["revocations"], shared)


def subscription_types() -> list[dict[str, Any]]:
    """Return the 10 subscription types with their allowed targets and resulting filters, the last that of `all`."""
    return [
        {
            "subscription_type": kind.value,
            "target_id": ", ".join(
                [TARGET_PLACEHOLDERS[kind.default_prefix], *(f"`{form.target}`" for form in kind.forms)]
            ),
            "filters": list(dict.fromkeys(form.filter.replace("{type}", kind.value) for form in kind.forms)),
        }
        for kind in SubscriptionType
    ]


def catalogue() -> dict[str, Any]:
    """Return the body of `/ws/events`: event types with category, loss policy and schema; subscription types."""
    schemas = event_schemas()
    return {
        "event_types": [
            {
                "type": event_type.value,
                "category": CATEGORY_OF[event_type].value,
                "lossless": event_type not in CONFLATED_TYPES,
                "schema": schemas[event_type.value],
            }
            for event_type in EventType
        ],
        "subscription_types": subscription_types(),
    }


def write_documents(folder: Path) -> list[Path]:
    """Write asyncapi.json and schemas/*.json below `folder`; returns the paths written.

    Where there is a protocol.md with a diagram of the delivery, the diagram is written again.
    """
    documents = {"asyncapi.json": asyncapi_document("floor/v1")}
    documents |= {f"schemas/event.{name}.json": schema for name, schema in event_schemas().items()}
    documents |= {f"schemas/{name}.json": schema for name, schema in payload_schemas().items()}
    documents["schemas/revocations.json"] = revocations_schema()
    (folder / "schemas").mkdir(parents=True, exist_ok=True)
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    written = [folder / name for name in documents]
    protocol = folder / "protocol.md"
    former = protocol.read_text(encoding="utf-8") if protocol.exists() else ""
    if (current := with_diagram(former)) != former:
        protocol.write_text(current, encoding="utf-8")
        written.append(protocol)
    return written


def asyncapi_document(root: str) -> Schema:
    """Return the AsyncAPI 3.0 document of all MQTT topics below `root` and of the dashboards' WebSocket."""
    events, shared = _envelopes(REFERENCE)
    payloads, of_payloads = _payloads(REFERENCE)
    requests, of_requests = client_frames(REFERENCE)
    requested = {f"client.{name}": schema for name, schema in requests.items()}
    frames, of_frames = server_frames(REFERENCE)
    delivered = {f"server.{name}": schema for name, schema in frames.items()}
    by_name = payloads | {"status": _STATUS, "lamp": _LAMP}
    by_name |= {f"event.{name}": schema for name, schema in events.items()} | requested | delivered
    kinds = [f"report.{kind}" for kind in REPORT_KINDS]
    commands, of_events = [f"command.{kind}" for kind in COMMAND_KINDS], [f"event.{kind}" for kind in EventType]
    place = "{site}/{area}/{line}/{equipment}"
    channels = {
        "report": _channel(
            f"{TopicBranch.REPORT.prefix(root)}{place}/{{kind}}", kinds, _MQTT, kind=[k.split(".")[1] for k in kinds]
        ),
        "command": _channel(
            f"{TopicBranch.COMMAND.prefix(root)}{place}/{{kind}}", commands, _MQTT, kind=list(COMMAND_KINDS)
        ),
        "event": _channel(
            f"{TopicBranch.EVENT.prefix(root)}{place}/{{category}}/{{type}}/{{priority}}/{{subject}}",
            of_events,
            _MQTT,
            category=sorted(set(CATEGORY_OF.values())),
            type=list(EventType),
            priority=list(Priority),
        ),
        "bridge_status": _channel(status_topic(root, "{stream}"), ["status"], _MQTT),
        "station_lamp": _channel(
            f"{TopicBranch.STATION.prefix(root)}{{site}}/{{area}}/{{line}}/{{station}}/{{andon_type}}",
            ["lamp"],
            _MQTT,
            andon_type=sorted(get_args(AndonType)),
        ),
        "dashboard": _channel("/ws", [*requested, *delivered, *of_events], _WEB),
    }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "floor-bridge", "version": VERSION, "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": {
            _MQTT: {"host": "127.0.0.1:1883", "protocol": "mqtt", "description": "Your broker, QoS 1 throughout."},
            _WEB: {"host": "127.0.0.1:8080", "protocol": "ws", "description": "Subprotocol floor.v1, text frames."},
        },
        "channels": channels,
        "operations": {
            "receiveReports": _operation("receive", "report", kinds),
            "receiveCommands": _operation("receive", "command", commands),
            "sendCommands": _operation("send", "command", commands),
            "sendEvents": _operation("send", "event", of_events),
            "sendStatus": _operation("send", "bridge_status", ["status"]),
            "sendLamps": _operation("send", "station_lamp", ["lamp"]),
            "receiveFrames": _operation("receive", "dashboard", list(requested)),
            "sendFrames": _operation("send", "dashboard", [*delivered, *of_events]),
        },
        "components": {
            "messages": {name: _message(name) for name in by_name},
            "schemas": {**by_name, **of_payloads, **of_requests, **of_frames, **shared},
        },
    }


_ABOUT: Final = (
    "Shop-floor reports in over MQTT, 13 event types out: to MQTT, and over WebSocket to dashboards. "
    "Operations are the bridge's own: it receives reports and sends events. "
    "With batching on, a server frame is an array of the objects described here."
)
_MQTT: Final = "broker"
_WEB: Final = "front"
_STATUS: Final[Schema] = {
    "type": "object",
    "description": "Retained, once a second; the Will says online: false.",
    "properties": {
        "online": {"type": "boolean"},
        "epoch": {"type": "string"},
        "offset": {
            "type": ["integer", "null"],
            "minimum": 0,
            "description": "last published; null in the Will",
        },
        "time": {"type": ["string", "null"], "format": "date-time"},
        "simulated": {"type": "boolean"},
        "ready": {"type": "boolean", "description": "what happens on the floor is journalled now"},
        "owner": {"type": "string", "description": "of the process that publishes the stream; random"},
        "since": {"type": "string", "format": "date-time", "description": "when that process started"},
    },
    "required": ["online", "epoch", "offset", "time", "simulated", "ready", "owner", "since"],
}
_LAMP: Final[Schema] = {"enum": ["off", "open", "acknowledged"], "description": "Retained plain text, for a lamp."}


def _channel(address: str, messages: list[str], server: str, **allowed: list[Any]) -> Schema:
    names = [level[1:-1] for level in address.split("/") if level.startswith("{")]
    parameters = {name: {"enum": [str(word) for word in allowed[name]]} if name in allowed else {} for name in names}
    return {
        "address": address,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        **({"parameters": parameters} if parameters else {}),
    }


def _operation(action: Literal["send", "receive"], channel: str, messages: list[str]) -> Schema:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _message(name: str) -> Schema:
    plain = {"contentType": "text/plain"} if name == "lamp" else {}
    return {"name": name.rpartition(".")[2], **plain, "payload": {"$ref": REFERENCE.format(name=name)}}


def _envelopes(reference: str) -> tuple[dict[str, Schema], Schema]:
    shapes = []
    for event_type in EventType:
        fields: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Envelope)}
        fields["type"] = Literal[event_type.value]
        fields["category"] = Literal[CATEGORY_OF[event_type].value]
        fields["data"] = DATA_OF[event_type]
        shapes.append(msgspec.defstruct(event_type.value, list(fields.items())))
    return schemas_by_name([kind.value for kind in EventType], shapes, reference)


def _payloads(reference: str) -> tuple[dict[str, Schema], Schema]:
    reports, of_reports = report_schemas(reference)
    commands, of_commands = command_schemas(reference)
    by_name = {f"report.{kind}": schema for kind, schema in reports.items()}
    by_name |= {f"command.{kind}": schema for kind, schema in commands.items()}
    return by_name, of_reports | of_commands
