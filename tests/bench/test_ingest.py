"""The benchmark of the intake: every report is committed, every event published, and the limit is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.ingest import IngestLoad, Reader, measure_ingest


@pytest.mark.parametrize(("durable", "reader"), [(True, "one-pass"), (False, "one-pass"), (True, "paho")])
async def test_all_that_is_published_is_committed_and_its_events_are_published(
    tmp_path: Path, *, durable: bool, reader: Reader
) -> None:
    """`measure_ingest` itself compares the numbers at the end."""
    row = await measure_ingest(tmp_path, IngestLoad(rate=100, seconds=3, lines=5), durable=durable, reader=reader)
    assert 0 < row.reports <= 300
    assert row.events > 0
    assert all(cores > 0 for cores in row.cores.values())
    busy = replace(row, cores={**row.cores, "broker": 0.9})
    assert busy.judgement.invalid == busy.limit == "broker above 80% of a core"
    assert not {name for name in busy.as_figures().figures if name.startswith("commit_p")}
