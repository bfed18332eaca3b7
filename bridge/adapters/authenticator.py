"""Authentication shared by WebSocket and HTTP: token, revocations, policy."""

from bridge.adapters.revocation_file import RevocationFile
from bridge.adapters.tokens import TokenVerifier
from bridge.domain.access.claims import TokenRevoked
from bridge.domain.access.policy import Policy
from bridge.domain.access.revocations import Revocations
from bridge.domain.access.viewer import Viewer, admit
from bridge.domain.events import Millis


class Authenticator:
    """Wires tokens, revocations and policy; holds no state of its own."""

    def __init__(
        self, *, tokens: TokenVerifier, revocations: RevocationFile, policy: Policy, trust_grants: bool
    ) -> None:
        self._policy = policy
        self._trust_grants = trust_grants
        self._tokens = tokens
        self._revocations = revocations

    def admit(self, token: str, *, now: Millis) -> Viewer:
        """Return the viewer of a token that is valid at `now` and not revoked; raises TokenError or AdmissionError."""
        claims = self._tokens.verify(token, now=now)
        if self._revocations.current().is_token_revoked(claims):
            raise TokenRevoked
        return admit(claims, self._policy, trust_grants=self._trust_grants)

    def revocations(self) -> Revocations:
        """Return the current revocations; the same object until they change."""
        return self._revocations.current()
