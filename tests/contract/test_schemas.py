"""The checked-in contracts are those of the models, and the models' bytes are valid by them."""

import contextlib
import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bridge.contract import frame_schemas, schemas
from bridge.contract.model_schemas import Schema, self_contained
from bridge.domain import event_data as data
from bridge.domain.access.subscription_request import parse_subscription
from bridge.domain.envelope import encode_event
from bridge.domain.events import CATEGORY_OF, DATA_OF, DataQuality, Event, EventType, Priority
from bridge.domain.place import Place
from bridge.domain.reports import BODY_OF, COMMAND_KINDS
from bridge.domain.topics import TopicFilter
from bridge.protocol.client_frames import CLIENT_FRAMES, CommandFrame, Explain, InvalidFrame, Subscribe, parse_frame
from bridge.protocol.commands import parse_command
from bridge.protocol.server_frames import (
    ServerFrame,
)
from bridge.protocol.session import parse_request

DOCS = Path(__file__).parents[2] / "docs"
T0 = "2026-01-05T06:00:00.000Z"
ANNA = data.Person("anna", "Anna")
JOB = data.Job(job_id="J1", product="P1", status="assigned", target_quantity=100, assigned_to=ANNA)
CHANGEOVER = data.Changeover(changeover_id="L1.co.1", to_product="P2", started_at=T0, signalled_at=T0)
DATA: dict[EventType, data.EventData] = {
    EventType.LINE_STATUS_UPDATE: data.LineStatus(
        scope="line", status="running", previous_status=None, since=T0, scheduled=True, equipment={"B1": "running"}
    ),
    EventType.PRODUCTION_UPDATE: data.Production(
        total_count=5, good_count=4, reject_count=1, rate_per_minute=60.0, production_day="2026-01-05",
        hourly=[data.PlannedHour(T0, None, 5)], window_start=T0, progress=1.2,
    ),
    EventType.OEE_UPDATE: data.Oee(
        window="shift", window_start=T0, window_end=None, closed=False, oee=None, availability=0.5, performance=1.2,
        quality=None, planned_busy_seconds=60.0, actual_production_seconds=30.0, ideal_cycle_seconds=1.0, total_count=0,
        good_count=0, unknown_seconds=0.0, flags=["ideal_cycle_suspect"], null_reason="no_pieces",
    ),
    EventType.DOWNTIME_EVENT: data.Downtime(
        downtime_id="L1.down.1", status="open", started_at=T0, equipment_code="B1", cause="internal",
        category="unplanned", loss="breakdown", micro_stop=False, faults=[data.FaultNote("7", "film torn", T0, True)],
    ),
    EventType.ANDON_EVENT: data.Andon(
        call_id="L1.call.1", andon_type="material", priority="medium", status="open", raised_at=T0, escalation_level=0,
        repeat=0, auto_generated=False, raised_by=data.Person("Eve", claimed=True),
    ),
    EventType.ESCALATION_UPDATE: data.Escalation(
        escalation_id="L1.call.1", call_id="L1.call.1", andon_type="material", level=1, previous_level=0,
        status="active", cause="ack_timeout", recipients=["team_leader"], deadline=T0,
    ),
    EventType.JOB_ASSIGNED: JOB,
    EventType.JOB_STARTED: JOB,
    EventType.JOB_COMPLETED: JOB,
    EventType.JOB_CANCELLED: JOB,
    EventType.QUALITY_ALERT: data.Quality(
        alert_id="L1.alert.1", parameter="weight", rule="limit", value=101.5, unit="g", severity="high",
        status="active", upper=100.0,
    ),
    EventType.CHANGEOVER_STARTED: CHANGEOVER,
    EventType.CHANGEOVER_COMPLETED: CHANGEOVER,
}  # fmt: skip


def sample(event_type: EventType) -> dict[str, Any]:
    event = Event(
        type=event_type, place=Place("plant1", "packing", "L1", "B1"), subject="_", priority=Priority.MEDIUM,
        revision=1, timestamp=1_767_592_800_000, data=DATA[event_type], received_at=1_767_592_800_000,
        caused_by=("input:7",), quality=DataQuality(clock="receive", estimated=True),
    )  # fmt: skip
    tree = json.loads(encode_event(event, stream="main", epoch="e1", offset=3))
    assert isinstance(tree, dict)
    return tree


def is_valid(tree: Any, schema: Schema) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(tree)


def test_committed_schemas_equal_the_generated_ones(tmp_path: Path) -> None:
    """Run `floor schema --write docs` when this fails, and review the change of the contract."""
    for path in schemas.write_documents(tmp_path):
        assert path.read_text() == (DOCS / path.relative_to(tmp_path)).read_text(), path.name
    assert {path.name for path in (DOCS / "schemas").iterdir()} == {p.name for p in (tmp_path / "schemas").iterdir()}


def test_every_event_type_report_and_command_kind_has_a_schema() -> None:
    assert list(schemas.event_schemas()) == [event_type.value for event_type in EventType]
    reports = [f"report.{kind}" for kind in BODY_OF if kind != "quality"]  # accepted as a command only
    assert list(schemas.payload_schemas()) == reports + [f"command.{kind}" for kind in COMMAND_KINDS]
    for schema in (*schemas.event_schemas().values(), *schemas.payload_schemas().values()):
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("event_type", EventType)
def test_an_encoded_event_is_valid_by_its_schema_and_by_no_other(event_type: EventType) -> None:
    tree = sample(event_type)
    for name, schema in schemas.event_schemas().items():
        assert is_valid(tree, schema) == (name == event_type.value), name


