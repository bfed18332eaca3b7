"""The contract of authenticators, over every implementation."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.adapters.authenticator import TokenAuthenticator
from bridge.adapters.tokens import TokenVerifier
from bridge.domain.access.claims import Claims, TokenError
from bridge.domain.access.policy import Policy
from bridge.domain.access.revocations import Revocations
from bridge.domain.access.viewer import AdmissionError, admit
from bridge.domain.steps import complete
from bridge.domain.topics import TopicName
from bridge.ports.authenticator import Authenticator
from bridge.settings.settings import Settings
from tests.adapters.token_samples import MAKE, public_pem
from tests.support import random_histories, tokens
from tests.support.in_process import settings_with

NOW: Final = random_histories.NOON
OWN_LINE, OTHER_LINE = (
    TopicName.parse(f"plant1/packing/{line}/bagger/andon/andon_event/high/1") for line in ("L1", "L2")
)


@dataclass(frozen=True, slots=True)
class Issued:
    """An authenticator, and tokens that it accepts: `token(user, read grants)`."""

    authenticator: Authenticator
    token: Callable[[str, Sequence[str]], str]


def shared_secret(_: Path) -> Issued:
    checked = settings_with(token={"secret": tokens.SECRET, "trust_grants_claim": True})
    return Issued(
        TokenAuthenticator.from_settings(checked),
        lambda user, grants: tokens.token(user=user, roles=(), now=NOW // 1_000, grants={"read": list(grants)}),
    )


def public_key(folder: Path) -> Issued:
    key = MAKE["ES256"]()
    path = folder / "public.pem"
    path.write_bytes(public_pem(key))
    checked = Settings.model_validate(
        {"token": {"algorithm": "ES256", "public_key_file": path, "trust_grants_claim": True}}
    )

    def token(user: str, grants: Sequence[str]) -> str:
        claims = {"iss": "floor", "aud": "floor", "sub": user, "exp": NOW // 1_000 + 60, "grants": {"read": [*grants]}}
        return jwt.encode(claims, key, algorithm="ES256")

    return Issued(TokenAuthenticator.from_settings(checked), token)


def unsigned(_: Path) -> Issued:
    return Issued(random_histories.UnsignedTokens(), lambda user, grants: random_histories.token(user, tuple(grants)))


AUTHENTICATORS: Final[Sequence[Callable[[Path], Issued]]] = (shared_secret, public_key, unsigned)


@pytest.fixture(params=AUTHENTICATORS, ids=lambda make: make.__name__, scope="module")
def issued(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Issued:
    made: Issued = request.param(tmp_path_factory.mktemp("keys"))
    return made


def test_a_token_identifies_its_user_and_grants_what_it_claims(issued: Issued) -> None:
    viewer = issued.authenticator.admit(issued.token("eva", ["+/+/L1/#"]), now=NOW)
    assert viewer.user_id == "eva"
    assert viewer.may_read(OWN_LINE)
    assert not viewer.may_read(OTHER_LINE)
    assert not issued.authenticator.admit(issued.token("otto", []), now=NOW).may_read(OWN_LINE)


def test_the_same_token_gives_the_same_access_each_time(issued: Issued) -> None:
    token = issued.token("eva", ["+/+/L1/#", "+/+/L2/#"])
    first, second = (issued.authenticator.admit(token, now=NOW) for _ in range(2))
    assert first == second


def test_a_token_is_refused_from_the_moment_that_its_viewer_expires(issued: Issued) -> None:
    token = issued.token("eva", ["#"])
    expires_at = issued.authenticator.admit(token, now=NOW).expires_at
    assert expires_at > NOW
    assert issued.authenticator.admit(token, now=expires_at - 1).expires_at == expires_at
    with pytest.raises(TokenError):
        issued.authenticator.admit(token, now=expires_at)


def test_a_token_that_grants_too_much_is_not_admitted(issued: Issued) -> None:
    grants = [f"+/+/L{number}/#" for number in range(257)]
    with pytest.raises((TokenError, AdmissionError)):
        issued.authenticator.admit(issued.token("eva", grants * 4), now=NOW)


def test_readmission_is_the_admission_of_the_same_token(issued: Issued) -> None:
    viewer = issued.authenticator.admit(issued.token("eva", ["+/+/L1/#"]), now=NOW)
    assert complete(issued.authenticator.readmit(viewer)) == viewer
    assert not issued.authenticator.is_revoked(viewer)


def policy_of(*roles: str) -> Policy:
    return Policy.parse("\n".join(roles))


POLICIES: Final = (
    policy_of('[roles.viewer]\nread = ["{site}/#", "+/+/{line}/#"]', '[roles.admin]\nunscoped = true\nread = ["#"]'),
    policy_of('[roles.viewer]\nread = ["+/{area}/#"]\ncommand = ["+/+/{line}/{user}/#"]\nactions = ["andon.raise"]'),
    policy_of('[roles.operator]\nread = ["+/+/{line}/#"]\ncommand = ["+/+/{line}/#"]'),
    Policy(roles={}),
)
WORDS = st.lists(st.sampled_from(["viewer", "operator", "admin", "L1", "S1", "#", "+/+/L1/#"]), max_size=3)
CLAIM_SETS = st.dictionaries(
    st.sampled_from(["roles", "sites", "areas", "lines", "name", "email"]), WORDS | st.text(max_size=3) | st.integers()
) | st.builds(lambda roles, read: {"roles": roles, "grants": {"read": read, "command": read}}, WORDS, WORDS)


@given(
    claim_set=CLAIM_SETS,
    former=st.sampled_from(POLICIES),
    latter=st.sampled_from(POLICIES),
    trust_grants=st.booleans(),
)
def test_readmission_is_admission_by_the_present_policy(
    *, claim_set: dict[str, Any], former: Policy, latter: Policy, trust_grants: bool
) -> None:
    claims = Claims("eva", "floor", NOW + 1_000, "t", claim_set, NOW)
    authenticator = TokenAuthenticator(
        tokens=TokenVerifier(settings_with().token), policy=former, revocations=Revocations(), trust_grants=trust_grants
    )
    viewer = admit(claims, former, trust_grants=trust_grants)
    authenticator.policy = latter
    assert complete(authenticator.readmit(viewer)) == admit(claims, latter, trust_grants=trust_grants)
    authenticator.revocations = Revocations(tokens=frozenset({"t"}))
    assert authenticator.is_revoked(viewer)


CLAIMS = st.dictionaries(
    st.sampled_from(["sub", "iss", "aud", "exp", "roles", "grants", "sites"]),
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=9), max_size=3),
)
TEXTS: st.SearchStrategy[Any] = (
    st.text(max_size=99)
    | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}", fullmatch=True)
    | st.sampled_from(["", ".", "..", "null", "[]", "{}", "[" * 100_000, "9" * 5_000, "é.é.é"])
    | CLAIMS.map(json.dumps)
)


@settings(deadline=None)
@given(text=TEXTS, cut=st.integers(0, 200))
def test_any_text_is_admitted_or_refused_and_no_error_repeats_it(issued: Issued, text: str, cut: int) -> None:
    accepted = issued.token("eva", ["#"])
    for token in (text, accepted[:-cut], accepted + text):
        try:
            viewer = issued.authenticator.admit(token, now=NOW)
        except (TokenError, AdmissionError) as error:
            public = error.public_message if isinstance(error, TokenError) else str(error)
            assert len(token) < 9 or token not in f"{public} {error!r}"  # noqa: PT017 - any of two errors, or none
        else:
            assert viewer.expires_at > NOW
