"""Rows of the benchmark: what was offered, what came, what it took, and whether the figures may be used."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from tests.bench.load import Load

BUSY: Final = 0.8  # of a core: above it, the reader or the publisher is what is measured
BUSY_MACHINE: Final = 0.1  # of the time without a processor: the row says so, for others make it slower
COMPLETE: Final = 0.98  # of what was offered: below it, the server is saturated
IN_PROCESS: Final = "committed batches in process"
END_TO_END: Final = "MQTT end to end"


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of a reader's sample, in ms, from the time an event is due to its receipt; each at most 1 % too high."""

    count: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


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
    def is_saturated(self) -> bool:
        return self.delivered < COMPLETE * self.offered

    @property
    def invalid(self) -> str | None:
        """Return why this row measures something else than the server; None if it does not."""
        if self.delivered > self.offered:
            return "more was delivered than offered"
        busy = [part for part, cores in self.cores.items() if part != self.server and cores > BUSY]
        return f"{' and '.join(busy)} above {BUSY:.0%} of a core" if busy else None

    @property
    def latencies(self) -> Latencies:
        """Return those of the alarms, where there are any."""
        return self.alarms or self.telemetry

    @property
    def per_cpu_second(self) -> float:
        """Return deliveries per second of the server's processor time."""
        return self.delivered / self.cpu_seconds

    def as_data(self) -> dict[str, Any]:
        computed = {"saturated": self.is_saturated, "invalid": self.invalid, "per_cpu_second": self.per_cpu_second}
        return {**asdict(self), **computed}

    @property
    def audience(self) -> str:
        """Return what is offered to whom: rows with an equal one are compared."""
        text = f"{self.load.rate:,} events/s to {self.dashboards:,} dashboards"
        if self.filters > 1:
            text += f" with {self.filters} different filters"
        return f"{text}, {self.stalled} of them not reading" if self.stalled else text

    @property
    def quality(self) -> str:
        """Return `invalid`, `saturated`, or nothing for a row that has no such fault."""
        return "invalid" if self.invalid else "saturated" if self.is_saturated else ""

    def cells(self) -> list[str]:
        """Return the row of the table under `DELIVERY_HEAD`."""
        percentiles = ["-", "-"] if self.invalid else [f"{self.latencies.p50_ms:.1f}", f"{self.latencies.p99_ms:.1f}"]
        cores = (self.cores.get(part) for part in (self.server, "reader", "publisher"))
        state = f"{self.delivered / self.offered:.1%}"
        if self.quality:
            state += f" {self.quality}" + (f": {self.invalid}" if self.invalid else "")
        if self.waited > BUSY_MACHINE:
            state += f", waited {self.waited:.0%}"
        return [
            f"{self.coalescing_ms} ms",
            self.server,
            f"{self.per_cpu_second:,.0f}",
            *percentiles,
            *("-" if part is None else f"{part:.2f}" for part in cores),
            f"{self.bytes / max(1, self.delivered):,.0f}",
            self.fed_by,
            state,
        ]


DELIVERY_HEAD: Final = [
    "wait", "server", "deliveries per CPU-second", "p50 ms", "p99 ms", "cores: server", "reader", "publisher",
    "bytes each", "fed by", "delivered",
]  # fmt: skip
"""The columns of `DeliveryRow.cells`; the latency is the alarms' where there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureRow:
    """Named figures of a measurement. `fed_by`: what feeds a front; `note`: what limits it, or why there are none."""

    name: str
    figures: dict[str, float]
    fed_by: str = ""
    note: str = ""

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


Row = DeliveryRow | FigureRow
