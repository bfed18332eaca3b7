"""Viewers for tests of what an admitted user may do."""

from typing import Any

from bridge.domain.access.claims import Claims
from bridge.domain.access.policy import Policy
from bridge.domain.access.viewer import Viewer, admit
from bridge.domain.utc_time import Millis

HOUR_MS = 3_600_000
POLICY = Policy.parse(
    """
[roles.admin]
unscoped = true
read = ["#"]
command = ["#"]

[roles.operator]
read = ["+/+/{line}/#"]
command = ["+/+/{line}/#"]
actions = ["andon.raise"]

[roles.maintenance]
read = ["+/+/{line}/#"]

[roles.quality]
read = ["+/+/{line}/#"]
"""
)


def viewer(
    *,
    user: str = "eva",
    role: str = "admin",
    name: str | None = None,
    expires_at: Millis = HOUR_MS,
    trust_grants: bool = False,
    **claims: Any,
) -> Viewer:
    statements = {"roles": [role], **({} if name is None else {"name": name}), **claims}
    viewer_claims = Claims(subject=user, issuer="floor", expires_at=expires_at, token_id="t", claim_set=statements)
    return admit(viewer_claims, POLICY, trust_grants=trust_grants)
