"""Changes of revocations and of the policy, applied to a connected dashboard."""

import asyncio

from bridge.domain.access.viewer import AdmissionError
from bridge.domain.steps import Steps
from bridge.front.connection import DashboardConnection
from bridge.ports.authenticator import Authenticator
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.server_frames import Close


async def end_if_revoked(authenticator: Authenticator, connection: DashboardConnection) -> bool:
    """End a connection whose token has been revoked, and return whether it is."""
    viewer = connection.viewer
    if connection.ended or viewer is None or not authenticator.is_revoked(viewer):
        return False
    connection.end(Close(CloseCode.REVOKED, "access revoked"))
    return True


async def redecide(authenticator: Authenticator, connection: DashboardConnection) -> bool:
    """Put into force what the present policy grants, and return whether that is a change.

    The user does not pay: a user who owes would keep longer what is lost.
    """
    steps = _decide_again(authenticator, connection)
    while not connection.ended:
        try:
            next(steps)
        except StopIteration as end:
            return bool(end.value)
        await asyncio.sleep(0)
    return False


def _decide_again(authenticator: Authenticator, connection: DashboardConnection) -> Steps[bool]:
    session = connection.protocol.session
    if session is None:
        return False
    while True:
        former = session.viewer
        try:
            latter = yield from authenticator.readmit(former)
        except AdmissionError:
            connection.end(Close(CloseCode.POLICY_VIOLATION, "token invalid"))
            return True
        if former is session.viewer:  # no new token meanwhile
            break
    rights = [(viewer.roles, viewer.read_grants, viewer.command_grants) for viewer in (former, latter)]
    if rights[0] == rights[1]:
        return False
    yield from session.update_viewer(latter)
    connection.pump()
    return True
