"""The access decisions of `floor token` and `floor explain-access`, as the running bridge makes them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.adapters.tokens import TokenKeyError
from bridge.domain.access.claims import TokenError, TokenRevoked
from bridge.domain.access.policy import PolicyError, Role
from bridge.domain.access.revocations import RevocationsError
from bridge.domain.access.subscription_request import parse_subscription
from bridge.domain.access.subscription_types import SubscriptionError
from bridge.domain.access.subscriptions import admit_subscription
from bridge.domain.access.viewer import AdmissionError, Viewer
from bridge.domain.utc_time import rfc3339
from bridge.ports.clock import wall_ms
from bridge.protocol.server_frames import explained_frame
from bridge.settings.settings import Settings


class DecisionError(Exception):
    """An access decision can't be made; the text gives the reason."""


def explain_subscription(settings: Settings, token: str, body: dict[str, Any]) -> dict[str, Any]:
    """Return the decision that a front makes on a subscribe body for a token, as plain data; raise `DecisionError`."""
    viewer = _admit(_authenticator(settings), token)
    try:
        request = parse_subscription(body)
    except SubscriptionError as error:
        raise DecisionError(str(error)) from error
    decision = msgspec.to_builtins(explained_frame(request.id, admit_subscription(request, viewer)))
    return {name: value for name, value in decision.items() if name not in ("type", "id")}


def explain_empty_access(settings: Settings, token: str, roles: Sequence[str]) -> str | None:
    """Return why a token with these roles may read nothing, None if it may read something; raise `DecisionError`."""
    authenticator = _authenticator(settings)
    if _admit(authenticator, token).read_grants.all:
        return None
    policy = authenticator.policy
    roles_of_policy = ", ".join(policy.roles)
    if not roles:
        return f"gives no access without --role, one of: {roles_of_policy}"
    if unknown := [role for role in roles if role not in policy.roles]:
        return f"gives no access: unknown role {', '.join(unknown)}; the policy has {roles_of_policy}"
    filters = ", ".join(text for role in Role if role in roles for text in policy.roles[role].read)
    wanted = " or ".join(f"--{claim}" for claim in ("site", "area", "line") if f"{{{claim}}}" in filters)
    return f"gives no access: {', '.join(roles)} may read {filters or 'nothing'}" + (
        f"; give {wanted}" if wanted else ""
    )


def _authenticator(settings: Settings) -> TokenAuthenticator:
    try:
        return TokenAuthenticator.from_settings(settings)
    except (TokenKeyError, RevocationsError, PolicyError) as error:
        raise DecisionError(str(error)) from error


def _admit(authenticator: TokenAuthenticator, token: str) -> Viewer:
    try:
        return authenticator.admit(token, now=wall_ms())
    except TokenRevoked as error:
        raise DecisionError(f"{error.public_message}: token.revoked_file names the user or the token") from error
    except TokenError as error:
        raise DecisionError(f"{error.public_message}{_describe_facts(error)}") from error
    except AdmissionError as error:
        raise DecisionError(str(error)) from error


def _describe_facts(error: TokenError) -> str:
    """Return the attributes of a refused token's error: `: claim sub, missing`."""
    facts = []
    for name, value in vars(error).items():
        text = rfc3339(value) if name in ("expired_at", "valid_from") else str(value)
        facts.append(text if name == "fact" else f"{name.replace('_', ' ')} {text}")
    return f": {', '.join(facts)}" if facts else ""
