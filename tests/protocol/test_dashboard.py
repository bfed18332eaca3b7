"""The protocol without a socket: pace, proof, expiry, and the first answer."""

from typing import Any

import pytest

from bridge.domain.access.claims import TokenError, TokenExpired, TokenNotYetValid, TokenRevoked, TokenUnverified
from bridge.domain.access.viewer import AdmissionError, TooManyGrants
from bridge.protocol.client_frames import Auth
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.commands import CommandRequest
from bridge.protocol.delivery_automaton import DeliveryState
from bridge.protocol.event_feed import CheckResume
from bridge.protocol.server_frames import Close
from tests.protocol.dashboard import ANDON, Dashboard, joined, kinds
from tests.protocol.delivery.samples import event
from tests.support.viewers import HOUR_MS


def test_auth_asks_for_verification_and_is_answered_first() -> None:
    dashboard = Dashboard()
    assert dashboard.receive({"type": "auth", "token": "t"}) == Auth("t")
    dashboard.accept()
    answer, link = dashboard.frames()
    assert link["type"] == "link"
    assert answer == {
        "type": "auth_ok", "user_id": "eva", "roles": ["admin"], "expires_at": "1970-01-01T01:00:00.000Z",
        "read": ["#"], "command": ["#"], "streams": {"main": {"epoch": "e", "offset": 7}},
        "server_time": "1970-01-01T00:00:00.000Z", "simulated": True,
    }  # fmt: skip


def test_only_a_proven_connection_has_a_session() -> None:
    for kind in ("subscribe", "unsubscribe", "options", "ping", "explain"):
        dashboard = Dashboard()
        assert kinds(dashboard.ask({"type": kind})) == ["error"]
        assert dashboard.output == Close(CloseCode.POLICY_VIOLATION, "token missing")
        assert dashboard.protocol.session is None
        assert dashboard.protocol.is_closed
        assert dashboard.ask({"type": "auth", "token": "t"}) == []


def test_auth_without_a_token_is_the_end_and_noise_is_not() -> None:
    dashboard = Dashboard()
    assert kinds(dashboard.ask({"type": "auth"})) == ["error"]
    assert dashboard.close_code is CloseCode.POLICY_VIOLATION
    for noise in ('{"type": "dance"}', "{", b"{}"):
        dashboard = Dashboard()
        assert dashboard.protocol.receive(noise, elapsed=0, server_time=0) is None
        assert dashboard.kinds() == ["error"]
        assert dashboard.output is None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TokenExpired(1), CloseCode.EXPIRED),
        (TokenRevoked(), CloseCode.REVOKED),
        (TokenNotYetValid("iat", 1), CloseCode.NOT_YET_VALID),
        (TokenUnverified("signature"), CloseCode.POLICY_VIOLATION),
        (TooManyGrants(1_000), CloseCode.POLICY_VIOLATION),
    ],
)
def test_a_rejected_token_ends_an_unproven_connection_only(error: TokenError | AdmissionError, code: CloseCode) -> None:
    unproven = Dashboard()
    unproven.protocol.reject(error)
    assert unproven.frames() == []
    assert unproven.close_code is code
    authenticated = joined()
    authenticated.protocol.reject(error)
    assert authenticated.kinds() == ["error"]
    assert not authenticated.protocol.is_closed


def test_the_time_to_authenticate_ends() -> None:
    dashboard = Dashboard()
    assert dashboard.tick(elapsed=4_999) is None
    assert dashboard.tick(elapsed=5_000) == Close(CloseCode.NOT_AUTHENTICATED, "did not authenticate in time")
    assert joined().tick(elapsed=5_000) is None


def test_expiry_is_reported_a_minute_ahead_once_and_ends_delivery_to_the_millisecond() -> None:
    dashboard = joined()
    assert dashboard.tick(wall_now=HOUR_MS - 60_001) is None
    assert dashboard.kinds() == []
    assert dashboard.tick(wall_now=HOUR_MS - 60_000) is None
    assert dashboard.kinds() == ["expiring"]
    assert dashboard.tick(wall_now=HOUR_MS - 1) is None
    assert dashboard.kinds() == []
    assert not dashboard.protocol.is_expired(HOUR_MS - 1)
    assert dashboard.protocol.is_expired(HOUR_MS)
    assert dashboard.tick(wall_now=HOUR_MS) == Close(CloseCode.EXPIRED, "token expired")


