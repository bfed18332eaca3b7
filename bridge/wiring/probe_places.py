"""Places of the plant at which the probe tries the broker's rules: some in each round, all over many rounds."""

import random
from collections import deque
from collections.abc import Iterable
from typing import Final, TypeVar

from bridge.domain.place import LinePlace, Place

MAX_PLACES: Final = 16  # in one round: bounds what it costs the broker
MAX_KEPT: Final = MAX_PLACES // 2  # of these, places at which a former round failed

Item = TypeVar("Item")


class ProbePlaces:
    """A choice of places, another one in each round. Its order is random, as a rule may concern any of them."""

    def __init__(self, places: Iterable[Place]) -> None:
        """Choose from these: lines and their equipment."""
        shuffled = list(places)
        random.shuffle(shuffled)
        lines = dict[LinePlace, deque[Place]]()
        for place in shuffled:
            lines.setdefault((place.site, place.area, place.line), deque()).append(place)
        sites = dict[str, deque[deque[Place]]]()
        for (site, _, _), of_line in lines.items():
            sites.setdefault(site, deque()).append(of_line)
        self._all = frozenset(shuffled)
        self._sites = deque(sites.values())
        self._kept: list[Place] = []

    def next(self) -> list[Place]:
        """Return up to `MAX_PLACES` for the next round: those that are kept first, then of each site in turn.

        Of up to 8 sites, each has one in every round. A site's lines have their turns, and a line's equipment has too.
        """
        chosen = dict.fromkeys(self._kept)
        for _ in range(MAX_PLACES - len(chosen) if self._sites else 0):
            chosen[_rotate(_rotate(_rotate(self._sites)))] = None
        return list(chosen)

    def keep(self, places: Iterable[Place]) -> None:
        """Try these again in the next round, and forget those of former rounds: the verdict stands until they pass."""
        self._kept = [place for place in dict.fromkeys(places) if place in self._all][:MAX_KEPT]


def _rotate(items: deque[Item]) -> Item:
    items.rotate(-1)
    return items[-1]
