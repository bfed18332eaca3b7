"""Revocation lists as another program could write them, without any code of the bridge."""

import json
from pathlib import Path

AT = "2026-11-29T15:00:00.000Z"


def revoke_users(path: Path, *subjects: str) -> None:
    """Write a list that revokes all tokens of these users, and nothing else."""
    entries = [{"kind": "user", "subject": subject, "revoked_at": AT} for subject in subjects]
    write_whole(path, json.dumps({"version": 1, "revocations": entries}))


def write_whole(path: Path, text: str) -> None:
    """Write a file that no reader sees half of."""
    fresh = path.with_name(f"{path.name}.fresh")
    fresh.write_text(text)
    fresh.replace(path)
