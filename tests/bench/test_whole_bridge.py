"""The benchmark of the whole bridge: each dashboard gets what was committed, once, and each press has a latency."""

from pathlib import Path

import pytest

from tests.bench.rows import END_TO_END
from tests.bench.whole_bridge import PROBED_RATES, WholeLoad, interpolated_rate, measure_whole_bridge


@pytest.mark.parametrize("fronts", [None, 1])
async def test_what_is_reported_comes_to_each_dashboard_once(tmp_path: Path, fronts: int | None) -> None:
    """`measure_whole_bridge` itself compares the numbers at the end."""
    load = WholeLoad(rate=100, seconds=3, dashboards=3, fronts=fronts, lines=20)
    row = await measure_whole_bridge(tmp_path, load)
    parts = {"bridge"} if fronts is None else {"pipeline", "front"}
    cores = {name.removesuffix("_cores") for name in row.figures if name.endswith("_cores")}
    assert cores == parts | {"broker", "reader", "publishers"}
    assert all(value > 0 for name, value in row.figures.items() if name not in {"waited", "conflated_part"})
    assert row.fed_by == END_TO_END
    assert row.figures["presses"] == load.presses


def test_half_load_is_interpolated_between_two_rates() -> None:
    assert interpolated_rate((0.4, 0.6)) == 141
    assert interpolated_rate((0.5, 0.9)) == interpolated_rate((0.7, 0.9)) == PROBED_RATES[0]
    assert interpolated_rate((0.2, 0.5)) == PROBED_RATES[1]
    assert interpolated_rate((0.1, 0.3)) == 750
    assert interpolated_rate((0.4, 0.4)) > PROBED_RATES[1]
