"""Admission in steps: each is small, however much is asked for and granted."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Final

import pytest

from bridge.domain.access.claims import Claims
from bridge.domain.access.policy import Policy
from bridge.domain.access.subscription_request import parse_subscription
from bridge.domain.access.subscriptions import Subscription, admit_in_steps, admit_subscription
from bridge.domain.access.viewer import Viewer, admit
from bridge.domain.access.viewer import admit_in_steps as admit_viewer_in_steps
from bridge.domain.steps import Steps

MOST_CALLS: Final = 10_000  # of functions in one step: some 0.5 ms
NOBODY: Final = Policy(roles={})
LINES: Final = [f"L{number}" for number in range(1_000)]
EACH_LINE: Final = [f"+/+/{line}/+/+/+/+/+" for line in LINES]
BY_SCOPE: Final = ["+/+/+/E1/#", "+/+/+/E2/#", "+/+/+/E3/#", "+/+/+/E4/#"]


def claims_of(read: list[str], command: list[str], **scopes: list[str]) -> Claims:
    return Claims("eva", "floor", 1, None, {"grants": {"read": read, "command": command}, **scopes})


def viewer(read: list[str]) -> Viewer:
    return admit(claims_of(read, []), NOBODY, trust_grants=True)


def longest_step(steps: Steps[object]) -> tuple[int, int]:
    """Return the most calls of functions in one step, and in all."""
    count = longest = total = 0

    def on_event(_frame: FrameType, kind: str, _argument: object) -> None:
        nonlocal count
        count += kind in ("call", "c_call")

    is_done = False
    while not is_done:
        count = 0
        sys.setprofile(on_event)
        try:
            next(steps)
        except StopIteration:
            is_done = True
        finally:
            sys.setprofile(None)
        longest, total = max(longest, count), total + count
    return longest, total


def admit_viewer(claims: Claims) -> Steps[object]:
    return admit_viewer_in_steps(claims, NOBODY, trust_grants=True)


def admit_body(**body: object) -> Steps[object]:
    return admit_in_steps(parse_subscription(body), viewer(EACH_LINE))


def lose_all() -> Steps[object]:
    held = admit_subscription(parse_subscription({"mqtt_filter": "#"}), viewer(EACH_LINE))
    rest = admit_subscription(parse_subscription({"mqtt_filter": "#"}), viewer(EACH_LINE[:1]))
    assert isinstance(held, Subscription)
    assert isinstance(rest, Subscription)
    return held.lost_to(rest)


@pytest.mark.parametrize(
    "make",
    [
        lambda: admit_viewer(claims_of(EACH_LINE, ["+/+/" + line + "/+/+" for line in LINES])),
        lambda: admit_viewer(claims_of(["not/a/filter/of/ours/at/all/+/+"] * 1_000, ["#/#"] * 1_000)),
        lambda: admit_viewer(claims_of(BY_SCOPE, [], lines=LINES[:250])),
        lambda: admit_body(subscription_type="line", target_id=LINES[:100]),
        lambda: admit_body(subscription_type="equipment", target_id=LINES[:9]),
        lambda: admit_body(mqtt_filter="#"),
        lose_all,
    ],
)
def test_each_step_is_small(make: Callable[[], Steps[object]]) -> None:
    longest, total = longest_step(make())
    assert longest < MOST_CALLS < total
