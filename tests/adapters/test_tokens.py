"""Refusals of every invalid token, with real keys; the user of a valid one. Source: threats.md, «Tokens»."""

import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.adapters.tokens import TokenVerifier
from bridge.domain.access.claims import (
    MAX_DATE,
    TokenClaimInvalid,
    TokenError,
    TokenExpired,
    TokenMalformed,
    TokenNotYetValid,
    TokenOfWrongKind,
    TokenTooLarge,
    TokenUnverified,
)
from bridge.domain.utc_time import rfc3339
from tests.adapters.token_samples import GOOD, NOW, SECRET, SETTINGS, b64, refusal, signed, token, token_of

CRITICAL: list[Any] = [["exp"], ["b64"], [], "exp", None, [{}], 7]
NO_TEXTS: list[Any] = [7, None, ["a"], {"a": 1}]
NO_DATES: list[Any] = ["1900000000", "1", "", True, False, None, [], {}, -1, -0.5, 253_402_300_800, 10**19]
NOT_THE_ISSUER: list[Any] = ["", "plan", "plant2", "PLANT", "plant ", ["plant"], None, 7, {"plant": 1}]
NOT_THE_AUDIENCE: list[Any] = ["", "boar", "board2", "BOARD", [], ["b", "oard"], [["board"]], ["board", 7], None, {}]
NO_SUBJECTS: list[Any] = ["", None, 7, ["u1"], "x" * 256, "a\r\nb", "a\0", "\u2028"]
NO_TOKEN_IDS: list[Any] = ["", 7, ["t"], "x" * 256]


def test_a_valid_token_identifies_its_user() -> None:
    claims = TokenVerifier(SETTINGS).verify(token(roles=["viewer"], jti="t1", kid="../../etc/passwd"), now=NOW)
    assert (claims.subject, claims.issuer, claims.token_id) == ("u1", "plant", "t1")
    assert claims.expires_at == NOW + 60_000
    assert claims.claim_set["roles"] == ["viewer"]


@pytest.mark.parametrize(
    "algorithm", ["none", "nOnE", "NONE", "", "hs256", "HS384", "HS512", "RS256", None, 7, ["HS256"]]
)
def test_only_the_configured_algorithm_counts(algorithm: Any) -> None:
    assert isinstance(refusal(token(header={"alg": algorithm})), TokenUnverified)
    head, payload, _ = token(header={"alg": algorithm}).split(".")
    refusal(f"{head}.{payload}.")


def test_a_valid_token_of_another_algorithm_of_the_same_secret_is_refused() -> None:
    assert isinstance(refusal(jwt.encode(GOOD, SECRET * 2, algorithm="HS512")), TokenUnverified)


def test_an_unsigned_or_changed_token_is_refused() -> None:
    head, payload, signature = token().split(".")
    for changed in (
        f"{head}.{payload}.",
        f"{head}.{payload}.{signature[:9]}{signature[9:19].swapcase()}{signature[19:]}",
        signed(b"{}", secret=b"x" * 32),
    ):
        assert isinstance(refusal(changed), TokenUnverified)


@pytest.mark.parametrize(
    "header",
    [
        *({"crit": value} for value in CRITICAL),
        {"crit": ["b64"], "b64": True},
        {"b64": False},
        {"crit": ["b64"], "b64": False},
        *({"kid": value} for value in NO_TEXTS),
    ],
)
def test_critical_extensions_and_odd_headers_are_refused(header: dict[str, Any]) -> None:
    refusal(token(header=header))


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "http://evil.example/key", "x" * 4_000, ""])
def test_a_key_id_is_ignored(kid: str) -> None:
    assert TokenVerifier(SETTINGS).verify(token(header={"kid": kid}), now=NOW).subject == "u1"


def test_keys_that_a_token_brings_along_are_ignored() -> None:
    own = {"kty": "oct", "k": b64(b"y" * 32)}
    header = {"jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/cert", "jwk": own, "x5c": ["AAAA"]}
    assert TokenVerifier(SETTINGS).verify(token(header=header), now=NOW).subject == "u1"
    assert isinstance(refusal(signed(json.dumps(GOOD).encode(), header=header, secret=b"y" * 32)), TokenUnverified)


