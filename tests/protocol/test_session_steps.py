"""Requests in steps, between which the viewer may change: grants of the past never take effect."""

from collections.abc import Generator
from random import Random
from typing import Any, Final

import pytest

from bridge.domain.access.subscriptions import Subscription, admit_subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.steps import Steps, complete
from bridge.protocol.client_frames import Explain, Resume, Subscribe
from bridge.protocol.session import DashboardSession, SessionFrame
from tests.protocol.dashboard import ANDON, Dashboard, joined, kinds
from tests.support.viewers import viewer

LINES: Final = ["L1", "L2", "L3"]
ALL: Final = {"subscription_type": "andon", "target_id": [*LINES, "L4"]}


def operator(*lines: str) -> Viewer:
    return viewer(role="operator", lines=list(lines))


def board(*lines: str) -> tuple[Dashboard, DashboardSession]:
    dashboard = joined(role="operator", lines=list(lines))
    assert dashboard.protocol.session is not None
    return dashboard, dashboard.protocol.session


def steps_of(session: DashboardSession, frame: SessionFrame) -> Steps[None]:
    steps = session.execute(frame, 0)
    assert isinstance(steps, Generator)
    return steps


FRAMES: Final[list[SessionFrame]] = [
    Subscribe({**ALL, "id": "a"}),
    Resume([{**ALL, "id": "b"}, {**ALL, "id": "c"}], {}),
]


@pytest.mark.parametrize("frame", FRAMES)
def test_what_was_asked_for_is_decided_for_the_viewer_at_the_last_step(frame: SessionFrame) -> None:
    dashboard, session = board("L1")
    steps = steps_of(session, frame)
    next(steps)
    complete(session.update_viewer(operator("L2")))
    assert not dashboard.delivery.subscriptions
    complete(steps)
    assert dashboard.delivery.subscriptions
    for held in dashboard.delivery.subscriptions.values():
        assert held.granted is not None
        assert [str(topic_filter) for topic_filter in held.granted.effective] == ["+/+/L2/+/andon/#"]


def test_an_explanation_is_for_the_viewer_at_the_last_step() -> None:
    dashboard, session = board("L1")
    steps = steps_of(session, Explain({**ALL}))
    next(steps)
    complete(session.update_viewer(operator("L2")))
    complete(steps)
    [explained] = [frame for frame in dashboard.frames() if frame["type"] == "explained"]
    assert explained["effective"] == ["+/+/L2/+/andon/#"]


def test_nothing_is_sent_or_changed_before_the_last_step() -> None:
    dashboard, session = board("L1", "L2")
    complete(steps_of(session, Subscribe({**ANDON, "snapshot": False})))
    dashboard.frames()
    steps = session.update_viewer(operator("L2"), answer=lambda _: dashboard.delivery._link())  # noqa: SLF001
    for number, _ in enumerate(steps):
        assert not dashboard.frames(), number
        assert dashboard.delivery.subscriptions["andon:L1"].granted is not None
    assert dashboard.kinds() == ["link", "revoked"]


def test_the_update_that_begins_last_decides() -> None:
    dashboard, session = board("L1")
    complete(steps_of(session, Subscribe({**ALL, "id": "a", "snapshot": False})))
    dashboard.frames()
    first, second = session.update_viewer(operator("L2")), session.update_viewer(operator("L3"))
    next(first)
    complete(second)
    assert kinds(reported := dashboard.frames()) == ["widened", "revoked"]
    assert reported[0]["filters"] == ["+/+/L3/+/andon/#"]
    complete(first)
    assert not dashboard.frames()


def test_a_subscription_that_is_replaced_meanwhile_keeps_what_it_was_granted() -> None:
    dashboard, session = board("L1")
    complete(steps_of(session, Subscribe({**ALL, "id": "a", "snapshot": False})))
    update = session.update_viewer(operator("L2", "L3"))
    next(update)
    complete(steps_of(session, Subscribe({"id": "a", "subscription_type": "quality", "target_id": "L3"})))
    complete(update)
    granted = dashboard.delivery.subscriptions["a"].granted
    assert granted is not None
    assert [str(topic_filter) for topic_filter in granted.effective] == ["+/+/L3/+/quality/#"]


def update(session: DashboardSession, chance: Random) -> Steps[None]:
    return session.update_viewer(operator(*chance.sample(LINES, chance.randint(1, 3))))


def request(session: DashboardSession, chance: Random) -> Steps[None]:
    bodies: list[dict[str, Any]] = [
        {**ALL, "id": chance.choice("ab"), "target_id": chance.sample(LINES, 2)} for _ in range(2)
    ]
    return steps_of(session, Resume(bodies, {}) if chance.random() < 0.5 else Subscribe(bodies[0]))


@pytest.mark.parametrize("seed", range(100))
def test_whatever_the_order_of_steps_all_is_as_the_last_viewer_is_granted(seed: int) -> None:
    chance = Random(seed)
    dashboard, session = board("L1")
    makers = [update] * 3 + [request] * 6
    chance.shuffle(makers)
    running: list[Steps[None]] = []
    asked: Steps[None] | None = None  # one request at a time, as of a client
    while makers or running:
        if makers and chance.random() < 0.3 and (makers[-1] is update or asked not in running):
            running.append(made := (maker := makers.pop())(session, chance))
            asked = made if maker is request else asked
        elif running:
            steps = chance.choice(running)
            if next(steps, "end") == "end":
                running.remove(steps)
    for held in dashboard.delivery.subscriptions.values():
        decision = admit_subscription(held.request, session.viewer)
        assert held.granted == (decision if isinstance(decision, Subscription) else None)
