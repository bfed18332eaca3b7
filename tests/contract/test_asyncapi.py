"""The AsyncAPI document names every topic and describes every message."""

import json
from collections.abc import Iterator
from typing import Any

from bridge.contract import schemas
from bridge.domain.events import EventType
from bridge.domain.records import Position
from bridge.domain.stream_status import StreamOwner, status_publication, will_publication
from bridge.protocol.error_codes import ErrorCode
from bridge.protocol.server_frames import (
    Error,
    Link,
    PositionReached,
    SnapshotBegin,
    StreamAt,
    StreamLink,
    encode_frame,
)
from tests.contract.test_schemas import is_valid, sample


def references(tree: Any) -> Iterator[str]:
    if isinstance(tree, dict):
        for name, value in tree.items():
            if name == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from references(value)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = schemas.asyncapi_document("floor/v1")
    pointers = set(references(document))
    assert len(pointers) > 100
    for reference in pointers:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
    used = {reference.removeprefix("#/components/messages/") for reference in pointers if "/components/m" in reference}
    assert used == document["components"]["messages"].keys()


def test_the_asyncapi_document_names_every_topic_below_the_root() -> None:
    channels = schemas.asyncapi_document("plant/x")["channels"]
    assert [channel["address"] for channel in channels.values()] == [
        "plant/x/report/{site}/{area}/{line}/{equipment}/{kind}",
        "plant/x/command/{site}/{area}/{line}/{equipment}/{kind}",
        "plant/x/event/{site}/{area}/{line}/{equipment}/{category}/{type}/{priority}/{subject}",
        "plant/x/bridge/{stream}",
        "plant/x/station/{site}/{area}/{line}/{station}/{andon_type}",
        "/ws",
    ]
    for channel in channels.values():
        for name in channel.get("parameters", {}):
            assert f"{{{name}}}" in channel["address"]


def test_the_messages_of_the_asyncapi_document_describe_what_is_sent() -> None:
    document = schemas.asyncapi_document("floor/v1")
    tree = sample(EventType.ANDON_EVENT)
    for name, valid in (("event.andon_event", True), ("event.job_started", False), ("server.position", False)):
        assert is_valid(tree, {"$ref": f"#/components/schemas/{name}", **document}) == valid
    clear = {"id": "c1", "user": {"id": "anna", "roles": ["quality"]}, "action": "clear", "alert_id": "L1.alert.1"}
    schema = {"$ref": "#/components/schemas/command.quality", **document}
    assert is_valid(clear, schema)
    assert not is_valid({**clear, "user": "anna"}, schema)
    assert not is_valid({**clear, "action": "paint"}, schema)


def test_a_frame_as_sent_is_valid_by_its_message() -> None:
    document = schemas.asyncapi_document("floor/v1")
    streams = {"main": StreamAt("e1", 3)}
    for frame in (
        PositionReached(streams=streams),
        SnapshotBegin(id="a", positions=streams),
        Link(broker=True, streams={"main": StreamLink(live=True, last_seen=None, offset=3)}),
        Error(code=ErrorCode.FORBIDDEN, message="no"),
    ):
        tree = json.loads(encode_frame(frame))
        for tag in ("position", "snapshot_begin", "link", "error"):
            schema = {"$ref": f"#/components/schemas/server.{tag}", **document}
            assert is_valid(tree, schema) == (tree["type"] == tag)


def test_the_streams_status_and_its_will_are_valid_by_their_message() -> None:
    document = schemas.asyncapi_document("floor/v1")
    schema = {"$ref": "#/components/schemas/status", **document}
    at = Position("main", "e1", 3)
    for published in (
        status_publication(
            at,
            root="floor/v1",
            online=True,
            ready=True,
            time=1_767_592_800_000,
            simulated=False,
            owner=StreamOwner("a", 0),
        ),
        will_publication(at, root="floor/v1", simulated=True, owner=StreamOwner("a", 0)),
    ):
        tree = json.loads(published.payload)
        assert is_valid(tree, schema)
        assert tree.keys() == document["components"]["schemas"]["status"]["properties"].keys()
        assert not is_valid({**tree, "online": None}, schema)