@pytest.mark.parametrize("event_type", EventType)
def test_an_event_with_a_field_missing_or_of_another_type_is_not_valid(event_type: EventType) -> None:
    schema = schemas.event_schemas()[event_type.value]
    tree = sample(event_type)
    for name in tree:
        assert not is_valid({key: value for key, value in tree.items() if key != name}, schema), name
        assert not is_valid({**tree, name: {"an": "object"} if not isinstance(tree[name], dict) else 1}, schema), name
    for field in DATA_OF[event_type].__struct_fields__:
        broken = copy.deepcopy(tree)
        broken["data"][field] = {"an": ["object"]}
        assert not is_valid(broken, schema), field


def test_there_are_ten_subscription_types_of_filters_that_mqtt_knows() -> None:
    types = schemas.subscription_types()
    assert len(types) == 10
    categories = {category.value for category in CATEGORY_OF.values()}
    assert {subscription_type["subscription_type"] for subscription_type in types} == categories | {"equipment"}
    for subscription_type in types:
        for text in subscription_type["filters"]:
            TopicFilter.parse(text.replace("{", "").replace("}", ""))


def test_the_catalogue_lists_thirteen_types_and_their_loss_policy() -> None:
    catalogue = schemas.catalogue()
    lossy = [
        subscription_type["type"] for subscription_type in catalogue["event_types"] if not subscription_type["lossless"]
    ]
    assert len(catalogue["event_types"]) == 13
    assert lossy == ["line_status_update", "production_update", "oee_update"]
    assert len(catalogue["subscription_types"]) == 10


COMMAND = {"type": "command", "id": "1", "line_id": "L1"}


@pytest.mark.parametrize(
    ("frame", "valid"),
    [
        ({"type": "subscribe", "subscription_type": "andon", "target": ["L1", "L2"]}, True),
        ({"type": "subscribe", "subscription_type": "weather"}, False),
        ({"type": "subscribe", "mqtt_filter": "#", "filters": {"priorities": ["high"]}}, True),
        ({"type": "subscribe", "mqtt_filter": "#", "filters": {"priorities": ["huge"]}}, False),
        ({"type": "subscribe", "mqtt_filter": "#", "filters": {"event_types": []}}, False),
        ({"type": "subscribe", "subscription_type": "line", "id": "x" * 129}, False),
        ({"type": "subscribe", "subscription_type": "line", "id": None, "strict": None, "snapshot": None}, True),
        ({"type": "subscribe", "subscription_type": "line", "strict": 1}, False),
        *(
            ({"type": "subscribe", "subscription_type": "line", name: target}, False)
            for name in ("target", "target_id")
            for target in ("", None, [], [""], ["L1", None], 7, ["L1"] * 101)
        ),
        ({"type": "explain", "subscription_type": "job", "target": "me", "more": [1]}, True),
        ({"type": "explain", "subscription_type": ["job"]}, False),
        ({"type": "ping", "timestamp": True}, False),
        ({"type": "ping", "timestamp": 4.5}, True),
        ({"type": "auth", "token": ""}, False),
        ({"type": "acknowledge", "event_id": "main:e:1", "id": "a\nb"}, False),
        ({"type": "resume", "subscriptions": [{}], "since": {"main": {"epoch": "e", "offset": 0}}}, True),
        ({"type": "resume", "subscriptions": [{}], "since": {"main": 5}}, False),
        ({"type": "options", "batch_ms": 1_001}, False),
        ({**COMMAND, "action": "andon.resolve", "call_id": "L1.call.1", "notes": "new film"}, True),
        ({**COMMAND, "action": "andon.resolve"}, False),
        ({**COMMAND, "action": "andon.resolve", "call_id": None}, False),
        ({**COMMAND, "action": "changeover.complete", "line_id": "L1/#"}, False),
        ({**COMMAND, "action": "changeover.complete"}, True),
        ({**COMMAND, "action": "andon.paint"}, False),
    ],
)
def test_a_client_frame_is_valid_by_its_schema_where_the_front_takes_it(frame: dict[str, Any], valid: bool) -> None:  # noqa: FBT001 - a table's column
    frames, shared = frame_schemas.client_frames("#/$defs/{name}")
    assert is_valid(frame, self_contained(frames[frame["type"]], shared)) == valid
    with contextlib.nullcontext() if valid else pytest.raises(InvalidFrame):
        match parse_frame(frame):
            case Subscribe(body) | Explain(body):
                parse_request(body)
            case CommandFrame(body=body):
                parse_command(body)
            case _:
                pass


def test_every_frame_of_the_protocol_is_described() -> None:
    document = schemas.asyncapi_document("floor/v1")
    messages = document["components"]["messages"]
    assert frame_schemas.client_frames("{name}")[0].keys() == CLIENT_FRAMES.keys()
    for tag in (frame.__struct_config__.tag for frame in ServerFrame.__subclasses__()):
        assert f"server.{tag}" in messages


@pytest.mark.parametrize("listed", schemas.subscription_types(), ids=lambda listed: listed["subscription_type"])
def test_the_filters_of_a_subscription_type_are_those_it_becomes(listed: dict[str, Any]) -> None:
    """The first filter is that of a target without a prefix, the last that of `all`."""
    name, filters = listed["subscription_type"], listed["filters"]
    for text, target in ((filters[0], "high" if name == "escalation" else "X"), (filters[-1], "all")):
        request = parse_subscription({"subscription_type": name, "target_id": target})
        assert [str(topic_filter) for topic_filter in request.filters] == [re.sub(r"\{\w+\}", target, text)]
        assert f"`{target}`" in listed["target_id"] or target != "all"
