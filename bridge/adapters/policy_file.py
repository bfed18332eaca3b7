"""The role policy: the plant's own file, or the shipped one."""

from importlib import resources
from pathlib import Path
from typing import Final

from bridge.domain.access.policy import Policy, PolicyError
from bridge.settings.load import file_error_reason

MAX_POLICY_BYTES: Final = 1_048_576  # of a file that is watched; each role has at most 200 templates


def load(path: Path | None) -> Policy:
    """Read and validate a policy file, the shipped one for None; raise `PolicyError` with file, location, reason."""
    if path is None:
        return parse((resources.files("bridge") / "policy.toml").read_bytes(), source="policy")
    try:
        return parse(path.read_bytes(), source=str(path))
    except OSError as error:
        raise PolicyError(f"{path}: {file_error_reason(error)}") from error


def parse(content: bytes, *, source: str) -> Policy:
    """Return the policy in a file; raise `PolicyError`."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise PolicyError(f"{source}: {file_error_reason(error)}") from error
    return Policy.parse(text, source=source)
