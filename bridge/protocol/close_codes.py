"""WebSocket close codes, and those after which a client does not reconnect. Source: protocol.md, «Close codes»."""

from enum import IntEnum
from typing import Final


class CloseCode(IntEnum):
    """Codes of RFC 6455 7.4.1, and the bridge's private ones (7.4.2) from 4000 on."""

    NORMAL = 1000
    GOING_AWAY = 1001
    POLICY_VIOLATION = 1008  # token invalid, missing, of the wrong kind
    TOO_BIG = 1009
    SERVICE_RESTART = 1012
    STALLED = 4008
    EXPIRED = 4401
    REVOKED = 4403
    NOT_AUTHENTICATED = 4408
    NOT_YET_VALID = 4425
    TOO_MANY = 4429


FINAL_CLOSE_CODES: Final = frozenset(
    {CloseCode.NORMAL, CloseCode.POLICY_VIOLATION, CloseCode.TOO_BIG, CloseCode.EXPIRED, CloseCode.REVOKED}
)
"""Codes after which a client does not reconnect: the same token would be closed again. After all others it does."""
