"""The ten subscription types: the targets of each, and the topic filters that they become.

Parser, schemas and the table of design.md, «Subscriptions are filters», all come from this one.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from functools import lru_cache
from typing import Final, Self

from typing_extensions import override

from bridge.domain.events import Priority
from bridge.domain.ids import is_id
from bridge.domain.topics import TopicFilter

TARGET_ALL: Final = "all"
TARGET_ME: Final = "me"
MAX_QUOTED_CHARS: Final = 80  # of a refused value, in the error about it

TARGET_PLACEHOLDERS: Final = {
    "site": "site id",
    "area": "area id",
    "line": "line id",
    "equipment": "equipment code",
    "job": "job id",
    "escalation": "escalation id",
    "priority": "priority",
}
"""Placeholder in a target and its filter -> its meaning. All stand for an id, but `priority`."""


class Addressee(Enum):
    """The audience of the events that the target `me` selects."""

    USER = auto()  # the user id is in the audience
    ROLE = auto()  # one of the user's roles is


@dataclass(frozen=True, slots=True)
class TargetForm:
    """One form of a target, and the filter that it becomes, relative to `{root}/event/`.

    Both hold `TARGET_PLACEHOLDERS` in braces; in the filter `{type}` is the subscription type.
    """

    target: str
    filter: str
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/:]+)", self.target)
        object.__setattr__(self, "_pattern", re.compile(pattern))

    def values(self, target: str) -> dict[str, str] | None:
        """Return the values of the placeholders; None for a target of another form."""
        match = self._pattern.fullmatch(target)
        if match is None or not all(_is_valid(name, text) for name, text in match.groupdict().items()):
            return None
        return match.groupdict()


def _is_valid(placeholder: str, text: str) -> bool:
    return text in _PRIORITIES if placeholder == "priority" else is_id(text)


_PRIORITIES: Final = frozenset(priority.value for priority in Priority)

_LINE: Final = TargetForm("line:{line}", "+/+/{line}/#")
_EQUIPMENT: Final = TargetForm("equipment:{equipment}", "+/+/+/{equipment}/#")
_PATHS: Final = (
    TargetForm("{site}/{area}/{line}", "{site}/{area}/{line}/#"),
    TargetForm("{site}/{area}/{line}/{equipment}", "{site}/{area}/{line}/{equipment}/#"),
)
_EVERYTHING: Final = TargetForm(TARGET_ALL, "#")

_CATEGORY: Final = (
    TargetForm("line:{line}", "+/+/{line}/+/{type}/#"),
    TargetForm("equipment:{equipment}", "+/+/+/{equipment}/{type}/#"),
    TargetForm("{site}/{area}/{line}", "{site}/{area}/{line}/+/{type}/#"),
    TargetForm("{site}/{area}/{line}/{equipment}", "{site}/{area}/{line}/{equipment}/{type}/#"),
    TargetForm(TARGET_ALL, "+/+/+/+/{type}/#"),
)
"""Targets of a type that is the category of its name."""

_ME: Final = TargetForm(TARGET_ME, "+/+/+/+/{type}/#")
_JOB: Final = TargetForm("job:{job}", "+/+/+/+/{type}/+/+/{job}")
_ESCALATION: Final = TargetForm("escalation:{escalation}", "+/+/+/+/{type}/+/+/{escalation}")
_PRIORITY: Final = TargetForm("priority:{priority}", "+/+/+/+/{type}/+/{priority}/+")


class SubscriptionType(StrEnum):
    """A kind of subscription, which defines the meaning of its targets."""

    forms: tuple[TargetForm, ...]  # the first is also that of a target without a prefix
    me: Addressee | None  # None: no event of the type has an audience

    def __new__(cls, name: str, forms: tuple[TargetForm, ...], me: Addressee | None = None) -> Self:
        member = str.__new__(cls, name)
        member._value_ = name
        member.forms = forms
        member.me = me
        return member

    LINE = "line", (_LINE, _EQUIPMENT, *_PATHS, _EVERYTHING)
    EQUIPMENT = "equipment", (_EQUIPMENT, _LINE, *_PATHS, _EVERYTHING)
    JOB = "job", (_JOB, *_CATEGORY, _ME), Addressee.USER
    PRODUCTION = "production", _CATEGORY
    OEE = "oee", _CATEGORY
    DOWNTIME = "downtime", _CATEGORY
    ANDON = "andon", _CATEGORY
    QUALITY = "quality", _CATEGORY
    CHANGEOVER = "changeover", _CATEGORY
    ESCALATION = "escalation", (_PRIORITY, _ESCALATION, *_CATEGORY, _ME), Addressee.ROLE

    @property
    def default_prefix(self) -> str:
        return self.forms[0].target.partition(":")[0]


class SubscriptionErrorCode(StrEnum):
    """Those of protocol.md's error codes that an invalid subscribe body has."""

    INVALID_MESSAGE = "INVALID_MESSAGE"
    UNKNOWN_SUBSCRIPTION_TYPE = "UNKNOWN_SUBSCRIPTION_TYPE"
    MISSING_TARGET_ID = "MISSING_TARGET_ID"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"


@dataclass(eq=False)
class SubscriptionError(ValueError):
    """An invalid subscribe body, the client's fault: a code of protocol.md, and a message that the client may see."""

    code: SubscriptionErrorCode
    message: str

    @override
    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@lru_cache(maxsize=1_000)  # most dashboards want what others want; then they also have the same object
def target_filter(kind: SubscriptionType, target: str) -> TopicFilter:
    """Return the filter of one target, relative to `{root}/event/`; raise SubscriptionError for an invalid target."""
    is_bare = target not in (TARGET_ALL, TARGET_ME) and not {":", "/"} & set(target)
    full = f"{kind.default_prefix}:{target}" if is_bare else target
    for form in kind.forms:
        values = form.values(full)
        if values is not None:
            return TopicFilter.parse(form.filter.format(type=kind.value, **values))
    message = f"{target[:MAX_QUOTED_CHARS]!r} is no target of {kind.value}"
    raise SubscriptionError(SubscriptionErrorCode.INVALID_MESSAGE, message)