@pytest.mark.parametrize("claim", ["exp", "iss", "aud", "sub"])
def test_required_claims_are_required(claim: str) -> None:
    present = {name: value for name, value in GOOD.items() if name != claim}
    error = refusal(signed(json.dumps(present).encode()))
    assert isinstance(error, TokenClaimInvalid)
    assert error.claim == claim


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        *((claim, wrong) for claim in ("exp", "nbf", "iat") for wrong in NO_DATES),
        *(("iss", wrong) for wrong in NOT_THE_ISSUER),
        *(("aud", wrong) for wrong in NOT_THE_AUDIENCE),
        *(("sub", wrong) for wrong in NO_SUBJECTS),
        *(("jti", wrong) for wrong in NO_TOKEN_IDS),
    ],
)
def test_a_claim_of_the_wrong_type_or_for_somebody_else_is_refused(claim: str, value: object) -> None:
    error = refusal(token_of({claim: value}))
    assert isinstance(error, TokenClaimInvalid)
    assert error.claim == claim


def test_one_of_several_audiences_may_be_ours() -> None:
    assert TokenVerifier(SETTINGS).verify(token(aud=["other", "board"]), now=NOW).subject == "u1"


@pytest.mark.parametrize("leeway", [0, 30])
def test_a_token_ends_at_its_expiry_to_the_millisecond(leeway: int) -> None:
    settings = SETTINGS.model_copy(update={"leeway_seconds": leeway})
    end = NOW + 60_000 + leeway * 1_000
    claims = TokenVerifier(settings).verify(token(), now=end - 1)
    assert claims.expires_at == end
    assert isinstance(refusal(token(), settings=settings, now=end), TokenExpired)
    assert (
        TokenVerifier(settings).verify(token(exp=NOW / 1_000 + 0.5), now=NOW).expires_at == NOW + 500 + leeway * 1_000
    )


@pytest.mark.parametrize("leeway", [0, 1, 60])
def test_the_last_date_ends_in_a_year_that_can_be_written(leeway: int) -> None:
    settings = SETTINGS.model_copy(update={"leeway_seconds": leeway})
    claims = TokenVerifier(settings).verify(token(exp=MAX_DATE), now=NOW)
    assert rfc3339(claims.expires_at) == ("9999-12-31T23:59:59.999Z" if leeway else "9999-12-31T23:59:59.000Z")
    assert isinstance(refusal(token(exp=MAX_DATE), settings=settings, now=claims.expires_at), TokenExpired)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
