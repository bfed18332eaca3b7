r"""Types of the fields of reports, as the decoder checks them and the JSON Schemas state them.

Source: docs/devices.md. Patterns end in `\Z`, since Python's `$` also matches before a final line feed.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from msgspec import Meta

from bridge.domain.line.equipment.packml import STATE_MEANING

STATE_WORDS: Final = ("running", "stopped", "fault", "maintenance", "setup", "idle")


def _any_case(words: Iterable[str]) -> str:
    """Return the pattern of one of `words` in upper or lower case, padded with spaces as PLC strings are."""
    spelled = ("".join(f"[{letter.upper()}{letter}]" for letter in word) for word in words)
    return rf"^ *(?:{'|'.join(spelled)}) *\Z"


MULTILINE_FIELDS: Final = frozenset({"description", "notes", "reason"})  # free text, which may have line breaks
MAX_COMMAND_ID: Final = 64  # characters; the journal keeps each (user, id) for 24 h

Text = Annotated[str, Meta(max_length=500)]  # a description or note: bounds what one press can store
Word = Annotated[str, Meta(min_length=1, max_length=64)]  # a name, reason or fault code
CommandId = Annotated[str, Meta(min_length=1, max_length=MAX_COMMAND_ID)]
StateWord = Annotated[str, Meta(pattern=_any_case(STATE_WORDS), max_length=64)]
PackmlName = Annotated[str, Meta(pattern=_any_case(STATE_MEANING), max_length=64)]
FaultWord = Annotated[str, Meta(pattern=r"^(?:0[xX])?[0-9A-Fa-f]{1,64}\Z")]  # 256 bits
FaultBit = Annotated[int, Meta(ge=0, le=255)]
Number = float
Counter = int  # -2**63 to 2**64-1: bounded where JSON is parsed, since msgspec states no bound beyond 64 signed bits
Unsigned = Annotated[int, Meta(ge=0)]  # to 2**64-1, as above
Sample = Annotated[int, Meta(ge=0, le=1_000_000)]  # inspected pieces
SourceQuality = Literal["good", "uncertain", "bad"]
