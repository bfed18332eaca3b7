"""Authentication shared by WebSocket and HTTP: token, revocations, policy."""

from typing import Self

from bridge.adapters import policy_file, revocation_file
from bridge.adapters.tokens import TokenVerifier
from bridge.domain.access.claims import AccessUndecided, TokenRevoked
from bridge.domain.access.policy import Policy
from bridge.domain.access.revocations import Revocations
from bridge.domain.access.viewer import Viewer, admit_in_steps
from bridge.domain.steps import Steps, complete
from bridge.domain.utc_time import Millis
from bridge.settings.settings import Settings


class TokenAuthenticator:
    """Wires tokens, policy and revocations, which may be replaced; does no IO."""

    def __init__(
        self, *, tokens: TokenVerifier, policy: Policy, revocations: Revocations | None, trust_grants: bool
    ) -> None:
        self.policy = policy
        self.revocations = revocations  # None: not known yet, and nobody is admitted
        self._tokens = tokens
        self._trust_grants = trust_grants

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Read policy, key and revocations once; raise PolicyError, TokenKeyError or RevocationsError."""
        return cls(
            tokens=TokenVerifier(settings.token),
            policy=policy_file.load(settings.policy_file),
            revocations=revocation_file.load(settings.token.revoked_file),
            trust_grants=settings.token.trust_grants_claim,
        )

    def admit(self, token: str, *, now: Millis) -> Viewer:
        """Return the viewer of a token that is valid at `now` and not revoked; raise TokenError or AdmissionError."""
        return complete(self.admit_in_steps(token, now=now))

    def admit_in_steps(self, token: str, *, now: Millis) -> Steps[Viewer]:
        """Do the same in steps: the viewer is that of the policy and the revocations at the last."""
        claims = self._tokens.verify(token, now=now)
        while True:
            policy, revocations = self.policy, self.revocations
            if revocations is None:
                raise AccessUndecided
            if revocations.revokes(claims):
                raise TokenRevoked
            viewer = yield from admit_in_steps(claims, policy, trust_grants=self._trust_grants)
            if policy is self.policy and revocations is self.revocations:
                return viewer

    def readmit(self, viewer: Viewer) -> Steps[Viewer]:
        """Return what the present policy makes of a viewer's token; raise AdmissionError."""
        return admit_in_steps(viewer.claims, self.policy, trust_grants=self._trust_grants)

    def is_revoked(self, viewer: Viewer) -> bool:
        """Return whether the viewer's token is revoked now."""
        return self.revocations is not None and self.revocations.revokes(viewer.claims)
