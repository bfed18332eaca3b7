"""The policy file: what each role may read and command, within the sites, areas and lines in the token.

Filters are templates: a level may be `{site}`, `{area}`, `{line}` or `{user}`. A placeholder whose claim is absent
produces no filter. Every claim in a token applies, whether the template names it or not, so claims narrow each other.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import product
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, ValidationError, model_validator

from bridge.domain.access.topic_layout import ACTIONS, ANY, COMMANDS, EVENTS, TopicLayout, action_mask
from bridge.domain.toml_text import parse_toml
from bridge.domain.topics import TopicError, TopicFilter
from bridge.domain.validation_errors import describe_faults, dotted

SCOPES: Final = ("site", "area", "line")
"""The placeholder of each of the first three levels. The name of its claim is the plural."""
SCOPE_PLACEHOLDERS: Final = tuple(f"{{{scope}}}" for scope in SCOPES)
USER_PLACEHOLDER: Final = "{user}"
MAX_TEMPLATES: Final = 100  # per role; every admission expands them all


class Role(StrEnum):
    """Roles of the `roles` claim. A policy gives each its grants; a role without a section has none."""

    ADMIN = "admin"
    PRODUCTION_MANAGER = "production_manager"
    SHIFT_MANAGER = "shift_manager"
    TEAM_LEADER = "team_leader"
    ENGINEER = "engineer"
    OPERATOR = "operator"
    MAINTENANCE = "maintenance"
    QUALITY = "quality"
    MATERIAL = "material"
    VIEWER = "viewer"


class PolicyError(ValueError):
    """An invalid policy, the plant's own fault. The text has one line per fault: source, place and reason."""


def _check_template(layout: TopicLayout, text: str) -> str:
    for level, word in enumerate(text.split("/")):
        if word.startswith("{") and word != USER_PLACEHOLDER and word not in SCOPE_PLACEHOLDERS[level : level + 1]:
            raise ValueError(f"{word} is not allowed in level {level}")
    try:
        parsed = TopicFilter.parse("/".join("x" if word.startswith("{") else word for word in text.split("/")))
    except TopicError as error:
        raise ValueError(str(error)) from error
    if layout.region(parsed) is None:
        raise ValueError(f"no {layout.name} topic can match it")
    return text


def _check_read_template(text: str) -> str:
    return _check_template(EVENTS, text)


def _check_command_template(text: str) -> str:
    return _check_template(COMMANDS, text)


ReadTemplate = Annotated[str, AfterValidator(_check_read_template)]
CommandTemplate = Annotated[str, AfterValidator(_check_command_template)]


def _check_action(text: str) -> str:
    if not action_mask((text,)):
        raise ValueError(f"unknown action; there are {', '.join(ACTIONS)}, and a kind as in andon.*")
    return text


class RolePolicy(BaseModel):
    """Rights of one role. `actions` narrows the commands; omitted: every action of the kinds that its filters match."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    unscoped: StrictBool = False  # ignores the claims sites, areas and lines
    read: Annotated[tuple[ReadTemplate, ...], Field(max_length=MAX_TEMPLATES)] = ()
    command: Annotated[tuple[CommandTemplate, ...], Field(max_length=MAX_TEMPLATES)] = ()
    actions: tuple[Annotated[str, AfterValidator(_check_action)], ...] | None = None

    @model_validator(mode="after")
    def _check_scope(self) -> Self:
        for text in (*self.read, *self.command):
            scoped = any(placeholder in text for placeholder in SCOPE_PLACEHOLDERS)
            if scoped and self.unscoped:
                raise ValueError(f"{text} names a claim, which an unscoped role ignores")
            if not scoped and not self.unscoped:
                raise ValueError(
                    f"{text} names no claim: give it {' or '.join(SCOPE_PLACEHOLDERS)}, or set unscoped = true"
                )
        return self


class Policy(BaseModel):
    """Rights of the plant's roles; a role that is not listed has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: dict[Role, RolePolicy]

    @classmethod
    def parse(cls, text: str, *, source: str = "policy") -> Self:
        """Return the policy of a TOML text; raise PolicyError with every fault and its place."""
        try:
            tree = parse_toml(text)
        except ValueError as error:
            raise PolicyError(f"{source}: {error}") from error
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            lines = [f"{source}: {dotted(location)}: {text}" for location, text in describe_faults(cls, error)]
            raise PolicyError("\n".join(lines)) from error


def expand_template(template: str, scope: Mapping[str, tuple[str, ...]], *, user: str | None) -> Iterator[TopicFilter]:
    """Yield a template's filters for these claims; `scope`: valid ids by site, area and line, without absent claims.

    Literal levels must be among their claim's ids, `+` becomes each of them: OR within a claim, AND across claims.
    Lazy, so that a caller that counts can stop early.
    """
    head, hash_, _ = template.partition("#")
    levels = head.removesuffix("/").split("/") if head else []
    if hash_ and scope:
        levels += [ANY] * (len(SCOPES) - len(levels))
    choices = [_choices(level, word, scope, user) for level, word in enumerate(levels)]
    for chosen in product(*choices):
        yield TopicFilter.parse("/".join((*chosen, "#")) if hash_ else "/".join(chosen))


def _choices(level: int, word: str, scope: Mapping[str, tuple[str, ...]], user: str | None) -> tuple[str, ...]:
    claimed = scope.get(SCOPES[level]) if level < len(SCOPES) else None
    if word == USER_PLACEHOLDER:
        word = user or ""
    elif word in SCOPE_PLACEHOLDERS:
        word = "" if claimed is None else ANY
    if not word:
        return ()
    if claimed is None:
        return (word,)
    return claimed if word == ANY else tuple(value for value in claimed if value == word)
