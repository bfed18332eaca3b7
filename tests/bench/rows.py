"""Rows of the benchmark: what was offered, what came, what it took, and whether the figures may be used."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from tests.bench.judgement import ENOUGH, Judgement, judge
from tests.bench.load import Load

IN_PROCESS: Final = "committed batches in process"
END_TO_END: Final = "MQTT end to end"
NOTHING: Final = "nothing"
JOURNAL: Final = "a journal on disk"


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of a reader's sample, in ms, from the time an event is due to its receipt; each at most 1 % too high."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float

    def figures(self, name: str) -> dict[str, float]:
        """Return the figures `{name}_p50_ms`, and `{name}_p99_ms` if there are enough values for one."""
        figures = {f"{name}_p50_ms": self.p50_ms} if self.count else {}
        return {**figures, f"{name}_p99_ms": self.p99_ms} if self.count >= ENOUGH else figures


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRow:
    """Events to dashboards. `cores` has the processor time of each process by its part, in parts of the wall time.

    `offered` and `delivered` count an event once for each dashboard that wants it.
    """

    server: str
    fed_by: str
    dashboards: int
    load: Load
    coalescing_ms: int
    filters: int = 1
    stalled: int = 0
    offered: int
    delivered: int
    bytes: int
    cpu_seconds: float
    cores: dict[str, float]
    waited: float  # part of the wall time in which the server was able to run and had no processor
    late_ms: float | None
    telemetry: Latencies
    alarms: Latencies | None = None

    @property
    def judgement(self) -> Judgement:
        return judge(self.cores, [self.server], waited=self.waited, delivered=self.delivered / self.offered)

    @property
    def latencies(self) -> Latencies:
        """Return those of the alarms, where there are any."""
        return self.alarms or self.telemetry

    @property
    def per_cpu_second(self) -> float:
        """Return deliveries per second of the server's processor time."""
        return self.delivered / self.cpu_seconds

    def as_data(self) -> dict[str, Any]:
        return {**asdict(self), "judgement": asdict(self.judgement), "per_cpu_second": self.per_cpu_second}

    @property
    def audience(self) -> str:
        """Return what is offered to whom: rows with an equal one are compared."""
        text = f"{self.load.rate:,} events/s to {self.dashboards:,} dashboards"
        if self.filters > 1:
            text += f" with {self.filters} different filters"
        return f"{text}, {self.stalled} of them not reading" if self.stalled else text

    def cells(self) -> list[str]:
        """Return the row of the table under `DELIVERY_HEAD`."""
        latencies = {} if self.judgement.invalid else self.latencies.figures("event")
        percentiles = (latencies.get(f"event_{name}_ms") for name in ("p50", "p99"))
        cores = (self.cores.get(part) for part in (self.server, "reader", "publisher"))
        return [
            f"{self.coalescing_ms} ms",
            self.server,
            f"{self.per_cpu_second:,.0f}",
            *("-" if part is None else f"{part:.1f}" for part in percentiles),
            *("-" if part is None else f"{part:.2f}" for part in cores),
            f"{self.bytes / max(1, self.delivered):,.0f}",
            self.fed_by,
            ", ".join(filter(None, (f"{self.delivered / self.offered:.1%}", self.judgement.text))),
        ]


DELIVERY_HEAD: Final = [
    "wait", "server", "deliveries per CPU-second", "p50 ms", "p99 ms", "cores: server", "reader", "publisher",
    "bytes each", "fed by", "delivered",
]  # fmt: skip
"""The columns of `DeliveryRow.cells`; the latency is the alarms' where there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """Named figures of a measurement. `fed_by`: what feeds it; `note`: what limits it, or why there are none.

    `judgement`: None if nothing is measured but the process that does it.
    """

    name: str
    figures: dict[str, float]
    fed_by: str
    note: str = ""
    judgement: Judgement | None = None

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


Row = DeliveryRow | FigureRow
