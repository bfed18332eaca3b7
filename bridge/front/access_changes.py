"""What a change of revocations or of the policy means for a dashboard that is connected."""

from bridge.domain.access.viewer import AdmissionError
from bridge.front.connection import DashboardConnection
from bridge.ports.authenticator import Authenticator
from bridge.protocol.close_codes import CloseCode
from bridge.protocol.server_frames import Close


def end_if_revoked(authenticator: Authenticator, connection: DashboardConnection) -> bool:
    """End a connection whose token is revoked by now, and return whether it is."""
    viewer = connection.viewer
    if connection.ended or viewer is None or not authenticator.is_revoked(viewer):
        return False
    connection.end(Close(CloseCode.REVOKED, "access revoked"))
    return True


def redecide(authenticator: Authenticator, connection: DashboardConnection) -> bool:
    """Put into force what the present policy grants, and return whether that is a change."""
    session = connection.protocol.session
    if connection.ended or session is None:
        return False
    former = session.viewer
    try:
        latter = authenticator.readmit(former)
    except AdmissionError:
        connection.end(Close(CloseCode.POLICY_VIOLATION, "token invalid"))
        return True
    rights = [(viewer.roles, viewer.read_grants, viewer.command_grants) for viewer in (former, latter)]
    if rights[0] == rights[1]:
        return False
    session.update_viewer(latter)
    connection.pump()
    return True
