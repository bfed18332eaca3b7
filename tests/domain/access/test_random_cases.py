"""Random subscriptions, grants and refreshes, against sets of topics: what is admitted, lost and gained is exact."""

import random
from collections import Counter
from itertools import combinations
from typing import Final

import pytest

from bridge.domain.access.claims import Claims
from bridge.domain.access.grants import NotGranted
from bridge.domain.access.policy import Policy
from bridge.domain.access.subscription_request import parse_subscription
from bridge.domain.access.subscription_types import SubscriptionError
from bridge.domain.access.subscriptions import Subscription, admit_subscription
from bridge.domain.access.viewer import Viewer, admit
from bridge.domain.steps import complete
from bridge.protocol.grant_changes import compare_grants, revoked_frame, widened_frame
from tests.support import run_record
from tests.support.event_universe import CATEGORIES, PRIORITIES, UNNAMED, topics_of, topics_of_any
from tests.support.random_subscriptions import NAMES, USER, Case, Token, a_case
from tests.support.reference_subscription import matches

POLICY: Final = Policy.parse("[roles.maintenance]\n[roles.quality]\n")  # an engineer is none here


def viewer_of(token: Token) -> Viewer:
    claim_set = {"roles": list(token.roles), "grants": {"read": list(token.grants)}}
    return admit(Claims(USER, "floor", 1, None, claim_set), POLICY, trust_grants=True)


def check_decision(case: Case, token: Token) -> Subscription | None:
    """Check an admission of the body, and return it; None if it is refused."""
    request = parse_subscription(case.body)
    decision = admit_subscription(request, viewer_of(token))
    granted = topics_of_any(token.grants)
    is_narrowed = bool(case.requested & ~granted)
    allowed = case.requested & granted and not (case.body["strict"] and is_narrowed)
    assert isinstance(decision, Subscription) == bool(allowed)
    witness = decision.witness if isinstance(decision, NotGranted) else decision.allowed.witness
    assert (witness is None) == (not is_narrowed)
    if witness is not None:
        check_witness(case, token, str(witness))
    if isinstance(decision, NotGranted):
        return None
    kept = [topics_of(str(topic_filter)) & case.within for topic_filter in decision.effective]
    union = 0
    for bits in kept:
        union |= bits
    assert union == case.requested & granted
    assert not [1 for one, other in combinations(kept, 2) if one | other in (one, other)]
    assert decision.acceptance.addressees == case.audience(token)
    assert decision.narrowed == is_narrowed
    return decision


def check_witness(case: Case, token: Token, witness: str) -> None:
    assert not any(matches(grant, witness) for grant in token.grants)
    masks = case.body["filters"]
    assert isinstance(masks, dict)
    levels = witness.split("/")
    assert levels[5] in (masks["event_types"] or CATEGORIES)
    assert levels[6] in (masks["priorities"] or PRIORITIES)
    known = "/".join(text if text in names else UNNAMED for text, names in zip(levels, NAMES, strict=True))
    assert topics_of(known) & case.requested


def check_refresh(case: Case, former: Subscription | None, latter: Subscription | None) -> tuple[bool, bool]:
    """Check the frames that report the other token, of topics and addressees; return whether it revokes and widens."""
    changes = [complete(compare_grants("s", former, latter))]
    revoked, widened = revoked_frame(changes), widened_frame(changes)
    held, holds = (0 if s is None else topics_of_any(map(str, s.effective)) & case.within for s in (former, latter))
    readdressed = (
        former is not None and latter is not None and former.acceptance.addressees != latter.acceptance.addressees
    )
    for frame, lost in ((revoked, held & ~holds), (widened, holds & ~held)):
        assert (frame is not None) == bool(lost or readdressed)
        if frame is not None:
            named = [topics_of(topic_filter) for topic_filter in frame.filters]
            assert not lost & ~topics_of_any(frame.filters)
            assert readdressed or all(bits & lost for bits in named)
    return revoked is not None, widened is not None


def check_seed(seed: int, *, cases: int) -> Counter[str]:
    """Check random cases, and return how many decisions and refreshes had which outcome."""
    draw = random.Random(seed)
    outcomes = Counter[str](cases=cases)
    for number in range(cases):
        case = a_case(draw)
        try:
            former, latter = (check_decision(case, token) for token in case.tokens)
            revokes, widens = check_refresh(case, former, latter)
        except SubscriptionError:
            assert not case.requested
            outcomes["invalid"] += 1
        except AssertionError as error:
            raise AssertionError(f"case {number} of seed {seed}: {case.body}, {case.tokens}") from error
        else:
            outcomes["revoked"] += revokes
            outcomes["widened"] += widens
            outcomes.update(map(outcome_of, (former, latter)))
    return outcomes


def outcome_of(decision: Subscription | None) -> str:
    if decision is None:
        return "refused"
    return "narrowed" if decision.narrowed else "granted"


@pytest.mark.parametrize("seed", range(4))
def test_random_subscriptions_and_refreshes_are_exact(seed: int) -> None:
    check_seed(seed, cases=1_500)


@pytest.mark.proof
@pytest.mark.parametrize("first_seed", range(100, 200, 25))  # parts, for several processes
def test_ten_million_subscriptions_and_refreshes_are_exact(first_seed: int) -> None:
    outcomes = Counter[str]()
    for seed in range(first_seed, first_seed + 25):
        outcomes += check_seed(seed, cases=100_000)
    decided = ", ".join(f"{outcomes[name]:,} {name}" for name in ("granted", "narrowed", "refused"))
    run_record.note(
        f"access, seeds {first_seed} to {seed}, {outcomes['cases']:,} random subscriptions, each with two tokens",
        f"decisions: {decided}; refreshes: {outcomes['revoked']:,} revoked, {outcomes['widened']:,} widened; "
        f"{outcomes['invalid']:,} invalid requests; wrong: nothing",
    )
