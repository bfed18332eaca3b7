"""Codes of `error` frames, which leave the connection open. Source: protocol.md, «Requests»."""

from enum import StrEnum

from bridge.domain.access.subscription_types import SubscriptionErrorCode


class ErrorCode(StrEnum):
    """Codes of `error` frames and of HTTP errors."""

    INVALID_JSON = "INVALID_JSON"
    UNKNOWN_TYPE = "UNKNOWN_TYPE"
    INVALID_MESSAGE = SubscriptionErrorCode.INVALID_MESSAGE.value
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    UNKNOWN_PLACE = "UNKNOWN_PLACE"
    UNKNOWN_SUBSCRIPTION_TYPE = SubscriptionErrorCode.UNKNOWN_SUBSCRIPTION_TYPE.value
    MISSING_TARGET_ID = SubscriptionErrorCode.MISSING_TARGET_ID.value
    LIMIT_EXCEEDED = SubscriptionErrorCode.LIMIT_EXCEEDED.value
    RATE_LIMITED = "RATE_LIMITED"
    UNAVAILABLE = "UNAVAILABLE"
