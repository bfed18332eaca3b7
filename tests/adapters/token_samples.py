"""Tokens of every kind for the tests of their verification."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from bridge.adapters.tokens import TokenVerifier
from bridge.domain.access.claims import (
    TokenError,
)
from bridge.settings.token import TokenSettings

NOW = 1_800_000_000_000

SECRET = "0123456789abcdef0123456789abcdef"

SETTINGS = TokenSettings(secret=SecretStr(SECRET), issuer="plant", audience="board")

GOOD: dict[str, Any] = {"iss": "plant", "aud": "board", "sub": "u1", "exp": NOW // 1_000 + 60}

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

MAKE: dict[str, Callable[[], Key]] = {
    "RS256": lambda: rsa.generate_private_key(public_exponent=65_537, key_size=2_048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def public_pem(key: Key) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(payload: bytes, *, header: dict[str, Any] | None = None, secret: bytes = SECRET.encode()) -> str:
    """Sign a token without a library, so that it may hold anything."""
    text = f"{b64(json.dumps({'alg': 'HS256', **(header or {})}).encode())}.{b64(payload)}"
    return f"{text}.{b64(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def token(*, header: dict[str, Any] | None = None, **claims: Any) -> str:
    return token_of(claims, header=header)


def token_of(claims: dict[str, Any], *, header: dict[str, Any] | None = None) -> str:
    return signed(json.dumps({**GOOD, **claims}).encode(), header=header)


def refusal(text: str, *, settings: TokenSettings = SETTINGS, now: int = NOW) -> TokenError:
    with pytest.raises(TokenError) as caught:
        TokenVerifier(settings).verify(text, now=now)
    assert text not in f"{caught.value.public_message} {caught.value!r}"
    assert SECRET not in repr(caught.value)
    return caught.value
