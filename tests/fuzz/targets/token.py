"""Fuzz target: an Authorization header; or the header and claims of a token, which are signed with the right key.

The first byte decides: `s`, then a JSON header, a line feed and claims; anything else is the header's text.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from bridge.adapters.tokens import TokenVerifier
from bridge.domain.access.claims import Claims, TokenError
from bridge.domain.access.policy import Policy, Role
from bridge.domain.access.viewer import AdmissionError, admit
from bridge.domain.topics import TopicName
from bridge.domain.utc_time import rfc3339
from bridge.http.access import bearer_token
from bridge.settings.token import TokenSettings
from tests.fuzz.memory_files import memory_file

MAX_BYTES: Final = 9_216  # over `token.max_bytes`
NOW: Final = 1_800_000_000_000
SECRET: Final = "0123456789abcdef0123456789abcdef"
POLICY: Final = Policy.parse(
    """
[roles.admin]
unscoped = true
read = ["#"]
command = ["#"]
[roles.viewer]
read = ["{site}/#", "+/{area}/+/+/job/#", "+/+/{line}/{user}/#"]
command = ["+/+/{line}/+/andon"]
actions = ["andon.*"]
"""
)
GOOD: Final = {"iss": "plant", "aud": "board", "sub": "eva", "exp": NOW // 1_000 + 60, "roles": ["viewer"]}
WORDS: Final = (
    *(f'"{name}":' for name in (*GOOD, "nbf", "iat", "jti", "sites", "areas", "lines", "grants", "read", "command")),
    *(f'"{name}":' for name in ("alg", "typ", "crit", "b64", "kid", "jku", "x5u", "jwk", "events", "token_use")),
    *(f'"{role}"' for role in Role),
    *("Bearer ", "HS256", "ES256", "none", "eyJ", "253402300799", "1800000060", "{}.", ".."),
)


def _es256_key() -> bytes:
    public = ec.derive_private_key(7, ec.SECP256R1()).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


_HMAC: Final = [
    TokenVerifier(TokenSettings(secret=SecretStr(SECRET), issuer="plant", audience="board", leeway_seconds=leeway))
    for leeway in (0, 60)
]
_ES256: Final = TokenVerifier(
    TokenSettings(
        algorithm="ES256", public_key_file=memory_file("es256.pem", _es256_key()), issuer="plant", audience="board"
    )
)


def seeds() -> Iterable[bytes]:
    claims = [
        GOOD,
        {**GOOD, "sites": ["north"], "lines": ["L1"], "name": "Eva", "jti": "t1", "nbf": 1, "iat": 1.5},
        {**GOOD, "roles": ["admin"], "aud": ["other", "board"], "exp": 253_402_300_799},
        {**GOOD, "exp": 1e300},
        {**GOOD, "grants": {"read": ["north/#", "+/+/L1/#"], "command": ["+/+/L1/+/andon"]}},
    ]
    for statements in claims:
        yield b"s{}\n" + json.dumps(statements).encode()
    yield b's{"typ":"at+jwt","kid":"1"}\n' + json.dumps(GOOD).encode()
    for algorithm in ("HS256", "ES256", "none"):
        yield f"Bearer {_signed(json.dumps({'alg': algorithm}).encode(), json.dumps(GOOD).encode())}".encode()


def run(data: bytes) -> None:
    """Verify and admit by every key: a viewer whose end can be written, or an error that names no text of the token."""
    if data[:1] == b"s":
        header, _, claims = data[1:].partition(b"\n")
        token: str | None = _signed(_with_algorithm(header), claims)
    else:
        token = bearer_token(data.decode("latin-1"))
    if token is None:
        return
    for verifier in (*_HMAC, _ES256):
        try:
            verified = verifier.verify(token, now=NOW)
        except TokenError as error:
            assert len(str(error)) < 200
            continue
        assert verifier is not _ES256, "nobody has its key"
        for trust_grants in (False, True):
            _admit(verified, trust_grants=trust_grants)


def _admit(claims: Claims, *, trust_grants: bool) -> None:
    try:
        viewer = admit(claims, POLICY, trust_grants=trust_grants)
    except AdmissionError:
        return
    assert claims.expires_at > NOW
    rfc3339(viewer.expires_at)
    for grant in (*viewer.read_grants.all, *viewer.command_grants.all):
        str(grant.filter).encode()
    assert viewer.may_read(TopicName.parse("a/b/c/d/job/job_started/low/x")) in (False, True)


def _with_algorithm(header: bytes) -> bytes:
    """Return the header with the right algorithm, if it is a JSON object that names none."""
    try:
        tree = json.loads(header)
    except (ValueError, RecursionError):
        return header
    return json.dumps({"alg": "HS256", **tree}).encode() if isinstance(tree, dict) else header


def _signed(header: bytes, claims: bytes) -> str:
    text = f"{_encoded(header)}.{_encoded(claims)}"
    return f"{text}.{_encoded(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())}"


def _encoded(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()
