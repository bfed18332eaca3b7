"""Fan-out rows: all events to all dashboards, or distinct filters, by each server in turn so that ratios hold."""

from collections.abc import Iterator
from typing import Final

from tests.bench.dashboards import DISTINCT, EVERYTHING, Audience
from tests.bench.delivery import Run
from tests.bench.load import Load

SECONDS: Final = {1_000: 3, 5_000: 2}
QUICK_SECONDS: Final = 2
BESIDE: Final = {0: "floor front mosquitto textbook", 10: "floor front", 50: "floor front"}
"""Servers by the `wait` of the front and of the floor."""


def fanout_runs(*, quick: bool) -> Iterator[Run]:
    """Yield the runs of one table; those of equal load and waiting time are side by side."""
    if quick:
        yield from _group(1_000, 100, {0: "front mosquitto", 10: "floor front"}, seconds=QUICK_SECONDS)
        return
    for dashboards, more in ((100, " ws"), (400, "")):
        for rate in (1_000, 5_000):
            yield from _group(rate, dashboards, {**BESIDE, 0: BESIDE[0] + more})
    yield from _group(1_000, 100, {0: "front mosquitto", 10: "front", 50: "front"}, audience=DISTINCT)


def _group(
    rate: int, dashboards: int, servers: dict[int, str], *, seconds: int | None = None, audience: Audience = EVERYTHING
) -> Iterator[Run]:
    load = Load(rate=rate, seconds=seconds or SECONDS[rate])
    for coalescing_ms, names in servers.items():
        for server in names.split():
            yield Run(server=server, load=load, dashboards=dashboards, coalescing_ms=coalescing_ms, audience=audience)
