"""Revocation lists as an operator could write them by hand, without any code of the bridge."""

import json
from pathlib import Path

AT = "2026-11-29T15:00:00.000Z"


def revoke_users(path: Path, *subjects: str) -> None:
    """Write a list that revokes all tokens of these users, and nothing else."""
    entries = [{"kind": "user", "subject": subject, "revoked_at": AT} for subject in subjects]
    path.write_text(json.dumps({"version": 1, "revocations": entries}))
