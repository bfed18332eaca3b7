"""Rows of the benchmark: what was offered arrives and is counted, and what measures something else is marked."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from bridge.domain.topics import TopicFilter
from tests.bench.dashboards import AUDIENCES, DISTINCT, EVERYTHING, Audience
from tests.bench.delivery import Run, measure
from tests.bench.load import Load, stamped_batches, topics
from tests.bench.report import BEGIN, DOCUMENT, END, ratios, tables
from tests.bench.rows import DELIVERY_HEAD, DeliveryRow, FigureRow, Latencies

ROW = DeliveryRow(
    server="front",
    fed_by="committed batches in process",
    dashboards=100,
    load=Load(rate=1_000, seconds=5),
    coalescing_ms=10,
    offered=500_000,
    delivered=500_000,
    bytes=450_000_000,
    cpu_seconds=2.0,
    cores={"front": 0.9, "reader": 0.5},
    waited=0.0,
    late_ms=1.0,
    telemetry=Latencies(count=5_000, p50_ms=5.0, p90_ms=9.0, p99_ms=12.0, max_ms=20.0),
)


@pytest.mark.parametrize(
    ("server", "audience", "seconds"),
    [
        ("front", EVERYTHING, 3),
        ("front", DISTINCT, 1),
        ("mosquitto", DISTINCT, 1),
        ("textbook", EVERYTHING, 1),
        ("floor", EVERYTHING, 1),
    ],
)
async def test_each_dashboard_receives_exactly_what_was_offered(
    tmp_path: Path, server: str, audience: Audience, seconds: int
) -> None:
    load = Load(rate=100, seconds=seconds, alarms=server == "front")
    run = Run(
        server=server, load=load, dashboards=5, coalescing_ms=10, audience=audience, sampled=5,
        warms_up=False, grace_seconds=2.0,
    )  # fmt: skip
    row = await measure(run, tmp_path)
    assert row.delivered == row.offered
    assert not row.is_saturated
    alarms = 0 if row.alarms is None else row.alarms.count
    assert row.telemetry.count + alarms == row.delivered
    assert bool(alarms) == load.alarms
    assert row.bytes > 600 * row.delivered
    assert all(cores > 0 for cores in row.cores.values())
    assert (server == "mosquitto") == ("publisher" in row.cores)


def test_a_row_is_invalid_if_reader_or_publisher_take_most_of_a_core() -> None:
    assert ROW.invalid is None
    assert ROW.per_cpu_second == 250_000
    busy = replace(ROW, cores={"front": 0.9, "reader": 0.81})
    assert busy.invalid == "reader above 80% of a core"
    shown = dict(zip(DELIVERY_HEAD, busy.cells(), strict=True))
    assert (shown["p50 ms"], shown["p99 ms"]) == ("-", "-")
    assert replace(ROW, delivered=500_001).invalid == "more was delivered than offered"


def test_a_row_is_saturated_below_98_percent() -> None:
    assert not replace(ROW, delivered=490_000).is_saturated
    assert replace(ROW, delivered=489_999).is_saturated


def test_ratios_compare_rows_of_the_same_load() -> None:
    floor, unbatched = replace(ROW, server="floor", cpu_seconds=1.0), replace(ROW, server="floor", coalescing_ms=0)
    mosquitto = replace(ROW, server="mosquitto", coalescing_ms=0, cpu_seconds=8.0, cores={"mosquitto": 0.9})
    other = replace(ROW, server="textbook", load=Load(rate=5_000, seconds=5))
    (ratio,) = ratios([floor, unbatched, ROW, mosquitto, other])
    assert (ratio["floor"], ratio["mosquitto"], ratio["textbook"]) == (0.5, 4.0, None)
    assert ratio["p99_mosquitto"] == 1.0
    (late,) = ratios([replace(ROW, delivered=100), mosquitto])
    assert late["p99_mosquitto"] is None


@pytest.mark.parametrize("alarms", [False, True])
def test_the_topics_of_a_load_are_those_of_its_events(alarms: bool) -> None:  # noqa: FBT001 - a parameter
    load = Load(rate=3_700, seconds=2, alarms=alarms)
    events = [event for batch in stamped_batches(load, start=7) for event in batch.events]
    assert Counter(event.topic for event in events) == topics(load)
    assert [event.offset for event in events] == list(range(1, len(events) + 1))
    assert all(event.body.count(b"@mono:") == 1 for event in events)


@pytest.mark.parametrize("audience", AUDIENCES.values(), ids=lambda audience: audience.name)
def test_what_an_audience_wants_is_what_its_filters_match(audience: Audience) -> None:
    counts = dict(islice(topics(Load(rate=150, seconds=20, alarms=True)).items(), 0, None, 7))
    wanted = audience.wanted(counts)
    for number in range(0, len(wanted), 19):
        filters = [TopicFilter.parse(text) for text in audience.filters_of(number)]
        matching = sum(count for topic, count in counts.items() if any(each.matches(topic) for each in filters))
        assert wanted[number] == matching


def test_the_tables_have_all_rows_and_the_document_has_their_place() -> None:
    figures = [FigureRow(name=f"{size} lines", figures={"report_us": 1.5}) for size in (10, 1_000)]
    text = tables({"fan-out": [ROW], "lines": figures})
    assert "| 1,000/s to 100 | 10 ms | front | 250,000 | 5.0 | 12.0 |" in text
    assert "| report us | 1.5 | 1.5 |" in text
    document = DOCUMENT.read_text()
    assert document.index(BEGIN) < document.index(END)
