"""Admitted users: a `Viewer`, which only `admit` creates, holds everything that a user may read and command."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass, field, replace
from typing import Final, NamedTuple
from weakref import WeakValueDictionary

from typing_extensions import override

from bridge.domain.access.claims import Claims
from bridge.domain.access.grants import MAX_GRANTS, Grant, Grants
from bridge.domain.access.policy import SCOPES, USER_PLACEHOLDER, Policy, Role, expand_template
from bridge.domain.access.topic_layout import ACTIONS, ANY, COMMANDS, EVENTS, TopicLayout
from bridge.domain.ids import is_id
from bridge.domain.place import Place
from bridge.domain.steps import STEP_ITEMS, Steps, complete
from bridge.domain.topics import TopicError, TopicFilter, TopicName
from bridge.domain.utc_time import Millis

MAX_CLAIM_VALUES: Final = 256  # per list claim; a longer one would only expand past MAX_GRANTS, at our cost
DECIDING: Final = ("roles", "name", *(f"{scope}s" for scope in SCOPES), "grants")  # claims that `admit` reads
MAX_NAME: Final = 200  # of a person's name, which logs and boards show


class AdmissionError(ValueError):
    """A verified token that can't be admitted: the issuer's fault."""


@dataclass(eq=False)
class TooManyClaimValues(AdmissionError):
    claim: str
    count: int
    limit: int

    @override
    def __str__(self) -> str:
        return f"the claim {self.claim} holds {self.count} values, the limit is {self.limit}"


@dataclass(eq=False)
class TooManyGrants(AdmissionError):
    limit: int

    @override
    def __str__(self) -> str:
        return f"the token expands to more than {self.limit} grants"


_ADMITTED: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """An admitted user, with the read and command grants of one token."""

    user_id: str
    name: str | None
    roles: tuple[str, ...]
    read_grants: Grants
    command_grants: Grants
    claims: Claims = field(repr=False, hash=False)  # of its claim set, only DECIDING
    proof: InitVar[object]

    def __post_init__(self, proof: object) -> None:
        if proof is not _ADMITTED:
            raise TypeError("only admit() makes a Viewer")

    @property
    def expires_at(self) -> Millis:
        return self.claims.expires_at

    def may_read(self, name: TopicName) -> bool:
        """Return whether this event topic (relative to `{root}/event/`) may be shown to the viewer."""
        return self.read_grants.find(name) is not None

    def levels_granted(self, action: str, line: Place) -> set[str]:
        """Return the equipment levels of a line at which one of `ACTIONS` is granted; `+`: at all of them."""
        bit = 1 << ACTIONS.index(action)
        regions = (grant.region for grant in self.command_grants.all if grant.region.mask & bit)
        above = line.levels()[:3]
        return {region.ids[3] for region in regions if all(map(_covers, region.ids, above))}


def _covers(granted: str, level: str) -> bool:
    return granted in (ANY, level)


def admit(claims: Claims, policy: Policy, *, trust_grants: bool) -> Viewer:
    """Return the viewer of a verified token under this policy; raise AdmissionError for one that exceeds the limits.

    `trust_grants`: whether this issuer's `grants` claim counts. A claim of the wrong type, or an invalid id, grants
    nothing.
    """
    return complete(admit_in_steps(claims, policy, trust_grants=trust_grants))


def admit_in_steps(claims: Claims, policy: Policy, *, trust_grants: bool) -> Steps[Viewer]:
    """Admit as `admit` does: up to 2 x `MAX_GRANTS` grants take some 40 ms."""
    roles = tuple(dict.fromkeys(role for role in _strings(claims.claim_set, "roles") if role in policy.roles))
    name = claims.claim_set.get("name")
    rules = [(role, policy.roles[Role(role)]) for role in roles]
    read = tuple(_Templates(role, rule.unscoped, rule.read, None) for role, rule in rules)
    command = tuple(_Templates(role, rule.unscoped, rule.command, rule.actions) for role, rule in rules)
    read_grants = yield from _share_grants(EVENTS, read, claims, trust_grants=trust_grants)
    command_grants = yield from _share_grants(COMMANDS, command, claims, trust_grants=trust_grants)
    return Viewer(
        user_id=claims.subject,
        # A name with a line break would forge lines in a log.
        name=name[:MAX_NAME] if isinstance(name, str) and name.isprintable() else None,
        roles=roles,
        read_grants=read_grants,
        command_grants=command_grants,
        claims=replace(
            claims, claim_set={name: claims.claim_set[name] for name in DECIDING if name in claims.claim_set}
        ),
        proof=_ADMITTED,
    )


class _Templates(NamedTuple):
    """Templates of one role in one layout."""

    role: str
    unscoped: bool
    texts: tuple[str, ...]
    actions: tuple[str, ...] | None


class _GrantSources(NamedTuple):
    """All that the grants of a viewer in one layout depend on: equal sources have equal grants."""

    layout_name: str
    templates: tuple[_Templates, ...]
    scope: tuple[tuple[str, tuple[str, ...]], ...]  # valid ids by site, area and line, without absent claims
    user: str | None  # None also where no template names the user
    claimed: tuple[str, ...]  # the valid filters of the token's own grants, where they count

    def expand(self, layout: TopicLayout) -> Iterator[Grant | None]:
        scope = dict(self.scope)
        for role, unscoped, texts, actions in self.templates:
            for template in texts:
                for topic_filter in expand_template(template, {} if unscoped else scope, user=self.user):
                    yield Grant.for_filter(layout, topic_filter, reason=f"role {role}: {template}", actions=actions)
        for text in self.claimed:
            # Only an unscoped role ignores the scope claims, so they narrow the token's own grants too.
            for topic_filter in expand_template(text, scope, user=None):
                yield Grant.for_filter(layout, topic_filter, reason="grants claim of the token")


_SHARED: Final = WeakValueDictionary[_GrantSources, Grants]()  # an entry lives as long as a viewer has the grants


def _share_grants(
    layout: TopicLayout, templates: tuple[_Templates, ...], claims: Claims, *, trust_grants: bool
) -> Steps[Grants]:
    """Return the grants of a viewer; all who have equal ones at a time have the same object."""
    names_user = any(USER_PLACEHOLDER in text for of_role in templates for text in of_role.texts)
    claimed: tuple[str, ...] = ()
    if trust_grants:
        claimed = yield from _read_grants_claim(claims.claim_set, layout)
    sources = _GrantSources(
        layout_name=layout.name,
        templates=templates,
        scope=tuple(_read_scope(claims.claim_set).items()),
        user=claims.subject if names_user and is_id(claims.subject) else None,
        claimed=claimed,
    )
    grants = _SHARED.get(sources)
    if grants is None:
        grants = yield from Grants.in_steps(layout, _bounded(sources.expand(layout)))
        grants = _SHARED.setdefault(sources, grants)  # another may have been quicker
    return grants


def _bounded(grants: Iterator[Grant | None]) -> Iterator[Grant | None]:
    for count, grant in enumerate(grants):
        if count >= MAX_GRANTS:
            raise TooManyGrants(MAX_GRANTS)
        yield grant


def _read_scope(claim_set: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """Return the valid ids of each scope claim in the token; an empty or malformed claim allows no place at all."""
    present = [scope for scope in SCOPES if f"{scope}s" in claim_set]
    claimed = {scope: _strings(claim_set, f"{scope}s") for scope in present}
    return {scope: tuple(dict.fromkeys(text for text in texts if is_id(text))) for scope, texts in claimed.items()}


def _read_grants_claim(claim_set: Mapping[str, object], layout: TopicLayout) -> Steps[tuple[str, ...]]:
    grants = claim_set.get("grants")
    if not isinstance(grants, dict):
        return ()
    valid = []
    texts = _strings(grants, "read" if layout is EVENTS else "command", limit=MAX_GRANTS)
    for number, text in enumerate(texts, start=1):
        with contextlib.suppress(TopicError):
            if layout.region(TopicFilter.parse(text)) is not None:
                valid.append(text)
        if number % STEP_ITEMS == 0:
            yield
    return tuple(valid)


def _strings(claim_set: Mapping[str, object], claim: str, *, limit: int = MAX_CLAIM_VALUES) -> list[str]:
    values = claim_set.get(claim)
    if not isinstance(values, list):
        return []
    if len(values) > limit:
        raise TooManyClaimValues(claim, len(values), limit)
    return [value for value in values if isinstance(value, str)]
