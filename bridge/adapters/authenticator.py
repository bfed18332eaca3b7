"""Authentication shared by WebSocket and HTTP: token, revocations, policy."""

from typing import Self

from bridge.adapters import policy_file
from bridge.adapters.revocation_file import RevocationFile
from bridge.adapters.tokens import TokenVerifier
from bridge.domain.access.claims import TokenRevoked
from bridge.domain.access.policy import Policy
from bridge.domain.access.revocations import Revocations
from bridge.domain.access.viewer import Viewer, admit
from bridge.domain.utc_time import Millis
from bridge.settings.settings import Settings


class TokenAuthenticator:
    """Wires tokens, revocations and policy; holds no state of its own."""

    def __init__(
        self, *, tokens: TokenVerifier, revocations: RevocationFile, policy: Policy, trust_grants: bool
    ) -> None:
        self.policy = policy
        self._trust_grants = trust_grants
        self._tokens = tokens
        self._revocations = revocations

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Read policy, keys and revocations; raise PolicyError, TokenKeyError or RevocationsError."""
        return cls(
            policy=policy_file.load(settings.policy_file),
            tokens=TokenVerifier(settings.token),
            revocations=RevocationFile(settings.token.revoked_file),
            trust_grants=settings.token.trust_grants_claim,
        )

    def admit(self, token: str, *, now: Millis) -> Viewer:
        """Return the viewer of a token that is valid at `now` and not revoked; raise TokenError or AdmissionError."""
        claims = self._tokens.verify(token, now=now)
        if self._revocations.current().revokes(claims):
            raise TokenRevoked
        return admit(claims, self.policy, trust_grants=self._trust_grants)

    def revocations(self) -> Revocations:
        """Return the current revocations; the same object until they change."""
        return self._revocations.current()
