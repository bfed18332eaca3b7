"""Parser for TOML that reports everything it refuses as a ValueError."""

import tomllib
from typing import Any


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a TOML text; raise ValueError for what is no TOML, an integer of too many digits, or too deep nesting."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
