"""Limits on the subscriptions of one dashboard: their filters together, and those that were replaced."""

from typing import Any

from tests.protocol.dashboard import ANDON, LIMITS, Dashboard, joined
from tests.protocol.delivery.samples import event

LINES = [f"L{number}" for number in range(1, 22)]


def lines(*, name: str, count: int, first: int = 0) -> dict[str, Any]:
    return {**ANDON, "id": name, "target_id": LINES[first : first + count], "snapshot": False}


def test_the_filters_of_all_subscriptions_are_bounded() -> None:
    dashboard = joined()
    dashboard.ask(lines(name="a", count=15))
    [refusal] = dashboard.ask(lines(name="b", count=6, first=15))
    assert (refusal["code"], refusal["id"]) == ("LIMIT_EXCEEDED", "b")
    assert dashboard.ask(lines(name="b", count=5, first=15))[0]["type"] == "subscription_confirmed"
    assert dashboard.ask(lines(name="a", count=10))[0]["type"] == "subscription_confirmed", "in place of the former"
    bodies = [lines(name="c", count=6), lines(name="a", count=15)]
    refusals = dashboard.ask({"type": "resume", "subscriptions": bodies, "since": {}})
    assert [refusal["id"] for refusal in refusals] == ["c"]


def test_a_new_token_grants_nothing_of_what_exceeds_the_bound() -> None:
    dashboard = joined(role="operator", lines=LINES[:4])
    for name in ("a", "b"):
        dashboard.ask({**ANDON, "id": name, "target_id": "all", "snapshot": False})
    dashboard.accept(role="operator", lines=LINES[:15])
    _, widened, revoked = dashboard.frames()
    assert [(changed["id"], len(changed["effective"])) for changed in widened["subscriptions"]] == [("a", 15)]
    assert revoked["subscriptions"] == [{"id": "b", "effective": []}]


def replace(dashboard: Dashboard, offset: int) -> list[str]:
    """Commit an event that the client does not read, replace its subscription, and return the answers' codes."""
    dashboard.delivery.fall_behind()
    dashboard.feed.advance(event(offset, "call"))
    dashboard.receive(lines(name="a", count=1))
    answers = dashboard.delivery._requests.take_answers()  # noqa: SLF001 - nothing else is read
    return ["LIMIT_EXCEEDED" if b"LIMIT_EXCEEDED" in answer else "confirmed" for answer in answers]


def test_a_client_that_does_not_read_replaces_its_subscription_only_so_often() -> None:
    dashboard = joined()
    dashboard.ask(lines(name="a", count=1))
    answers = [code for offset in range(1, 8) for code in replace(dashboard, offset)]
    assert answers == ["confirmed"] * LIMITS.max_subscriptions + ["LIMIT_EXCEEDED"] * (7 - LIMITS.max_subscriptions)
    assert len(dashboard.delivery.replaced) == LIMITS.max_subscriptions
