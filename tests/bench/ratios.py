"""Ratios of the rows of one run: the front in parts of the floor, and in times of the other servers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from tests.bench.rows import DeliveryRow, Row

PEERS: Final = ("mosquitto", "textbook", "ws")
"""Servers that write each event at once, whatever the `wait` of the front that is compared."""
RATIO_HEAD: Final = [
    "wait", "of the floor", "times Mosquitto", "times the textbook", "times ws", "p99, times Mosquitto's",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A front's row beside those of the same load. `times`: its deliveries per CPU-second by those of a server.

    `p99_times` is None if one of the two is invalid, or saturated: so late that it has no latency. `faults` says of a
    server, or of the front, that its row is one of both, or waited.
    """

    audience: str
    coalescing_ms: int
    times: Mapping[str, float]
    p99_times: float | None
    faults: Mapping[str, str]

    def cells(self) -> list[str]:
        """Return the row of the table under `RATIO_HEAD`."""
        wait = f"{self.coalescing_ms} ms" + (f" ({self.faults['front']})" if "front" in self.faults else "")
        p99 = "-" if self.p99_times is None else self._marked(self.p99_times, "mosquitto")
        return [wait, *map(self._cell, ("floor", *PEERS)), p99]

    def _cell(self, server: str) -> str:
        if server not in self.times:
            return "-"
        return self._marked(self.times[server], server)

    def _marked(self, ratio: float, server: str) -> str:
        return f"{ratio:.2f}" + (f" ({self.faults[server]})" if server in self.faults else "")

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


def compare(rows: Iterable[Row]) -> Iterator[Comparison]:
    """Yield the front's rows beside the other servers' of the same load; of the floor also with the same wait."""
    measured = [row for row in rows if isinstance(row, DeliveryRow)]
    for row in measured:
        alike = {other.server: other for other in measured if _is_same_load(other, row)}
        others = [other for server, other in alike.items() if server != "front"]
        if row.server == "front" and others:
            yield Comparison(
                audience=row.audience,
                coalescing_ms=row.coalescing_ms,
                times={other.server: row.per_cpu_second / other.per_cpu_second for other in others},
                p99_times=_p99_times(row, alike.get("mosquitto")),
                faults={each.server: each.judgement.words for each in (row, *others) if each.judgement.words},
            )


def _is_same_load(other: DeliveryRow, row: DeliveryRow) -> bool:
    same = (other.audience, other.load) == (row.audience, row.load)
    return same and (other.server in PEERS or other.coalescing_ms == row.coalescing_ms)


def _p99_times(row: DeliveryRow, other: DeliveryRow | None) -> float | None:
    if other is None or not row.judgement.is_comparable or not other.judgement.is_comparable:
        return None
    ours, theirs = (each.latencies.figures("event").get("event_p99_ms") for each in (row, other))
    return ours / theirs if ours and theirs else None