def test_a_refresh_moves_the_expiry_and_warns_again() -> None:
    dashboard = joined()
    dashboard.tick(wall_now=HOUR_MS - 60_000)
    dashboard.accept(expires_at=2 * HOUR_MS)
    assert dashboard.kinds() == ["expiring", "auth_ok"]
    assert dashboard.tick(wall_now=HOUR_MS) is None
    assert dashboard.tick(wall_now=2 * HOUR_MS - 60_000) is None
    assert dashboard.kinds() == ["expiring"]


def test_a_token_from_the_handshake_sends_nothing_until_the_first_answer() -> None:
    dashboard = Dashboard()
    dashboard.accept(expires_at=50_000, confirm=False)
    dashboard.tick()
    assert dashboard.frames() == []
    assert kinds(dashboard.ask({"type": "ping"})) == ["pong", "link"]
    dashboard.tick()
    assert dashboard.kinds() == ["expiring"]


def test_the_first_answer_may_be_that_of_a_command_or_a_resume() -> None:
    dashboard = Dashboard()
    dashboard.accept(confirm=False)
    command = dashboard.receive({"type": "command", "id": "k", "action": "changeover.complete", "line_id": "L1"})
    assert isinstance(command, CommandRequest)
    assert dashboard.frames() == []
    dashboard.receive({"type": "resume", "subscriptions": [ANDON], "since": {}})
    assert dashboard.kinds() == ["link"]
    assert isinstance(dashboard.output, CheckResume)


def test_a_late_first_frame_finds_nothing_to_read_of_the_time_before_it() -> None:
    """Retention may have deleted what was committed since the handshake: the client was promised nothing of it."""
    dashboard = Dashboard()
    dashboard.accept(confirm=False)
    for offset in range(1, 20):
        dashboard.feed.advance(event(offset, "my job"))  # no page stays in memory
    assert kinds(dashboard.ask({**ANDON, "snapshot": False})) == ["subscription_confirmed", "link", "position"]
    assert dashboard.output is None
    assert dashboard.delivery.state is DeliveryState.FOLLOWING
    assert dashboard.delivery.cursor.offset == 19


def test_a_refresh_for_another_user_or_issuer_is_refused() -> None:
    dashboard = joined()
    before = dashboard.protocol.viewer
    dashboard.accept(user="otto")
    assert dashboard.kinds() == ["error"]
    assert dashboard.protocol.viewer is before


def test_pace_is_a_burst_then_a_rate() -> None:
    dashboard = joined()
    answers = [kinds(dashboard.ask({"type": "ping"})) for _ in range(25)]
    assert answers == [["pong"]] * 19 + [["error"]] + [[]] * 5
    assert kinds(dashboard.ask({"type": "ping"}, elapsed=1_000)) == ["pong"]


def test_a_client_that_never_pauses_is_closed() -> None:
    dashboard = joined()
    frames: list[dict[str, Any]] = []
    while dashboard.output is None:
        frames += dashboard.ask({"type": "ping"}, elapsed=1)
    assert dashboard.output == Close(CloseCode.TOO_MANY, "too many messages")
    assert kinds(frames).count("error") == 1


@pytest.mark.parametrize(("text", "is_too_big"), [("x" * 2_001, True), ("ä" * 1_001, True), ("x" * 2_000, False)])
def test_size_is_counted_in_bytes(text: str, is_too_big: bool) -> None:  # noqa: FBT001 - a parameter of the test
    dashboard = joined()
    dashboard.protocol.receive(text, elapsed=0, server_time=0)
    assert dashboard.kinds() == ([] if is_too_big else ["error"])
    assert dashboard.output == (Close(CloseCode.TOO_BIG, "frame too big") if is_too_big else None)
