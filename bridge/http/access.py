"""Access to HTTP routes: bearer tokens, the check for admins, and the client's address."""

from collections.abc import Callable

from fastapi import Request
from starlette.requests import HTTPConnection

from bridge.domain.access.claims import AccessUndecided, TokenError
from bridge.domain.access.policy import Role
from bridge.domain.access.viewer import AdmissionError, Viewer
from bridge.domain.steps import RunSteps, Steps
from bridge.http.peers import is_address
from bridge.http.requester import REQUESTER, Requester
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.error_codes import ErrorCode

Authenticate = Callable[[str], Steps[Viewer]]
"""Returns the viewer of a token, in steps; raises TokenError or AdmissionError."""


def bearer_token(authorization: str | None) -> str | None:
    """Return the token of an Authorization header (RFC 6750 2.1); None if it is absent or of another scheme."""
    scheme, _, token = (authorization or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def current_viewer(request: Request) -> Viewer:
    """Return the viewer of the bearer token, as it is admitted when this returns; the work is the requester's.

    Raise InvalidFrame without a token, TokenError or AdmissionError for a rejected one.
    """
    token = bearer_token(request.headers.get("authorization"))
    if token is None:
        raise InvalidFrame(ErrorCode.UNAUTHENTICATED, "missing token: send Authorization: Bearer …")
    authenticate: Authenticate = request.app.state.authenticate
    return await steps_of(request)(authenticate(token))


async def require_viewer(request: Request) -> Viewer:
    """Return the current viewer, who pays for the request from now on.

    Raise what `current_viewer` raises, and InvalidFrame for too many requests at once.
    """
    requester: Requester = request.scope["extensions"][REQUESTER]
    try:
        viewer = await current_viewer(request)
    except AccessUndecided:
        requester.forgive()
        raise
    except (TokenError, AdmissionError):
        requester.refuse()
        raise
    await requester.authenticate(viewer.user_id)
    return viewer


async def require_unchanged(request: Request, viewer: Viewer) -> None:
    """Check again, after a wait, what `viewer` was authenticated for: call it before the response that this took.

    Raise what `current_viewer` raises, and InvalidFrame if the viewer may read something else by now.
    """
    if (await current_viewer(request)).read_grants != viewer.read_grants:
        raise InvalidFrame(ErrorCode.UNAVAILABLE, "access has changed meanwhile: ask again")


def steps_of(request: Request) -> RunSteps:
    """Return what does steps in the turns of the user whom `require_viewer` has found; before that, of the address."""
    requester: Requester = request.scope["extensions"][REQUESTER]
    return requester.run


async def require_admin(request: Request) -> None:
    """Raise what `require_viewer` raises, and InvalidFrame for a viewer who is no admin."""
    if Role.ADMIN not in (await require_viewer(request)).roles:
        raise InvalidFrame(ErrorCode.FORBIDDEN, "for admins only")


def client_address(connection: HTTPConnection) -> str:
    """Return the client's address, as a trusted proxy names it; «?» if that is no address."""
    client = connection.client
    return client.host if client is not None and is_address(client.host) else "?"
