"""Random subscriptions with tokens, and what they request and grant, as sets of topics; knows no code of the bridge."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.support.event_universe import CATEGORIES, PRIORITIES, topics_of, topics_of_any, topics_within

USER: Final = "eva"
ROLES: Final = ("maintenance", "quality", "engineer")
ADDRESSED: Final = frozenset({"maintenance", "quality"})
"""The roles that events are for."""

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

    def names(self, kind: str) -> frozenset[str]:
        """Return whom the target `me` of this type of subscription stands for."""
        return frozenset({USER}) if kind == "job" else frozenset(self.roles) & ADDRESSED


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
