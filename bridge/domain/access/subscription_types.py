"""Subscription types and their targets as topic filters. Source: design.md, «Subscriptions are filters»."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from typing_extensions import override

from bridge.domain.events import Priority
from bridge.domain.ids import is_id
from bridge.domain.topics import TopicFilter

TARGET_ALL: Final = "all"
TARGET_ME: Final = "me"
MAX_QUOTED_CHARS: Final = 80  # of a refused value, in the error about it

SubscriptionErrorCode = Literal["INVALID_MESSAGE", "UNKNOWN_SUBSCRIPTION_TYPE", "MISSING_TARGET_ID", "LIMIT_EXCEEDED"]


class SubscriptionType(StrEnum):
    LINE = "line"
    EQUIPMENT = "equipment"
    JOB = "job"
    PRODUCTION = "production"
    OEE = "oee"
    DOWNTIME = "downtime"
    ANDON = "andon"
    ESCALATION = "escalation"
    QUALITY = "quality"
    CHANGEOVER = "changeover"


ADDRESSED_TYPES: Final = frozenset({SubscriptionType.JOB, SubscriptionType.ESCALATION})
"""The types whose events have an audience, so that `me` is a valid target."""


@dataclass(eq=False)
class SubscriptionError(ValueError):
    """An invalid subscribe body, the client's fault: a code of protocol.md, and a message that the client may see."""

    code: SubscriptionErrorCode
    message: str

    @override
    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def target_filter(kind: SubscriptionType, target: str) -> TopicFilter:
    """Return the filter of one target, relative to `{root}/event/`; raise SubscriptionError for an invalid target."""
    text = _path_filter(kind, target) or _prefixed_filter(kind, target)
    if text is None:
        raise SubscriptionError("INVALID_MESSAGE", f"{target[:MAX_QUOTED_CHARS]!r} is no target of {kind.value}")
    return TopicFilter.parse(text)


def _path_filter(kind: SubscriptionType, target: str) -> str | None:
    """Return the filter of `site/area/line` or `site/area/line/equipment`; None for any other target."""
    levels = target.split("/")
    if len(levels) not in (3, 4) or not all(map(is_id, levels)):
        return None
    if kind in _ALL_CATEGORY_TYPES:
        return f"{target}/#"
    return f"{target}{'/+' if len(levels) == 3 else ''}/{kind.value}/#"


def _prefixed_filter(kind: SubscriptionType, target: str) -> str | None:
    if target == TARGET_ME and kind not in ADDRESSED_TYPES:
        return None
    if target in (TARGET_ALL, TARGET_ME):
        return "#" if kind in _ALL_CATEGORY_TYPES else f"+/+/+/+/{kind.value}/#"
    prefix, colon, name = target.rpartition(":")
    prefix = prefix if colon else _DEFAULT_PREFIX.get(kind, "line")
    form = _TEMPLATES.get((kind, prefix)) or _COMMON_TEMPLATES.get(prefix)
    valid = name in _PRIORITIES if prefix == "priority" else is_id(name)
    return form(name, kind) if form is not None and valid else None


_PRIORITIES = frozenset(each.value for each in Priority)
_ALL_CATEGORY_TYPES: Final = frozenset({SubscriptionType.LINE, SubscriptionType.EQUIPMENT})
"""The types that include every category of their target."""
_DEFAULT_PREFIX: Final = {
    SubscriptionType.EQUIPMENT: "equipment",
    SubscriptionType.JOB: "job",
    SubscriptionType.ESCALATION: "priority",
}
"""The prefix that a target without one gets; `line` for types not listed here."""

_FilterTemplate = Callable[[str, SubscriptionType], str]
_TEMPLATES: Final[dict[tuple[SubscriptionType, str], _FilterTemplate]] = {
    (SubscriptionType.LINE, "line"): lambda name, _: f"+/+/{name}/#",
    (SubscriptionType.EQUIPMENT, "line"): lambda name, _: f"+/+/{name}/#",
    (SubscriptionType.EQUIPMENT, "equipment"): lambda name, _: f"+/+/+/{name}/#",
    (SubscriptionType.LINE, "equipment"): lambda name, _: f"+/+/+/{name}/#",
    (SubscriptionType.JOB, "job"): lambda name, _: f"+/+/+/+/job/+/+/{name}",
    (SubscriptionType.ESCALATION, "escalation"): lambda name, _: f"+/+/+/+/escalation/+/+/{name}",
    (SubscriptionType.ESCALATION, "priority"): lambda name, _: f"+/+/+/+/escalation/+/{name}/+",
}
_COMMON_TEMPLATES: Final[dict[str, _FilterTemplate]] = {
    "line": lambda name, kind: f"+/+/{name}/+/{kind.value}/#",
    "equipment": lambda name, kind: f"+/+/+/{name}/{kind.value}/#",
}
