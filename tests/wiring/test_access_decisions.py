"""`floor token` and `floor explain-access` decide as the running bridge does: tokens, revocations, policy."""

from pathlib import Path

import pytest

from bridge.adapters.tokens import TokenIssuer
from bridge.ports.clock import wall_ms
from bridge.settings.settings import Settings
from bridge.wiring.access_decisions import DecisionError, explain_empty_access, explain_subscription
from tests.support.in_process import settings_with
from tests.support.revocation_lists import revoke_users


def settings_revoking(folder: Path, *subjects: str) -> Settings:
    path = folder / "revoked.json"
    revoke_users(path, *subjects)
    return settings_with(token__revoked_file=path)


def token(settings: Settings, user: str) -> str:
    return TokenIssuer(settings.token).issue(subject=user, now=wall_ms(), roles=["admin"], ttl_seconds=60)


def test_explain_access_refuses_a_revoked_token(tmp_path: Path) -> None:
    settings = settings_revoking(tmp_path, "eva")
    with pytest.raises(
        DecisionError,
        match=r"access was revoked: token\.revoked_file names the user or the token",
    ):
        explain_subscription(settings, token(settings, "eva"), {"subscription_type": "line"})
    assert explain_subscription(settings, token(settings, "otto"), {"subscription_type": "line"})["allowed"]


def test_no_token_is_made_for_a_revoked_user(tmp_path: Path) -> None:
    settings = settings_revoking(tmp_path, "eva")
    with pytest.raises(DecisionError, match="access was revoked"):
        explain_empty_access(settings, token(settings, "eva"), ["admin"])
    assert explain_empty_access(settings, token(settings, "otto"), ["admin"]) is None


def test_explain_access_names_an_invalid_entry_of_the_revocations(tmp_path: Path) -> None:
    settings = settings_revoking(tmp_path, "eva", "")
    with pytest.raises(DecisionError, match=r"revoked.json: revocations\[1\].subject: "):
        explain_subscription(settings, token(settings, "otto"), {"subscription_type": "line"})
