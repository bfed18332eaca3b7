"""Control characters of Unicode (C0, DEL and C1), as patterns in the syntax of every regex dialect."""

from typing import Final

CONTROL_CHARACTER: Final = r"[\x00-\x1f\x7f-\x9f]"
CONTROL_EXCEPT_LINE_BREAKS: Final = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
"""Without tab, line feed and carriage return."""
