"""The protocol without a socket: phases, pace, proof, expiry, and what each frame leads to."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.access.claims import TokenError, TokenExpired, TokenRevoked, TokenUnverified
from bridge.domain.access.viewer import AdmissionError, TooManyGrants
from bridge.protocol.actions import (
    AcknowledgeEvent,
    Action,
    Authenticate,
    EnablePush,
    EndSubscription,
    ResumeFrom,
    RunCommand,
    Send,
    SendSnapshot,
    SetBatching,
    StartSubscription,
    UpdateGrants,
)
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.dashboard_protocol import (
    NEXT,
    ConnectionLimits,
    ConnectionPhase,
    ConnectionStep,
    DashboardProtocol,
    ServerInfo,
)
from bridge.protocol.server_frames import Close, StreamAt, encode_frame
from tests.support.viewers import HOUR_MS, viewer

LIMITS = ConnectionLimits(max_frame_bytes=2_000, frames_per_second=10, max_subscriptions=3, auth_timeout_ms=5_000)
FACTS = ServerInfo(server_time=0, streams={"main": StreamAt("e", 7)}, simulated=True)
ANDON = {"type": "subscribe", "subscription_type": "andon", "target_id": "L1"}


def arrived() -> DashboardProtocol:
    return DashboardProtocol(LIMITS, elapsed=0)


def joined(**claims: Any) -> DashboardProtocol:
    dashboard = arrived()
    receive(dashboard, {"type": "auth", "token": "t"})
    dashboard.accept(viewer(**claims), server_info=FACTS)
    return dashboard


def receive(dashboard: DashboardProtocol, frame: object, *, elapsed: int = 0) -> list[Action]:
    return dashboard.receive(json.dumps(frame), elapsed=elapsed, server_time=0)


def sent_frames(actions: list[Action]) -> list[dict[str, Any]]:
    return [json.loads(encode_frame(action.frame)) for action in actions if isinstance(action, Send)]


def kinds(actions: list[Action]) -> list[str]:
    return [
        action.frame.__struct_config__.tag if isinstance(action, Send) else type(action).__name__  # type: ignore[misc]
        for action in actions
    ]


def test_auth_asks_for_verification_and_is_answered_first() -> None:
    dashboard = arrived()
    assert receive(dashboard, {"type": "auth", "token": "t"}) == [Authenticate("t")]
    actions = dashboard.accept(viewer(), server_info=FACTS)
    assert kinds(actions) == ["auth_ok", "EnablePush"]
    assert sent_frames(actions)[0] == {
        "type": "auth_ok", "user_id": "eva", "roles": ["admin"], "expires_at": "1970-01-01T01:00:00.000Z",
        "read": ["#"], "command": ["#"], "streams": {"main": {"epoch": "e", "offset": 7}},
        "server_time": "1970-01-01T00:00:00.000Z", "simulated": True,
    }  # fmt: skip


def test_only_a_proven_connection_has_a_session() -> None:
    for kind in ("subscribe", "unsubscribe", "options", "ping", "explain"):
        dashboard = arrived()
        actions = receive(dashboard, {"type": kind})
        assert kinds(actions) == ["error", "Close"]
        assert actions[-1] == Close(CloseCode.POLICY_VIOLATION, "token missing")
        assert dashboard.session is None
        assert dashboard.phase is ConnectionPhase.CLOSED
        assert receive(dashboard, {"type": "auth", "token": "t"}) == []


def test_auth_without_a_token_is_the_end_and_noise_is_not() -> None:
    assert kinds(receive(arrived(), {"type": "auth"})) == ["error", "Close"]
    assert kinds(receive(arrived(), {"type": "dance"})) == ["error"]
    assert kinds(arrived().receive("{", elapsed=0, server_time=0)) == ["error"]
    assert kinds(arrived().receive(b"{}", elapsed=0, server_time=0)) == ["error"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TokenExpired(1), CloseCode.EXPIRED),
        (TokenRevoked(), CloseCode.REVOKED),
        (TokenUnverified("signature"), CloseCode.POLICY_VIOLATION),
        (TooManyGrants(1_000), CloseCode.POLICY_VIOLATION),
    ],
)
def test_a_rejected_token_ends_an_unproven_connection_only(error: TokenError | AdmissionError, code: CloseCode) -> None:
    [close] = arrived().reject(error)
    assert isinstance(close, Close)
    assert close.code is code
    authenticated = joined()
    assert kinds(authenticated.reject(error)) == ["error"]
    assert authenticated.phase is ConnectionPhase.AUTHENTICATED


def test_every_phase_has_its_steps() -> None:
    assert {phase for phase, step in NEXT if step is ConnectionStep.CLOSE} == set(ConnectionPhase)
    assert {NEXT[phase, ConnectionStep.CLOSE] for phase in ConnectionPhase} == {ConnectionPhase.CLOSED}
    assert (ConnectionPhase.CLOSED, ConnectionStep.TOKEN_ACCEPTED) not in NEXT


def test_the_time_to_authenticate_ends() -> None:
    dashboard = arrived()
    assert dashboard.tick(elapsed=4_999, wall_now=0) == []
    assert dashboard.tick(elapsed=5_000, wall_now=0) == [
        Close(CloseCode.NOT_AUTHENTICATED, "did not authenticate in time")
    ]
    assert dashboard.tick(elapsed=9_000, wall_now=0) == []
    assert joined().tick(elapsed=5_000, wall_now=0) == []


def test_expiry_is_reported_a_minute_ahead_once_and_ends_delivery_to_the_millisecond() -> None:
    dashboard = joined()
    assert dashboard.tick(elapsed=0, wall_now=HOUR_MS - 60_001) == []
    assert kinds(dashboard.tick(elapsed=0, wall_now=HOUR_MS - 60_000)) == ["expiring"]
    assert dashboard.tick(elapsed=0, wall_now=HOUR_MS - 1) == []
    assert not dashboard.is_expired(HOUR_MS - 1)
    assert dashboard.is_expired(HOUR_MS)
    assert dashboard.tick(elapsed=0, wall_now=HOUR_MS) == [Close(CloseCode.EXPIRED, "token expired")]


def test_a_refresh_moves_the_expiry_and_warns_again() -> None:
    dashboard = joined()
    dashboard.tick(elapsed=0, wall_now=HOUR_MS - 60_000)
    dashboard.accept(viewer(expires_at=2 * HOUR_MS), server_info=FACTS)
    assert dashboard.tick(elapsed=0, wall_now=HOUR_MS) == []
    assert kinds(dashboard.tick(elapsed=0, wall_now=2 * HOUR_MS - 60_000)) == ["expiring"]


def test_a_token_from_the_handshake_sends_nothing_until_the_first_answer() -> None:
    dashboard = arrived()
    assert dashboard.accept(viewer(expires_at=50_000), server_info=FACTS, confirm=False) == []
    assert dashboard.tick(elapsed=0, wall_now=0) == []
    assert kinds(receive(dashboard, {"type": "ping"})) == ["pong", "EnablePush"]
    assert kinds(dashboard.tick(elapsed=0, wall_now=0)) == ["expiring"]


def test_each_trigger_starts_the_right_read() -> None:
    dashboard = joined()
    follow, confirmed, snapshot = receive(dashboard, ANDON)
    assert isinstance(follow, StartSubscription)
    assert follow.deferred
    assert sent_frames([confirmed]) == [
        {
            "type": "subscription_confirmed", "id": "andon:L1", "subscription_type": "andon", "target_id": "L1",
            "target": "L1", "effective": ["+/+/L1/+/andon/#"], "narrowed": False,
        }
    ]  # fmt: skip
    assert snapshot == SendSnapshot("andon:L1")
    assert kinds(receive(dashboard, {**ANDON, "snapshot": False, "id": "x"})) == [
        "StartSubscription",
        "subscription_confirmed",
    ]
    unfollow, ended, *others = receive(dashboard, {**ANDON, "type": "unsubscribe"})
    assert unfollow == EndSubscription("andon:L1")
    assert sent_frames([ended])[0]["type"] == "unsubscription_confirmed"
    assert others[0] == EndSubscription("x"), "the same type and target, whatever its id"
    assert sent_frames(receive(dashboard, {**ANDON, "type": "unsubscribe"}))[0]["code"] == "INVALID_MESSAGE"
    assert sent_frames(receive(dashboard, {"type": "heartbeat", "timestamp": "t1"})) == [
        {"type": "pong", "server_time": "1970-01-01T00:00:00.000Z", "timestamp": "t1"}
    ]
    assert receive(dashboard, {"type": "options", "batch": True})[1] == SetBatching(batch=True, batch_ms=0)
    assert receive(dashboard, {"type": "options", "batch_ms": 20})[1] == SetBatching(batch=True, batch_ms=20)
    [command] = receive(dashboard, {"type": "command", "id": "k", "action": "changeover.complete", "line_id": "L1"})
    assert isinstance(command, RunCommand)
    assert receive(dashboard, {"type": "acknowledge", "event_id": "e"}) == [AcknowledgeEvent(None, "e")]


def test_a_resume_follows_granted_subscriptions_and_refuses_the_rest() -> None:
    dashboard = joined(role="operator", lines=["L1"])
    bodies = [ANDON, {"subscription_type": "andon", "target_id": "L2"}, {"subscription_type": "dance"}]
    actions = receive(dashboard, {"type": "resume", "subscriptions": bodies, "since": {}})
    assert kinds(actions) == ["error", "error", "StartSubscription", "ResumeFrom"]
    assert [frame["code"] for frame in sent_frames(actions)] == ["FORBIDDEN", "UNKNOWN_SUBSCRIPTION_TYPE"]
    resume = actions[-1]
    assert isinstance(resume, ResumeFrom)
    assert [subscription.request.id for subscription in resume.subscriptions] == ["andon:L1"]
    too_many = receive(dashboard, {"type": "resume", "subscriptions": [ANDON] * 4, "since": {}})
    assert sent_frames(too_many)[0]["code"] == "LIMIT_EXCEEDED"


def test_a_refresh_reports_what_ends_and_what_begins_and_snapshots_that() -> None:
    dashboard = joined(role="operator", lines=["L1", "L2"])
    for line in ("L1", "L2", "all"):
        receive(dashboard, {**ANDON, "target_id": line})
    actions = dashboard.accept(viewer(role="operator", lines=["L2", "L3"]), server_info=FACTS)
    assert kinds(actions) == ["auth_ok", "UpdateGrants", "widened", "revoked", "SendSnapshot"]
    regrant = actions[1]
    assert isinstance(regrant, UpdateGrants)
    assert regrant.subscriptions["andon:L1"] is None
    _, widened, revoked = sent_frames(actions)
    assert revoked["filters"] == ["+/+/L1/+/andon/#"]
    assert [subscription["id"] for subscription in revoked["subscriptions"]] == ["andon:L1", "andon:all"]
    assert widened["filters"] == ["+/+/L3/+/andon/#"]
    assert actions[-1] == SendSnapshot("andon:all")


def test_a_refresh_for_another_user_or_issuer_is_refused() -> None:
    dashboard = joined()
    before = dashboard.viewer
    assert kinds(dashboard.accept(viewer(user="otto"), server_info=FACTS)) == ["error"]
    assert dashboard.viewer is before


def test_pace_is_a_burst_then_a_rate() -> None:
    dashboard = joined()
    answers = [kinds(receive(dashboard, {"type": "ping"})) for _ in range(25)]
    assert answers == [["pong"]] * 19 + [["error"]] + [[]] * 5
    assert kinds(receive(dashboard, {"type": "ping"}, elapsed=1_000)) == ["pong"]


def test_a_client_that_never_pauses_is_closed() -> None:
    dashboard = joined()
    actions = [action for _ in range(60) for action in receive(dashboard, {"type": "ping"}, elapsed=1)]
    assert actions[-1] == Close(CloseCode.TOO_MANY, "too many messages")
    assert kinds(actions).count("error") == 1


def test_size_is_counted_in_bytes() -> None:
    assert joined().receive("x" * 2_001, elapsed=0, server_time=0) == [Close(CloseCode.TOO_BIG, "frame too big")]
    assert joined().receive("ä" * 1_001, elapsed=0, server_time=0) == [Close(CloseCode.TOO_BIG, "frame too big")]
    assert kinds(joined().receive("x" * 2_000, elapsed=0, server_time=0)) == ["error"]


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
        actions = receive(dashboard, {**fields, "type": kind})
        assert actions
        assert EnablePush() not in actions
    assert dashboard.phase is ConnectionPhase.AUTHENTICATED
    assert len(dashboard.subscription_requests) <= LIMITS.max_subscriptions
