"""Fuzz tests of the decoder: any bytes on any topic give a report or a reason, never an exception."""

import json
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.reports import BODY_OF, Disposition, Effect, Report
from bridge.ingest.native import decode

REASON = re.compile(r"[a-z_0-9]{1,40}(:[a-z_.]{1,40})?")
FIELDS = sorted({field for body in BODY_OF.values() for field in body.__struct_fields__})
PROSE = ["site", "line_id", "device", "id", "user", "roles", "dialect", "name", "colour"]

topics = st.text(max_size=60) | st.builds(
    "/".join,
    st.tuples(
        st.sampled_from(["report", "command", "event"]),
        *[st.sampled_from(["a", "_", "", "x\n"])] * 4,
        st.sampled_from([*BODY_OF, "other"]),
    ),
)
good_topics = st.builds("{}/s/a/l/e/{}".format, st.sampled_from(["report", "command"]), st.sampled_from([*BODY_OF]))
words = st.sampled_from(["running", "raise", "assign", "start", "clear", "material", "tr88", "J1", "0xff", "12", "a b"])
scalars: st.SearchStrategy[Any] = (
    words | st.none() | st.booleans() | st.integers(-3, 2**64) | st.floats() | st.text(max_size=6)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FIELDS, *PROSE]), inner, max_size=4),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from([*FIELDS, *PROSE]), values, max_size=8)


def check(topic: str, payload: bytes) -> None:
    result = decode(topic, payload, received_at=0, cause="input:1", retained=False)
    if isinstance(result, Disposition):
        assert result.effect is Effect.QUARANTINED
        assert REASON.fullmatch(result.reason or ""), result.reason
    else:
        assert isinstance(result, Report)
        assert (result.actor is not None) == topic.startswith("command/")


@settings(max_examples=300)
@given(topics, st.binary(max_size=100))
def test_any_bytes_on_any_topic(topic: str, payload: bytes) -> None:
    check(topic, payload)


@settings(max_examples=500)
@given(good_topics, objects)
def test_any_values_in_known_fields(topic: str, tree: dict[str, Any]) -> None:
    check(topic, json.dumps(tree).encode())


@settings(max_examples=300)
@given(good_topics, objects, st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3))
def test_near_json(topic: str, tree: dict[str, Any], at: int, inserted: bytes, dropped: int) -> None:
    payload = json.dumps({"id": "c1", "user": {"id": "u", "roles": []}, **tree}).encode()
    check(topic, payload[:at] + inserted + payload[at + dropped :])
