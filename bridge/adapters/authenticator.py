"""Who may come in: a token that is good, not revoked, and of roles that the policy knows. The same at every door."""

from bridge.adapters.revocation_file import RevocationFile
from bridge.adapters.tokens import TokenVerifier
from bridge.domain.access.claims import Claims, TokenRevoked
from bridge.domain.access.policy import Policy
from bridge.domain.access.revocations import Revocations
from bridge.domain.access.viewer import Viewer, admit
from bridge.domain.events import Millis


class Authenticator:
    """Wires tokens, revocations and policy; holds no state of its own."""

    def __init__(
        self, *, tokens: TokenVerifier, revocations: RevocationFile, policy: Policy, trust_grants: bool
    ) -> None:
        self.policy = policy
        self.trust_grants = trust_grants
        self._tokens = tokens
        self._revocations = revocations

    def verify(self, token: str, *, now: Millis) -> Claims:
        """What a token says, if it may be believed at `now`; raises TokenError."""
        claims = self._tokens.verify(token, now=now)
        if self._revocations.current().is_token_revoked(claims):
            raise TokenRevoked
        return claims

    def admit(self, token: str, *, now: Millis) -> Viewer:
        """Who the bearer is; raises TokenError or AdmissionError."""
        return admit(self.verify(token, now=now), self.policy, trust_grants=self.trust_grants)

    def revocations(self) -> Revocations:
        """What is revoked now; the same object until that changes."""
        return self._revocations.current()
