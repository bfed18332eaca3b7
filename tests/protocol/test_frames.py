"""Client frames: every type of protocol.md is understood, everything else is an error in our words."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.records import Position
from bridge.domain.strict_json import MAX_BYTES, parse_json
from bridge.protocol.client_frames import (
    CLIENT_FRAMES,
    MAX_VALUES,
    Acknowledge,
    Auth,
    ClientFrame,
    CommandFrame,
    Explain,
    InvalidFrame,
    Options,
    Ping,
    Resume,
    ResumePosition,
    Subscribe,
    Unsubscribe,
    parse_frame,
)
from bridge.protocol.error_codes import ErrorCode
from bridge.protocol.server_frames import PositionReached, Resumed, encode_frame, stream_positions
from bridge.protocol.session import parse_request

BODY = {"type": "subscribe", "subscription_type": "andon", "id": "a"}


@pytest.mark.parametrize(
    ("tree", "frame"),
    [
        ({"type": "auth", "token": "t"}, Auth("t")),
        (BODY, Subscribe(BODY)),
        ({"type": "unsubscribe", "id": "a"}, Unsubscribe({"type": "unsubscribe", "id": "a"})),
        (
            {"type": "resume", "subscriptions": [BODY], "since": {"main": {"epoch": "e", "offset": 3}}},
            Resume([BODY], {"main": ResumePosition("e", 3)}),
        ),
        ({"type": "options", "batch": True, "batch_ms": 50}, Options(batch=True, batch_ms=50)),
        ({"type": "ping"}, Ping()),
        ({"type": "heartbeat", "timestamp": 4.5, "more": [1]}, Ping(4.5)),
        ({"type": "command", "id": "k"}, CommandFrame("k", {"type": "command", "id": "k"})),
        ({"type": "acknowledge", "event_id": "main:e:1"}, Acknowledge("main:e:1")),
        ({"type": "explain"}, Explain({"type": "explain"})),
    ],
)
def test_every_type_of_frame_is_understood(tree: dict[str, Any], frame: ClientFrame) -> None:
    assert parse_frame(tree) == frame


@pytest.mark.parametrize(
    ("tree", "code", "message"),
    [
        ([], "INVALID_MESSAGE", "a frame is one JSON object"),
        ({}, "INVALID_MESSAGE", "a frame has a type"),
        ({"type": 3}, "INVALID_MESSAGE", "a frame has a type"),
        ({"type": "Auth"}, "UNKNOWN_TYPE", "no such type of frame"),
        ({"type": "auth"}, "INVALID_MESSAGE", "auth needs token"),
        ({"type": "auth", "token": None}, "INVALID_MESSAGE", "auth: invalid value for `token`: must be a string"),
        (
            {"type": "options", "batch": 1},
            "INVALID_MESSAGE",
            "options: invalid value for `batch`: must be true or false",
        ),
        (
            {"type": "options", "batch_ms": 1_001},
            "INVALID_MESSAGE",
            "options: invalid value for `batch_ms`: must be at most 1000",
        ),
        (
            {"type": "options", "batch_ms": True},
            "INVALID_MESSAGE",
            "options: invalid value for `batch_ms`: must be an integer",
        ),
        (
            {"type": "ping", "timestamp": {}},
            "INVALID_MESSAGE",
            "ping: invalid value for `timestamp`: must be an integer, a number or a string",
        ),
        ({"type": "resume", "subscriptions": []}, "INVALID_MESSAGE", "resume needs since"),
        (
            {"type": "resume", "subscriptions": [], "since": {"`$.x`": {"epoch": "e", "offset": -1}}},
            "INVALID_MESSAGE",
            "resume: invalid value for `since.offset`: must be at least 0",
        ),
        (
            {"type": "command", "id": "k" * 65},
            "INVALID_MESSAGE",
            "command: invalid value for `id`: length must be at most 64",
        ),
        ({"type": "command", "id": "a\nb"}, "INVALID_MESSAGE", "command: invalid value for `id`"),
    ],
)
def test_an_invalid_frame_is_refused_with_our_own_text(tree: object, code: str, message: str) -> None:
    with pytest.raises(InvalidFrame) as caught:
        parse_frame(tree)
    assert (caught.value.code, caught.value.message) == (ErrorCode(code), message)


def test_an_error_repeats_a_good_id_and_no_other() -> None:
    for given_id, repeated in (("a", "a"), ("a" * 128, "a" * 128), ("a" * 129, None), ("", None), (3, None)):
        with pytest.raises(InvalidFrame) as caught:
            parse_frame({"type": "dance", "id": given_id})
        assert caught.value.id == repeated
        with pytest.raises(InvalidFrame) as caught:
            parse_request({"subscription_type": "dance", "id": given_id})
        assert caught.value.id == repeated


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["token", "id", "batch", "batch_ms", "timestamp", "subscriptions", "since", "event_id"]


@given(st.sampled_from(sorted(CLIENT_FRAMES)), st.dictionaries(st.sampled_from(FIELDS), trees))
def test_no_tree_of_json_raises_anything_else(kind: str, fields: dict[str, Any]) -> None:
    with suppress(InvalidFrame):
        assert isinstance(parse_frame({**fields, "type": kind}), CLIENT_FRAMES[kind])


def test_a_server_frame_names_its_type_first() -> None:
    at = stream_positions(Position("main", "e", 4))
    assert (
        encode_frame(PositionReached(streams=at)) == b'{"type":"position","streams":{"main":{"epoch":"e","offset":4}}}'
    )
    assert json.loads(encode_frame(Resumed(subscriptions=[], streams={}))) == {
        "type": "resumed", "subscriptions": [], "streams": {},
    }  # fmt: skip


EQUIPMENT = [f"f47ac10b-58cc-4372-a567-{number:012}" for number in range(100)]
WIDEST = {
    "a resume of 100 subscriptions with 30 targets": {
        "type": "resume",
        "subscriptions": [
            {
                "id": f"{number}",
                "subscription_type": "machine",
                "target_id": [f"{number}.{count}e5" for count in range(30)],
            }
            for number in range(100)
        ],
        "since": {f"{number}": {"epoch": "1e5", "offset": 2**53 + number} for number in range(100)},
    },
    "a subscription to 100 targets": {"type": "subscribe", "subscription_type": "machine", "target_id": EQUIPMENT},
    "a long text": {"type": "command", "id": "c", "action": "a", "line_id": "l", "note": '1.5,[{"\\' * 6_000},
    "a long text in other letters": {
        "type": "command",
        "id": "c",
        "action": "a",
        "line_id": "l",
        "note": "ů,\n" * 6_000,
    },
}


@pytest.mark.parametrize("tree", WIDEST.values(), ids=WIDEST)
def test_what_a_dashboard_may_need_to_send_is_within_the_bounds(tree: dict[str, Any]) -> None:
    for text in (json.dumps(tree), json.dumps(tree, ensure_ascii=False)):
        assert len(text.encode()) <= MAX_BYTES
        parsed = parse_json(text.encode(), max_values=MAX_VALUES)
        assert parsed == tree
        parse_frame(parsed)
