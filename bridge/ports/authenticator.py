"""The port to authentication, the same for WebSocket and HTTP."""

from typing import Protocol

from bridge.domain.access.viewer import Viewer
from bridge.domain.steps import Steps
from bridge.domain.utc_time import Millis


class Authenticator(Protocol):
    """Decides who a token's bearer is, and what they may read and command."""

    def admit(self, token: str, *, now: Millis) -> Viewer:
        """Return the viewer of a token that is valid at `now`, in real time; raise TokenError or AdmissionError.

        AccessUndecided is the one TokenError that says nothing about the token: it is to be sent again later.

        Any text is answered so; no error repeats the token. From the viewer's `expires_at` on, the token is refused.
        """

    def admit_in_steps(self, token: str, *, now: Millis) -> Steps[Viewer]:
        """Do the same in steps: the viewer is that of the policy and the revocations at the last."""

    def readmit(self, viewer: Viewer) -> Steps[Viewer]:
        """Return the viewer that the token of one who was admitted before has now; raise AdmissionError.

        It differs where the policy has changed since; whether the token is still valid is not considered.
        """

    def is_revoked(self, viewer: Viewer) -> bool:
        """Return whether the token of a viewer that was admitted before is revoked now."""
