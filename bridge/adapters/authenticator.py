"""Authentication shared by WebSocket and HTTP: token, revocations, policy."""

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
        """Return the claims of a token that is valid at `now` and not revoked; raises `TokenError`."""
        claims = self._tokens.verify(token, now=now)
        if self._revocations.current().is_token_revoked(claims):
            raise TokenRevoked
        return claims

    def admit(self, token: str, *, now: Millis) -> Viewer:
        """Return the viewer that a token authenticates; raises `TokenError` or `AdmissionError`."""
        return admit(self.verify(token, now=now), self.policy, trust_grants=self.trust_grants)

    def revocations(self) -> Revocations:
        """Return the current revocations; the same object until they change."""
        return self._revocations.current()
