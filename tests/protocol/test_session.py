"""Requests of an authenticated dashboard: what each frame leads to at its delivery."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.protocol.client_frames import Acknowledge
from bridge.protocol.commands import CommandRequest
from bridge.protocol.event_feed import CheckResume, ReadSnapshot, SnapshotOffsets
from tests.protocol.dashboard import ANDON, LIMITS, joined, kinds
from tests.support.memory_socket import texts_of


def test_a_subscription_is_confirmed_before_its_snapshot_is_read() -> None:
    dashboard = joined()
    [confirmed] = dashboard.ask(ANDON)
    assert confirmed == {
        "type": "subscription_confirmed", "id": "andon:L1", "subscription_type": "andon", "target_id": "L1",
        "target": "L1", "effective": ["+/+/L1/+/andon/#"], "narrowed": False,
    }  # fmt: skip
    assert isinstance(dashboard.output, ReadSnapshot)
    assert kinds(dashboard.ask({**ANDON, "snapshot": False, "id": "x"})) == ["subscription_confirmed"]


def test_a_refresh_by_equal_grants_does_not_read_the_snapshot_again() -> None:
    dashboard = joined()
    dashboard.ask(ANDON)
    dashboard.accept()
    assert dashboard.kinds() == ["auth_ok"]
    dashboard.delivery.read_done(SnapshotOffsets(dashboard.feed.position, []))
    assert dashboard.kinds() == ["snapshot_begin", "snapshot_end", "position"]


def test_a_refresh_by_other_grants_reads_the_snapshot_again() -> None:
    dashboard = joined(role="operator", lines=["L1"])
    dashboard.ask({**ANDON, "target_id": "all"})
    dashboard.accept(role="operator", lines=["L2"])
    dashboard.delivery.read_done(SnapshotOffsets(dashboard.feed.position, []))
    assert dashboard.kinds() == ["auth_ok", "widened", "revoked"]
    assert isinstance(dashboard.output, ReadSnapshot)


def test_an_unsubscribe_by_target_ends_all_subscriptions_of_it() -> None:
    dashboard = joined()
    for name in ("x", "y"):
        dashboard.ask({**ANDON, "snapshot": False, "id": name})
    ended = dashboard.ask({**ANDON, "type": "unsubscribe"})
    assert [(frame["type"], frame["id"]) for frame in ended] == [
        ("unsubscription_confirmed", "x"), ("unsubscription_confirmed", "y"),
    ]  # fmt: skip
    assert not dashboard.delivery.subscriptions
    assert dashboard.ask({**ANDON, "type": "unsubscribe"})[0]["code"] == "INVALID_MESSAGE"


def test_requests_without_subscriptions_are_answered_or_passed_on() -> None:
    dashboard = joined()
    assert dashboard.ask({"type": "heartbeat", "timestamp": "t1"}) == [
        {"type": "pong", "server_time": "1970-01-01T00:00:00.000Z", "timestamp": "t1"}
    ]
    assert dashboard.ask({"type": "options", "batch": True}) == [{"type": "options", "batch": True, "batch_ms": 0}]
    dashboard.receive({"type": "options", "batch_ms": 20})
    written = dashboard.delivery.next(0)
    assert isinstance(written, bytes)
    assert texts_of(written) == ['[{"type":"options","batch":true,"batch_ms":20}]']  # in the former format
    assert isinstance(
        dashboard.receive({"type": "command", "id": "k", "action": "changeover.complete", "line_id": "L1"}),
        CommandRequest,
    )
    assert dashboard.receive({"type": "acknowledge", "event_id": "e"}) == Acknowledge("e")


def test_a_resume_follows_granted_subscriptions_and_refuses_the_rest() -> None:
    dashboard = joined(role="operator", lines=["L1"])
    bodies = [ANDON, {"subscription_type": "andon", "target_id": "L2"}, {"subscription_type": "dance"}]
    frames = dashboard.ask({"type": "resume", "subscriptions": bodies, "since": {}})
    assert [frame["code"] for frame in frames] == ["FORBIDDEN", "UNKNOWN_SUBSCRIPTION_TYPE"]
    assert isinstance(dashboard.output, CheckResume)
    assert list(dashboard.delivery.subscriptions) == ["andon:L1"]
    resumed = dashboard.delivery.read_done(0)
    assert isinstance(resumed, bytes)
    [answer] = map(json.loads, texts_of(resumed))
    assert [subscription["id"] for subscription in answer["subscriptions"]] == ["andon:L1"]
    too_many = dashboard.ask({"type": "resume", "subscriptions": [ANDON] * 4, "since": {}})
    assert too_many[0]["code"] == "LIMIT_EXCEEDED"


def test_the_limit_counts_what_is_resumed_and_what_was_there() -> None:
    dashboard = joined()
    dashboard.ask({**ANDON, "snapshot": False})
    bodies = [{**ANDON, "id": name} for name in ("x", "y", "z")]
    frames = dashboard.ask({"type": "resume", "subscriptions": bodies, "since": {}})
    assert [(frame["code"], frame["id"]) for frame in frames] == [("LIMIT_EXCEEDED", "z")]
    assert list(dashboard.delivery.subscriptions) == ["andon:L1", "x", "y"]


def test_a_refresh_reports_what_ends_and_what_begins_and_snapshots_that() -> None:
    dashboard = joined(role="operator", lines=["L1", "L2"])
    for line in ("L1", "L2", "all"):
        dashboard.ask({**ANDON, "target_id": line, "snapshot": False})
    dashboard.accept(role="operator", lines=["L2", "L3"])
    answer, widened, revoked = dashboard.frames()
    assert answer["type"] == "auth_ok"
    assert dashboard.delivery.subscriptions["andon:L1"].granted is None
    assert revoked["filters"] == ["+/+/L1/+/andon/#"]
    assert [subscription["id"] for subscription in revoked["subscriptions"]] == ["andon:L1", "andon:all"]
    assert widened["filters"] == ["+/+/L3/+/andon/#"]
    assert isinstance(dashboard.output, ReadSnapshot)
    assert dashboard.output.subscription is dashboard.delivery.subscriptions["andon:all"].granted


MY_CALLS = {"type": "subscribe", "id": "mine", "subscription_type": "escalation", "target_id": "me"}


@pytest.mark.parametrize("roles", [["quality"], ["maintenance", "quality"]])
def test_a_refresh_to_other_roles_begins_anew_what_is_for_me(roles: list[str]) -> None:
    dashboard = joined(roles=["maintenance"], lines=["L1"])
    dashboard.ask({**MY_CALLS, "snapshot": False})
    dashboard.ask({**ANDON, "snapshot": False})
    dashboard.accept(roles=roles, lines=["L1"])
    _, widened, revoked = dashboard.frames()
    effective = ["+/+/L1/+/escalation/#"]
    for frame in (widened, revoked):
        assert frame["filters"] == effective
        assert frame["subscriptions"] == [{"id": "mine", "effective": effective}]
    assert (widened["type"], revoked["type"]) == ("widened", "revoked")
    assert isinstance(dashboard.output, ReadSnapshot)
    assert dashboard.output.subscription is dashboard.delivery.subscriptions["mine"].granted


def test_a_refresh_to_the_same_roles_in_another_order_changes_nothing() -> None:
    dashboard = joined(roles=["maintenance", "quality"], lines=["L1"])
    dashboard.ask({**MY_CALLS, "snapshot": False})
    dashboard.accept(roles=["quality", "maintenance", "nobody"], lines=["L1"])
    assert dashboard.kinds() == ["auth_ok"]


def test_grants_that_cover_a_filter_only_together_end_nothing_of_it() -> None:
    dashboard = joined(role="admin")
    dashboard.ask({"type": "subscribe", "id": "all", "mqtt_filter": "#", "snapshot": False})
    by_priority = [f"+/+/+/+/+/+/{rank}/#" for rank in ("critical", "high", "medium", "low")]
    dashboard.accept(role="nobody", trust_grants=True, grants={"read": by_priority})
    assert dashboard.kinds() == ["auth_ok"]


WORDS = st.sampled_from(["andon", "line", "escalation", "L1", "all", "me", "a/b", "#", "+", "k", "", "andon.raise"])
FIELDS = st.sampled_from(
    ["id", "token", "subscription_type", "target_id", "target", "filters", "mqtt_filter", "strict", "snapshot", "batch",
     "subscriptions", "since", "batch_ms", "timestamp", "action", "line_id", "event_id", "andon_type", "call_id"]
)  # fmt: skip
VALUES = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers(-2, 2_000) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS | st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(
    ["subscribe", "unsubscribe", "resume", "options", "ping", "command", "acknowledge", "explain", "dance"]
)


@given(st.lists(st.tuples(TYPES, st.dictionaries(FIELDS, VALUES, max_size=6)), max_size=8))
def test_no_frame_breaks_a_session_and_every_frame_is_answered(frames: list[tuple[str, dict[str, Any]]]) -> None:
    dashboard = joined()
    for kind, fields in frames:
        work = dashboard.receive({**fields, "type": kind})
        assert work is not None or dashboard.delivery.has_requests
        dashboard.frames()
    assert not dashboard.protocol.is_closed
    assert len(dashboard.delivery.subscriptions) <= LIMITS.max_subscriptions
