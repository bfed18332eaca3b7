"""Validation of the claims of a token with a verified signature (RFC 7519, RFC 8725), at a given time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from typing_extensions import override

from bridge.domain.strict_json import NotStrictJson, parse_json
from bridge.domain.utc_time import Millis

MAX_SUBJECT: Final = 255  # OpenID Connect's bound; a subject is repeated in audit, logs and replies
BEGIN_LEEWAY_MS: Final = 5_000  # RFC 7519 4.1.5: an issuer's clock may be a little ahead of ours
MAX_DIGITS: Final = 20  # of an integer; no date or count needs more
MAX_DATE: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second in Python and RFC 3339
LATEST: Final = MAX_DATE * 1_000 + 999  # in ms: a token with the last date and a leeway ends here, not later
ACCESS_TOKEN_TYPES: Final = frozenset({"access", "access_token", "bearer", "jwt", "at+jwt"})
"""Accepted values of `TYPE_CLAIMS`. Tokens of other types (refresh, logout, id) are not for access."""
TYPE_CLAIMS: Final = ("typ", "type", "token_use", "token_type")


class TokenError(ValueError):
    """A refused token. The bearer gets only `public_message`; the text is for the log and contains no token."""

    public_message: ClassVar[str] = "the token is not valid"

    @override
    def __str__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({facts})"


@dataclass(eq=False)
class TokenTooLarge(TokenError):
    """A token of more bytes than the settings accept; it is not parsed."""

    size: int
    limit: int
    public_message: ClassVar[str] = "the token is too large"


@dataclass(eq=False)
class TokenMalformed(TokenError):
    """A text that is no JSON Web Token, or whose claims are no acceptable JSON object."""

    fact: str


@dataclass(eq=False)
class TokenUnverified(TokenError):
    """A signature that does not verify: wrong algorithm, wrong key or altered bytes. The bearer never learns which."""

    fact: str


class TokenRevoked(TokenError):
    """A valid token that the revocation list names: by its user, its id or the time of its issue."""

    public_message: ClassVar[str] = "access was revoked"


class AccessUndecided(TokenError):
    """A valid token that may be revoked: the revocation list has not been readable yet. No fault of the bearer."""

    public_message: ClassVar[str] = "access cannot be decided now"


@dataclass(eq=False)
class TokenExpired(TokenError):
    expired_at: Millis
    public_message: ClassVar[str] = "the token has expired"


@dataclass(eq=False)
class TokenNotYetValid(TokenError):
    claim: str
    valid_from: Millis
    public_message: ClassVar[str] = "the token is not valid yet"


@dataclass(eq=False)
class TokenOfWrongKind(TokenError):
    """A valid token that is not for access, such as a refresh, logout or id token; `claim` says so."""

    claim: str
    public_message: ClassVar[str] = "the token is not an access token"


@dataclass(eq=False)
class TokenClaimInvalid(TokenError):
    """A required claim that is missing, or a claim of the wrong type or for another issuer or audience."""

    claim: str
    fact: str


@dataclass(frozen=True, slots=True)
class Claims:
    """Claims of a verified token. `claim_set` holds all of them as decoded, roles, scopes and grants included."""

    subject: str
    issuer: str
    expires_at: Millis
    token_id: str | None
    claim_set: Mapping[str, object]
    issued_at: Millis | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequirements:
    """The accepted issuer and audience, and how long a token is accepted after its expiry.

    As long before its beginning, and at least `BEGIN_LEEWAY_MS`.
    """

    issuer: str
    audience: str
    leeway_ms: Millis = 0


def read_claims(header: Mapping[str, Any], payload: bytes, requirements: TokenRequirements, *, now: Millis) -> Claims:
    """Return the claims of a token with a verified signature, if they are valid at `now`; raise TokenError if not.

    `expires_at` is `exp` plus the leeway, at most `LATEST`: from then on this function refuses the token.
    """
    # RFC 7515 4.1.11: a critical extension that isn't understood is refused; we understand none.
    if "crit" in header:
        raise TokenMalformed("critical extensions")
    _check_token_type(header, "typ")
    claim_set = _parse(payload)
    for claim in TYPE_CLAIMS:
        _check_token_type(claim_set, claim)
    if "events" in claim_set:  # OpenID Connect Back-Channel Logout 2.4: only a logout token has it
        raise TokenOfWrongKind("events")
    _check_issuer_and_audience(claim_set, requirements)
    expires_at, issued_at = _check_times(claim_set, requirements.leeway_ms, now)
    return Claims(
        subject=_subject(claim_set),
        issuer=requirements.issuer,
        expires_at=expires_at,
        token_id=_token_id(claim_set),
        claim_set=claim_set,
        issued_at=issued_at,
    )


def read_token_id(payload: bytes) -> tuple[str | None, Millis | None]:
    """Return `jti` and `exp` of a token that need not be valid, None for what it lacks; raise TokenError."""
    claim_set = _parse(payload)
    return _token_id(claim_set), _read_numeric_date(claim_set, "exp")


def _check_issuer_and_audience(claim_set: dict[str, Any], requirements: TokenRequirements) -> None:
    if claim_set.get("iss") != requirements.issuer:
        raise TokenClaimInvalid("iss", "missing or another")
    # RFC 7519 4.1.3: one string, or a list of strings that contains ours. Whole strings are compared, never parts.
    audience = claim_set.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if not all(isinstance(name, str) for name in audiences) or requirements.audience not in audiences:
        raise TokenClaimInvalid("aud", "missing or another")


def _check_times(claim_set: dict[str, Any], leeway: Millis, now: Millis) -> tuple[Millis, Millis | None]:
    """Return when the token ends and, if it says so, when it was issued."""
    expires = _read_numeric_date(claim_set, "exp")
    if expires is None:
        raise TokenClaimInvalid("exp", "missing")
    # RFC 7519 4.1.4: not accepted on or after exp.
    end = min(expires + leeway, LATEST)
    if now >= end:
        raise TokenExpired(expires)
    begins = {claim: _read_numeric_date(claim_set, claim) for claim in ("nbf", "iat")}
    for claim, valid_from in begins.items():
        if valid_from is not None and now < valid_from - max(leeway, BEGIN_LEEWAY_MS):
            raise TokenNotYetValid(claim, valid_from)
    return end, begins["iat"]


def _check_token_type(claim_set: Mapping[str, Any], claim: str) -> None:
    if claim not in claim_set:
        return
    token_type = claim_set[claim]
    # RFC 7515 4.1.9: `application/` may be left out of a media type.
    if not isinstance(token_type, str) or token_type.casefold().removeprefix("application/") not in ACCESS_TOKEN_TYPES:
        raise TokenOfWrongKind(claim)


def is_subject(text: str) -> bool:
    """Return whether a token may name this user."""
    return 0 < len(text) <= MAX_SUBJECT and text.isprintable()


def _subject(claim_set: dict[str, Any]) -> str:
    subject = claim_set.get("sub")
    if not isinstance(subject, str) or not is_subject(subject):
        raise TokenClaimInvalid("sub", "missing, or not a printable text within bounds")
    return subject


def _token_id(claim_set: dict[str, Any]) -> str | None:
    token_id = claim_set.get("jti")
    if token_id is None:
        return None
    if not isinstance(token_id, str) or not 0 < len(token_id) <= MAX_SUBJECT:
        raise TokenClaimInvalid("jti", "not a text within bounds")
    return token_id


def _read_numeric_date(claim_set: dict[str, Any], claim: str) -> Millis | None:
    """Return a NumericDate in ms, None if absent. RFC 7519 2: a JSON number of seconds; no string, boolean or null."""
    if claim not in claim_set:
        return None
    value = claim_set[claim]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_DATE:
        raise TokenClaimInvalid(claim, "not a number of seconds")
    return value * 1_000 if isinstance(value, int) else math.floor(value * 1_000)


def _parse(payload: bytes) -> dict[str, Any]:
    try:
        # Claims that are shown are checked where they are read, so control characters in others do no harm.
        claim_set = parse_json(payload, max_integer_digits=MAX_DIGITS, allow_control_characters=True)
    except NotStrictJson as error:
        raise TokenMalformed(f"claims: {error.reason}") from error
    if not isinstance(claim_set, dict):
        raise TokenMalformed("claims are not an object")
    return claim_set
