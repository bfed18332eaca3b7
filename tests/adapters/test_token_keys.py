"""Keys and secrets of tokens: which start, and which tokens they accept."""

import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pydantic import SecretStr

from bridge.adapters.tokens import TokenIssuer, TokenKeyError, TokenVerifier
from bridge.domain.access.claims import (
    TokenUnverified,
)
from bridge.settings.token import TokenSettings
from tests.adapters.token_samples import GOOD, MAKE, NOW, SECRET, SETTINGS, Key, b64, public_pem, refusal, signed, token


def settings_for(algorithm: str, key: Key, folder: Path) -> TokenSettings:
    path = folder / f"{algorithm}.pem"
    path.write_bytes(public_pem(key))
    values = {"algorithm": algorithm, "public_key_file": path, "issuer": "plant", "audience": "board"}
    return TokenSettings.model_validate(values)


@pytest.mark.parametrize("algorithm", list(MAKE))
def test_a_token_of_a_public_key_is_accepted_and_another_keys_is_not(algorithm: str, tmp_path: Path) -> None:
    key, other = MAKE[algorithm](), MAKE[algorithm]()
    settings = settings_for(algorithm, key, tmp_path)
    good = jwt.encode(GOOD, key, algorithm=algorithm)
    assert TokenVerifier(settings).verify(good, now=NOW).subject == "u1"
    assert isinstance(refusal(jwt.encode(GOOD, other, algorithm=algorithm), settings=settings), TokenUnverified)
    head, _, signature = good.split(".")
    forged = f"{head}.{b64(json.dumps({**GOOD, 'sub': 'admin'}).encode())}.{signature}"
    assert isinstance(refusal(forged, settings=settings), TokenUnverified)


@pytest.mark.parametrize("algorithm", list(MAKE))
def test_the_public_key_is_no_hmac_secret(algorithm: str, tmp_path: Path) -> None:
    key = MAKE[algorithm]()
    forged = signed(json.dumps(GOOD).encode(), secret=public_pem(key))
    assert isinstance(refusal(forged, settings=settings_for(algorithm, key, tmp_path)), TokenUnverified)


def test_keys_that_are_weak_or_of_another_kind_refuse_to_start(tmp_path: Path) -> None:
    weak = rsa.generate_private_key(public_exponent=65_537, key_size=1_024)  # what is refused here
    curve = ec.generate_private_key(ec.SECP384R1())
    for algorithm, key in (("RS256", weak), ("ES256", curve), ("EdDSA", curve), ("RS256", curve), ("ES256", weak)):
        with pytest.raises(TokenKeyError, match="not a key for"):
            TokenVerifier(settings_for(algorithm, key, tmp_path))


def test_a_private_key_or_no_key_at_all_refuses_to_start(tmp_path: Path) -> None:
    settings = settings_for("EdDSA", ed25519.Ed25519PrivateKey.generate(), tmp_path)
    assert settings.public_key_file is not None
    private = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for content in (private, b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
        settings.public_key_file.write_bytes(content)
        with pytest.raises(TokenKeyError, match="not a public key"):
            TokenVerifier(settings)
    settings.public_key_file.unlink()
    with pytest.raises(TokenKeyError):
        TokenVerifier(settings)


def test_a_secret_under_32_bytes_or_a_key_file_as_secret_refuses_to_start(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    settings = TokenSettings(secret_file=path, issuer="plant", audience="board")
    key = ed25519.Ed25519PrivateKey.generate()
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ssh = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    jwk = b'{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}'
    for content in (b"x" * 31, b"x" * 31 + b"\r\n", b"", public_pem(key), der, ssh, jwk):
        path.write_bytes(content)
        with pytest.raises(TokenKeyError):
            TokenVerifier(settings)
    path.write_text(f"{SECRET}\n")
    assert TokenVerifier(settings).verify(token(), now=NOW).subject == "u1"
    unchecked = TokenSettings.model_construct(algorithm="HS256", secret=SecretStr("x" * 31), secret_file=None)
    with pytest.raises(TokenKeyError):
        TokenVerifier(unchecked)


def test_an_issued_token_is_accepted_with_its_claims() -> None:
    issuer = TokenIssuer(SETTINGS)
    text = issuer.issue(subject="u1", roles=["operator"], now=NOW, ttl_seconds=60, name="Ann", lines=["L1"], sites=[])
    claims = TokenVerifier(SETTINGS).verify(text, now=NOW)
    assert (claims.subject, claims.expires_at) == ("u1", NOW + 60_000)
    statements = {name: claims.claim_set.get(name) for name in ("roles", "name", "lines", "sites")}
    assert statements == {"roles": ["operator"], "name": "Ann", "lines": ["L1"], "sites": []}
    assert "areas" not in claims.claim_set
    again = issuer.issue(subject="u1", roles=["operator"], now=NOW, ttl_seconds=60)
    assert TokenVerifier(SETTINGS).verify(again, now=NOW).token_id != claims.token_id


def test_only_a_shared_secret_issues_tokens(tmp_path: Path) -> None:
    with pytest.raises(TokenKeyError):
        TokenIssuer(settings_for("EdDSA", ed25519.Ed25519PrivateKey.generate(), tmp_path))
