"""Places on the floor, and their levels in a topic."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

LINE_LEVEL: Final = "_"
"""The equipment level and the subject of everything that concerns the whole line."""

ALL_LEVELS: Final = "+"
"""In place of equipment levels: the line and all its equipment."""


class Place(Struct, frozen=True, order=True):
    """A place on the floor: ids of site, area, line, and equipment (None for the whole line)."""

    site: str
    area: str
    line: str
    equipment: str | None = None

    def with_equipment(self, equipment: str | None) -> "Place":
        return Place(self.site, self.area, self.line, equipment)

    def levels(self) -> tuple[str, str, str, str]:
        """Return the four levels of the place in a topic."""
        return (self.site, self.area, self.line, self.equipment or LINE_LEVEL)

    @classmethod
    def from_levels(cls, levels: Sequence[str]) -> "Place":
        """Return the place with these four levels."""
        site, area, line, equipment = levels
        return cls(site, area, line, None if equipment == LINE_LEVEL else equipment)


LinePlace = tuple[str, str, str]
"""Site, area, line."""
