"""Topic of a station's lamp, relative to `{root}/station/`."""

from typing import NamedTuple, Self

from typing_extensions import override

from bridge.domain.place import LinePlace


class LampTopic(NamedTuple):
    """Levels of the topic: a station has a lamp for each Andon type."""

    site: str
    area: str
    line: str
    station: str
    andon_type: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the levels, without checking their ids; None for another number of them."""
        levels = text.split("/")
        return cls(*levels) if len(levels) == len(cls._fields) else None

    @property
    def line_place(self) -> LinePlace:
        return self.site, self.area, self.line

    @override
    def __str__(self) -> str:
        return "/".join(self)
