"""Grants and admitted subscriptions that are equal are one object, and nothing else is shared."""

import gc
import weakref
from typing import Any

import pytest

from bridge.domain.access.claims import Claims
from bridge.domain.access.policy import Policy
from bridge.domain.access.subscription_request import SubscriptionRequest, parse_subscription
from bridge.domain.access.subscriptions import Subscription, admit_subscription
from bridge.domain.access.viewer import Viewer, admit

TEXT = """
[roles.operator]
read = ["+/+/{line}/#"]
command = ["+/+/{line}/#"]
actions = ["andon.raise"]

[roles.viewer]
read = ["{site}/#", "+/+/{line}/#"]
"""
POLICY = Policy.parse(TEXT)
PERSONAL = Policy.parse(TEXT.replace('read = ["+/+/{line}/#"]', 'read = ["+/+/{line}/+/job/+/+/{user}"]', 1))
SAME: dict[str, Any] = {"roles": ["operator"], "lines": ["L1", "L2"]}


def viewer(
    claims: dict[str, Any] = SAME, *, user: str = "u1", policy: Policy = POLICY, trust_grants: bool = False
) -> Viewer:
    return admit(Claims(user, "floor", 1, None, claims), policy, trust_grants=trust_grants)


def request(**fields: Any) -> SubscriptionRequest:
    return parse_subscription({"subscription_type": "line", "target_id": "L1", **fields})


def subscription(asked: SubscriptionRequest, by: Viewer) -> Subscription:
    admitted = admit_subscription(asked, by)
    assert isinstance(admitted, Subscription)
    return admitted


def test_users_with_equal_claims_have_the_same_grants() -> None:
    one, other = viewer(user="u1"), viewer(user="u2", policy=Policy.parse(TEXT))
    assert one.read_grants is other.read_grants
    assert one.command_grants is other.command_grants


@pytest.mark.parametrize(
    "claims",
    [
        {**SAME, "lines": ["L1"]},
        {**SAME, "lines": []},
        {"roles": ["operator"]},
        {"roles": ["viewer"], "lines": ["L1", "L2"]},
        {**SAME, "sites": ["S1"]},
        {**SAME, "areas": ["S1"]},
    ],
)
def test_other_claims_have_grants_of_their_own(claims: dict[str, Any]) -> None:
    held = viewer()
    assert viewer(claims).read_grants != held.read_grants


def test_a_changed_policy_has_grants_of_its_own() -> None:
    held, changed = viewer(), Policy.parse(TEXT.replace('actions = ["andon.raise"]', 'actions = ["andon.cancel"]'))
    assert viewer(policy=changed).read_grants is held.read_grants
    assert viewer(policy=changed).command_grants != held.command_grants


def test_a_policy_that_names_the_user_gives_each_their_own() -> None:
    one, other = viewer(user="u1", policy=PERSONAL), viewer(user="u2", policy=PERSONAL)
    assert [str(grant.filter) for grant in other.read_grants.all] == ["+/+/L1/+/job/+/+/u2", "+/+/L2/+/job/+/+/u2"]
    assert one.read_grants != other.read_grants
    assert one.command_grants is other.command_grants


def test_the_tokens_own_grants_count_only_where_they_are_trusted() -> None:
    claims: dict[str, Any] = {"roles": [], "lines": ["L1", "L2"], "grants": {"read": ["+/+/L1/#"]}}
    untrusted, trusted = viewer(claims), viewer(claims, trust_grants=True)
    others = viewer({**claims, "grants": {"read": ["+/+/L2/#"]}}, trust_grants=True)
    filters = [[str(grant.filter) for grant in user.read_grants.all] for user in (untrusted, trusted, others)]
    assert filters == [[], ["+/+/L1/#"], ["+/+/L2/#"]]


def test_equal_requests_of_equal_grants_are_admitted_once() -> None:
    held = subscription(request(), viewer(user="u1"))
    assert subscription(request(), viewer(user="u2")) is held
    for other in (request(id="x"), request(strict=True), request(snapshot=False), request(target_id="L2")):
        assert subscription(other, viewer()) is not held
        assert subscription(other, viewer()).request == other
    assert subscription(request(), viewer({**SAME, "lines": ["L1"]})) is not held
    narrowed = subscription(request(filters={"priorities": ["high"]}), viewer())
    assert narrowed.acceptance.mask != held.acceptance.mask


def test_a_subscription_to_ones_own_events_is_shared_with_nobody() -> None:
    mine = request(subscription_type="job", target_id="me")
    one, other = subscription(mine, viewer(user="u1")), subscription(mine, viewer(user="u2"))
    assert [one.acceptance.addressees, other.acceptance.addressees] == [frozenset({"u1"}), frozenset({"u2"})]


def test_what_nobody_holds_any_more_is_forgotten() -> None:
    held = viewer({**SAME, "lines": ["L77"]})
    admitted = subscription(request(target_id="L77"), held)
    grants, forgotten = weakref.ref(held.read_grants), weakref.ref(admitted)
    del held, admitted
    gc.collect()
    assert (grants(), forgotten()) == (None, None)