@pytest.mark.parametrize(("leeway", "early_ms"), [(0, 5_000), (4, 5_000), (30, 30_000)])
def test_a_token_begins_some_seconds_before_its_nbf_to_the_millisecond(claim: str, leeway: int, early_ms: int) -> None:
    settings = SETTINGS.model_copy(update={"leeway_seconds": leeway})
    begin = NOW + 10_000 - early_ms
    text = token_of({claim: NOW // 1_000 + 10})
    assert TokenVerifier(settings).verify(text, now=begin).subject == "u1"
    assert isinstance(refusal(text, settings=settings, now=begin - 1), TokenNotYetValid)


@pytest.mark.parametrize(
    "value", ["refresh", "Refresh", "logout", "Logout", "refresh_token", "ID", "Offline", "", 7, None]
)
@pytest.mark.parametrize("claim", ["typ", "type", "token_use", "token_type"])
def test_a_token_of_another_kind_gives_no_access(claim: str, value: object) -> None:
    assert isinstance(refusal(token_of({claim: value})), TokenOfWrongKind)


@pytest.mark.parametrize("value", ["refresh+jwt", "logout+jwt", "application/logout+jwt", "dpop+jwt", 7, None])
def test_a_header_of_another_kind_gives_no_access(value: object) -> None:
    assert isinstance(refusal(token(header={"typ": value})), TokenOfWrongKind)


@pytest.mark.parametrize("value", ["JWT", "jwt", "at+jwt", "application/at+jwt"])
def test_an_access_token_type_is_accepted(value: str) -> None:
    text = token(header={"typ": value}, typ="Bearer", token_use="access")
    assert TokenVerifier(SETTINGS).verify(text, now=NOW).subject == "u1"


def test_a_logout_token_without_a_name_for_itself_is_known_by_its_events() -> None:
    error = refusal(token(events={"http://schemas.openid.net/event/backchannel-logout": {}}))
    assert isinstance(error, TokenOfWrongKind)


def raw(extra: str) -> str:
    return signed(f'{{"iss":"plant","aud":"board","sub":"u1","exp":{NOW // 1_000 + 60},{extra}}}'.encode())


@pytest.mark.parametrize(
    "extra",
    [
        '"sub":"admin"',
        '"deep":' + "[" * 2_000 + "]" * 2_000,
        '"deep":' + '{"a":' * 500 + "1" + "}" * 500,
        '"deep":' + "[" * 16 + "]" * 16,
        '"big":' + "9" * 5_000,
        '"big":' + "9" * 21,
        '"float":1e400',
        '"nan":NaN',
        '"nan":-Infinity',
        '"text":"\\ud800"',
        '"\\udc00":1',
        '"open":',
    ],
)
def test_claims_that_could_break_whoever_reads_them_are_refused(extra: str) -> None:
    assert isinstance(refusal(raw(extra)), TokenMalformed)


def test_claims_that_are_not_shown_may_hold_what_reports_may_not() -> None:
    """A directory adds its own claims: a garbled name there must not lock a user out."""
    claims = TokenVerifier(SETTINGS).verify(
        raw('"name":"M\\u0080ller","nul":"\\u0000","n":99999999999999999999'), now=NOW
    )
    assert claims.claim_set["name"] == "M\x80ller"
    assert claims.claim_set["nul"] == "\x00"


@pytest.mark.parametrize("exp", ["1e400", "NaN", "9" * 400])
def test_an_expiry_without_end_is_refused(exp: str) -> None:
    refusal(signed(f'{{"iss":"plant","aud":"board","sub":"u1","exp":{exp}}}'.encode()))


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"7", b'"x"', b"\xff", b"{}x", b"\xef\xbb\xbf{}"])
def test_claims_that_are_no_object_are_refused(payload: bytes) -> None:
    refusal(signed(payload))


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "\u00fc.b.c", "\ud800.b.c", "Bearer x.y.z", "a.b.c\n"]
)
def test_a_malformed_token_is_refused(text: str) -> None:
    with pytest.raises(TokenError):
        TokenVerifier(SETTINGS).verify(text, now=NOW)


def test_a_header_that_nests_without_end_is_refused() -> None:
    with pytest.raises(TokenMalformed):
        TokenVerifier(SETTINGS).verify(f"{b64(b'[' * 3_000)}.e30.AA", now=NOW)


def test_a_token_over_the_limit_is_refused_before_it_is_parsed() -> None:
    for size in (8_193, 1_000_000):
        with pytest.raises(TokenTooLarge) as caught:
            TokenVerifier(SETTINGS).verify("x" * size, now=NOW)
        assert (caught.value.size, caught.value.limit) == (size, 8_192)
    grants = {"read": [f"S{number}/#" for number in range(10_000)]}
    assert isinstance(refusal(token(grants=grants)), TokenTooLarge)


@given(
    st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "x"]), st.none() | st.integers() | st.text())
)
def test_no_header_makes_another_error_than_a_refusal(header: dict[str, Any]) -> None:
    verifier = TokenVerifier(SETTINGS)
    try:
        claims = verifier.verify(token(header=header), now=NOW)
    except TokenError:
        return
    assert claims.subject == "u1"


@given(st.binary(max_size=60) | st.text(alphabet="abc.=-_ {}", max_size=60).map(str.encode))
def test_no_bytes_make_another_error_than_a_refusal(data: bytes) -> None:
    verifier = TokenVerifier(SETTINGS)
    for text in (data.decode("latin-1"), f"{b64(data)}.{b64(data)}.{b64(data)}", signed(data)):
        with pytest.raises(TokenError):
            verifier.verify(text, now=NOW)
