"""JSON Web Tokens: PyJWT verifies the signature, `bridge.domain.access.claims` checks the rest.

PyJWT's own claim checks are not used: they read the wall clock, and accept a string as a time and any `typ`.
A token never selects its key: jku, x5u, jwk and kid are ignored.
"""

import base64
import binascii
import secrets
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import HMACAlgorithm
from typing_extensions import override

from bridge.domain.access.claims import (
    Claims,
    TokenMalformed,
    TokenRequirements,
    TokenTooLarge,
    TokenUnverified,
    read_claims,
    read_token_id,
)
from bridge.domain.utc_time import Millis
from bridge.settings.token import MIN_SECRET_BYTES, TokenSettings

MIN_RSA_BITS: Final = 2_048  # RFC 7518 3.3


class TokenKeyError(ValueError):
    """The configured key can't be used; raised before anything is served."""


class TokenVerifier:
    """Accepts the tokens of one issuer for one audience, signed by exactly one algorithm with one key."""

    def __init__(self, settings: TokenSettings) -> None:
        self._settings = settings
        self._key = _verifying_key(settings)
        self._signatures = jwt.PyJWS(algorithms=[settings.algorithm])
        if settings.algorithm == "HS256":
            self._signatures.unregister_algorithm("HS256")
            self._signatures.register_algorithm("HS256", _PreparedHmac(HMACAlgorithm.SHA256))
        self._expected = TokenRequirements(
            issuer=settings.issuer, audience=settings.audience, leeway_ms=settings.leeway_seconds * 1_000
        )

    def verify(self, token: str, *, now: Millis) -> Claims:
        """Return the claims of a token that is valid at `now` (real time); raise only `TokenError`."""
        if len(token) > self._settings.max_bytes:
            raise TokenTooLarge(len(token), self._settings.max_bytes)
        if not token.isascii() or token.count(".") != 2:
            raise TokenMalformed("not three segments of ASCII")
        header, payload = self._decode(token)
        return read_claims(header, payload, self._expected, now=now)

    def _decode(self, token: str) -> tuple[dict[str, Any], bytes]:
        try:
            opened = self._signatures.decode_complete(token, self._key, algorithms=[self._settings.algorithm])
        except jwt.DecodeError as error:
            if isinstance(error, jwt.InvalidSignatureError):
                raise TokenUnverified("signature") from error
            raise TokenMalformed("segments or header") from error
        except jwt.PyJWTError as error:
            raise TokenUnverified(type(error).__name__) from error
        except (ValueError, TypeError, RecursionError) as error:
            # A header with values of unexpected types makes PyJWT raise these.
            raise TokenMalformed(type(error).__name__) from error
        return opened["header"], opened["payload"]


def read_unverified_id(token: str) -> tuple[str | None, Millis | None]:
    """Return `jti` and `exp` of a token whose signature is not verified, None for what it lacks; raise TokenError."""
    segments = token.encode(errors="replace").split(b".")
    if len(segments) != 3:
        raise TokenMalformed("not three segments")
    try:
        return read_token_id(base64.urlsafe_b64decode(segments[1] + b"=" * (-len(segments[1]) % 4)))
    except binascii.Error as error:
        raise TokenMalformed("segments") from error


class _PreparedHmac(HMACAlgorithm):
    """HMAC with a secret that `_secret` has examined: PyJWT does so for every token, in a third of its time."""

    @override
    def prepare_key(self, key: str | bytes) -> bytes:
        assert isinstance(key, bytes), "a secret is bytes"
        return key


class TokenIssuer:
    """Signs tokens that a verifier with the same settings accepts: HS256 only, for `floor token`, demo and tests."""

    def __init__(self, settings: TokenSettings) -> None:
        if settings.algorithm != "HS256":
            raise TokenKeyError(f"token.algorithm is {settings.algorithm}: tokens can be issued with HS256 only")
        self._settings = settings
        self._secret = _secret(settings)

    def issue(
        self,
        *,
        subject: str,
        roles: list[str],
        now: Millis,
        ttl_seconds: int,
        name: str | None = None,
        sites: list[str] | None = None,
        areas: list[str] | None = None,
        lines: list[str] | None = None,
        grants: dict[str, list[str]] | None = None,
    ) -> str:
        """Return a token valid from `now` on. None omits a claim; an empty list is a claim that grants nothing."""
        optional = {"name": name, "sites": sites, "areas": areas, "lines": lines, "grants": grants}
        claims = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": subject,
            "iat": now / 1_000,  # not rounded: it must not be before a revocation of all that was issued before
            "exp": now // 1_000 + ttl_seconds,
            "jti": secrets.token_urlsafe(16),
            "roles": roles,
            **{claim: value for claim, value in optional.items() if value is not None},
        }
        return jwt.encode(claims, self._secret, algorithm="HS256")


def _secret(settings: TokenSettings) -> bytes:
    if settings.secret is not None:
        secret = settings.secret.get_secret_value().encode()
    elif settings.secret_file is not None:
        secret = _read(settings.secret_file).rstrip(b"\r\n")
    else:
        raise TokenKeyError("HS256 needs token.secret or token.secret_file")
    if len(secret) < MIN_SECRET_BYTES:
        raise TokenKeyError(f"the token secret has {len(secret)} bytes; HS256 needs at least {MIN_SECRET_BYTES}")
    if b"-----BEGIN" in secret:
        raise TokenKeyError("the token secret is a PEM file, whose content may be public; use a random secret")
    try:
        return HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError as error:
        raise TokenKeyError("the token secret is a key file of another format; use a random secret") from error


def _verifying_key(settings: TokenSettings) -> Any:
    if settings.algorithm == "HS256":
        return _secret(settings)
    path = settings.public_key_file
    if path is None:
        raise TokenKeyError(f"{settings.algorithm} needs token.public_key_file")
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TokenKeyError(f"{path}: not a public key in PEM format") from error
    fits = {
        "RS256": isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS,
        "ES256": isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1),
        "EdDSA": isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey),
    }
    if not fits[settings.algorithm]:
        raise TokenKeyError(f"{path}: not a key for {settings.algorithm}")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TokenKeyError(f"{path}: {error.strerror}") from error
