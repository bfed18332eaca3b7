"""Codes with which a connection is closed, and after which of them a client stays away. Source: PROTOCOL, «Ending»."""

from enum import IntEnum
from typing import Final


class CloseCode(IntEnum):
    """Codes of RFC 6455 7.4.1, and private ones (7.4.2) of ours from 4000 on."""

    NORMAL = 1000
    GOING_AWAY = 1001
    POLICY_VIOLATION = 1008  # token invalid, missing, of the wrong kind
    TOO_BIG = 1009
    SERVICE_RESTART = 1012
    STALLED = 4008
    EXPIRED = 4401
    REVOKED = 4403
    NOT_AUTHENTICATED = 4408
    TOO_MANY = 4429


FINAL_CLOSE_CODES: Final = frozenset(
    {CloseCode.NORMAL, CloseCode.POLICY_VIOLATION, CloseCode.TOO_BIG, CloseCode.EXPIRED, CloseCode.REVOKED}
)
"""After these a client stays away: the same token would end the same way. After all others it reconnects."""
