"""What the reference dashboard takes for a broken promise, and what not."""

import pytest

from tests.support.reference_dashboard import ProtocolViolation, ReferenceDashboard
from tests.support.reference_subscription import Frame


def alarm(offset: int, subject: str = "C1", **quality: bool) -> Frame:
    place = {"site": "S1", "area": "A1", "line_id": "L1", "equipment_code": None}
    kind = {"type": "andon_event", "category": "andon", "subject": subject, "priority": "high"}
    return {"id": f"main:e:{offset}", "offset": offset, **place, **kind, "data": {}, "data_quality": quality}


def mark(offset: int) -> Frame:
    return {"main": {"epoch": "e", "offset": offset}}


class Client:
    """A dashboard of one user, which has the position 1; what it asks for is answered as the server would."""

    def __init__(self) -> None:
        self.dashboard = ReferenceDashboard("eva")
        self.dashboard.reconnect("token")
        self.take({"type": "auth_ok", "user_id": "eva", "roles": []})
        self.subscribe("a", at=1)
        self.take({"type": "position", "streams": mark(1)})

    def take(self, *frames: Frame) -> None:
        for frame in frames:
            self.dashboard.take(frame)

    def subscribe(self, name: str, *, at: int, current: tuple[Frame, ...] = ()) -> None:
        self.dashboard.subscribe({"id": name})
        self.take(
            {"type": "subscription_confirmed", "id": name, "effective": ["#"]},
            {"type": "snapshot_begin", "id": name, "positions": mark(at)},
            *current,
            {"type": "snapshot_end", "id": name, "count": len(current)},
        )

    def unsubscribe(self, name: str) -> None:
        self.dashboard.unsubscribe(name)
        self.take({"type": "unsubscription_confirmed", "id": name})

    def resume(self, name: str) -> None:
        self.dashboard.resume(name)
        confirmation = {"id": name, "effective": ["#"]}
        self.take({"type": "resumed", "subscriptions": [confirmation], "streams": {"main": {"recovered": True}}})


def test_what_an_ended_subscription_has_got_may_come_again_after_a_resume() -> None:
    client = Client()
    client.take(alarm(2))
    client.unsubscribe("a")
    client.subscribe("b", at=2)
    client.resume("b")
    client.take(alarm(2), alarm(3))


def test_what_a_replaced_subscription_has_got_may_come_again_after_a_resume() -> None:
    client = Client()
    client.take(alarm(2))
    client.subscribe("a", at=2)
    client.subscribe("b", at=2)
    client.resume("b")
    client.take(alarm(2), alarm(3))


def test_what_another_subscription_in_force_has_got_must_not_come_again() -> None:
    client = Client()
    client.subscribe("b", at=1)
    client.take(alarm(2))
    client.resume("b")
    with pytest.raises(ProtocolViolation, match="twice"):
        client.take(alarm(2))


def test_without_a_resume_nothing_comes_again_nor_out_of_order() -> None:
    for offset in (2, 3):
        client = Client()
        client.take(alarm(3))
        with pytest.raises(ProtocolViolation):
            client.take(alarm(offset))


def test_what_amends_the_past_is_logged_and_is_not_the_state() -> None:
    client = Client()
    client.subscribe("b", at=4, current=(alarm(4),))
    client.take(alarm(5, historical=True), alarm(6, "C2", historical=True))
    assert [event["offset"] for event in client.dashboard.log] == [5, 6]
    assert [event["offset"] for event in client.dashboard.subscriptions["b"].events.values()] == [4]
