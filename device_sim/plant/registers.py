"""The counter registers of a machine: 16 or 32 bits, signed or unsigned; they wrap, and can be reset and preset."""

from typing import Final

from device_sim.plant_file import MachineSpec, RegisterWidth

MODULUS: Final[dict[RegisterWidth, int]] = {"int16": 2**16, "uint16": 2**16, "int32": 2**32, "uint32": 2**32}
SIGNED: Final[frozenset[RegisterWidth]] = frozenset({"int16", "int32"})


def wrap_count(count: int, width: RegisterWidth) -> int:
    """Return the count as the register shows it: 32768 in an int16 reads -32768."""
    modulus = MODULUS[width]
    value = count % modulus
    return value - modulus if width in SIGNED and value >= modulus // 2 else value


class Registers:
    """Counts from the values to which the registers were last set."""

    def __init__(self, spec: MachineSpec) -> None:
        self._width = spec.counter
        self._fields = spec.counts
        self._base = dict.fromkeys(spec.counts, spec.counter_start)

    @property
    def modulus(self) -> int:
        return MODULUS[self._width]

    def wrap_count(self, count: int) -> int:
        """Return a count as the register would show it."""
        return wrap_count(count, self._width)

    def read(self, made: dict[str, int]) -> dict[str, int]:
        """Return the register values after `made` pieces, by field."""
        return {name: wrap_count(self._base[name] + made[name], self._width) for name in self._fields}

    def set(self, made: dict[str, int], to: int) -> None:
        """Set the registers as an operator does: all to 0, or total and good to a value and reject to 0."""
        for name in self._fields:
            self._base[name] = (0 if name == "reject" else to) - made[name]

    def set_before_wrap(self, pieces: int) -> None:
        """Set the registers to `pieces` before they wrap to their lowest value."""
        highest = MODULUS[self._width] // (2 if self._width in SIGNED else 1)
        self._base = dict.fromkeys(self._fields, highest - pieces)
