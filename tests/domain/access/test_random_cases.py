"""Random subscriptions, grants and refreshes, against sets of topics: what is admitted, lost and gained is exact."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
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
from bridge.protocol.session import revoked_frame, widened_frame
from tests.support.event_universe import CATEGORIES, PRIORITIES, UNNAMED, topics_of, topics_of_any, topics_within
from tests.support.reference_subscription import matches

USER: Final = "eva"
ROLES: Final = ("maintenance", "quality", "engineer")
POLICY: Final = Policy.parse("[roles.maintenance]\n[roles.quality]\n")  # an engineer is none here
NAMES: Final = (("S1",), ("A1",), ("L1", "L2"), ("_", "E1"), tuple(set(CATEGORIES.values())), tuple(CATEGORIES),
                PRIORITIES, ("_", "J1"))  # fmt: skip
"""The texts of each level of a filter, beside `+`."""


def paths_of(category: str) -> dict[str, str]:
    """Return the targets that all types have, and their filters; `category` is `+` for lines and equipment."""
    return {
        "line:L1": f"+/+/L1/+/{category}/#",
        "line:L2": f"+/+/L2/+/{category}/#",
        "equipment:E1": f"+/+/+/E1/{category}/#",
        "S1/A1/L1": f"S1/A1/L1/+/{category}/#",
        "S1/A1/L2/E1": f"S1/A1/L2/E1/{category}/#",
        "all": f"+/+/+/+/{category}/#",
    }


TARGETS: Final[Mapping[str, Mapping[str, str]]] = {
    "line": {**paths_of("+"), "L1": "+/+/L1/#"},
    "equipment": {**paths_of("+"), "E1": "+/+/+/E1/#"},
    "job": {**paths_of("job"), "J1": "+/+/+/+/job/+/+/J1", "job:J1": "+/+/+/+/job/+/+/J1"},
    "escalation": {
        **paths_of("escalation"),
        "escalation:J1": "+/+/+/+/escalation/+/+/J1",
        **{priority: f"+/+/+/+/escalation/+/{priority}/+" for priority in PRIORITIES},
    },
    **{
        kind: {**paths_of(kind), "L2": f"+/+/L2/+/{kind}/#"}
        for kind in ("production", "oee", "downtime", "andon", "quality", "changeover")
    },
}
"""Type of subscription -> its targets, with their filters (design.md, «Subscriptions are filters»)."""


@dataclass(frozen=True, slots=True)
class Token:
    roles: tuple[str, ...]
    grants: tuple[str, ...]

    def viewer(self) -> Viewer:
        claim_set = {"roles": list(self.roles), "grants": {"read": list(self.grants)}}
        return admit(Claims(USER, "floor", 1, None, claim_set), POLICY, trust_grants=True)

    def names(self, kind: str) -> frozenset[str]:
        """Return whom the target `me` of this type of subscription stands for."""
        return frozenset({USER}) if kind == "job" else frozenset(self.roles) & {"maintenance", "quality"}


@dataclass(frozen=True, slots=True)
class Case:
    """A body of a subscription, the topics that it requests, and the tokens before and after a refresh."""

    body: dict[str, object]
    requested: int
    within: int
    is_for_me: bool
    tokens: tuple[Token, Token]

    def audience(self, token: Token) -> frozenset[str] | None:
        return token.names(str(self.body["subscription_type"])) if self.is_for_me else None


def a_filter(draw: random.Random) -> str:
    wildcards = draw.choice((1, 3, 6))
    levels = [draw.choice((*names, *(("+",) * wildcards * len(names)))) for names in NAMES]
    cut = draw.randrange(16)
    return "/".join([*levels[:cut], "#"] if cut < len(levels) else levels)


def a_token(draw: random.Random) -> Token:
    grants = tuple(a_filter(draw) for _ in range(draw.randrange(6)))
    return Token(tuple(draw.sample(ROLES, draw.randrange(4))), grants)


def a_case(draw: random.Random) -> Case:
    body: dict[str, object] = {"id": "s", "strict": draw.random() < 0.2}
    filters = ["#"]
    is_for_me = False
    if draw.random() < 0.9:
        kind = draw.choice(tuple(TARGETS))
        targets = draw.sample(tuple(TARGETS[kind]), draw.randrange(1, 5))
        is_for_me = kind in ("job", "escalation") and draw.random() < 0.3
        filters = [TARGETS[kind]["all"]] if is_for_me else [TARGETS[kind][target] for target in targets]
        body |= {"subscription_type": kind, "target_id": "me" if is_for_me else targets}
    if "subscription_type" not in body or draw.random() < 0.2:
        raw = body["mqtt_filter"] = a_filter(draw)
    else:
        raw = "#"
    masks = {
        "event_types": tuple(draw.sample(tuple(CATEGORIES), draw.randrange(1, 4))) if draw.random() < 0.3 else None,
        "priorities": tuple(draw.sample(PRIORITIES, draw.randrange(1, 4))) if draw.random() < 0.3 else None,
    }
    body["filters"] = {name: None if words is None else list(words) for name, words in masks.items()}
    within = topics_within(masks["event_types"], masks["priorities"])
    return Case(
        body, topics_of_any(filters) & topics_of(raw) & within, within, is_for_me, (a_token(draw), a_token(draw))
    )


def check_decision(case: Case, token: Token) -> Subscription | None:
    """Check an admission of the body, and return it; None if it is refused."""
    request = parse_subscription(case.body)
    decision = admit_subscription(request, token.viewer())
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


def check_refresh(case: Case, former: Subscription | None, latter: Subscription | None) -> None:
    """Check the frames that report the other token: of topics and addressees."""
    before, after = ({"s": former}, {"s": latter})
    revoked, widened = revoked_frame(before, after), widened_frame(before, after)
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


def check_seed(seed: int, *, cases: int) -> None:
    draw = random.Random(seed)
    for number in range(cases):
        case = a_case(draw)
        try:
            former, latter = (check_decision(case, token) for token in case.tokens)
            check_refresh(case, former, latter)
        except SubscriptionError:
            assert not case.requested
        except AssertionError as error:
            raise AssertionError(f"case {number} of seed {seed}: {case.body}, {case.tokens}") from error


@pytest.mark.parametrize("seed", range(4))
def test_random_subscriptions_and_refreshes_are_exact(seed: int) -> None:
    check_seed(seed, cases=5_000)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(100, 200))
def test_ten_million_subscriptions_and_refreshes_are_exact(seed: int) -> None:
    check_seed(seed, cases=100_000)
