r"""Ids of sites, areas, lines, equipment, people and subjects: their pattern, and its type for both model libraries.

No id can be a topic wildcard, several topic levels or a `$` topic, and none ends with a line feed.
"""

import re
from typing import Annotated, Final

from msgspec import Meta
from pydantic import Field

_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
ID_CHARACTERS: Final = (
    'letters, digits, ".", "_" and "-", at most 64, the first a letter or digit'  # `_PATTERN` in words
)
_ID: Final = re.compile(_PATTERN)

# msgspec uses Python's regular expressions, in which `$` also matches before a final line feed. Pydantic uses Rust's,
# which have no `\Z`, and in which `$` matches only at the end of the text.
STRUCT_ID_PATTERN: Final = rf"^{_PATTERN}\Z"
MODEL_ID_PATTERN: Final = f"^{_PATTERN}$"
Id = Annotated[str, Meta(pattern=STRUCT_ID_PATTERN), Field(pattern=MODEL_ID_PATTERN)]
"""An id, in a msgspec struct as well as in a pydantic model; each library ignores what is the other's."""


def is_id(text: str) -> bool:
    """Return whether the text is an id."""
    return _ID.fullmatch(text) is not None
