"""Counter registers of a controller: 16 or 32 bits, signed or unsigned, wrapping."""

from typing import Final, Literal

Width = Literal["int16", "uint16", "int32", "uint32"]

MODULUS: Final[dict[Width, int]] = {"int16": 2**16, "uint16": 2**16, "int32": 2**32, "uint32": 2**32}
SIGNED: Final[frozenset[Width]] = frozenset({"int16", "int32"})


def wrap_count(count: int, width: Width) -> int:
    """Return the count as the register shows it: 32768 in an int16 reads -32768."""
    modulus = MODULUS[width]
    value = count % modulus
    return value - modulus if width in SIGNED and value >= modulus // 2 else value
