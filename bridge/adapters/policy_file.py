"""The loader of the role policy: the plant's own file, or the shipped one."""

from importlib import resources
from pathlib import Path

from bridge.domain.access.policy import Policy, PolicyError
from bridge.settings.load import file_error_reason


def load(path: Path | None) -> Policy:
    """Read and validate a policy file, the shipped one for None; raise `PolicyError` with file, location, reason."""
    if path is None:
        return Policy.parse((resources.files("bridge") / "policy.toml").read_text(encoding="utf-8"), source="policy")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: {file_error_reason(error)}") from error
    return Policy.parse(text, source=str(path))
