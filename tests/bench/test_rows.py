"""Rows of the benchmark: what was offered arrives and is counted, and what measures something else is marked."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from bridge.domain.topics import TopicFilter
from tests.bench.dashboards import AUDIENCES, DISTINCT, EVERYTHING, Audience
from tests.bench.delivery import Run, measure
from tests.bench.judgement import Judgement
from tests.bench.load import Load, stamped_batches, topics
from tests.bench.ratios import RATIO_HEAD, compare
from tests.bench.report import BEGIN, DOCUMENT, END, figure_cells, tables
from tests.bench.rows import DELIVERY_HEAD, IN_PROCESS, DeliveryRow, FigureRow, Latencies, Row
from tests.bench.screen import Screen

ROW = DeliveryRow(
    server="front",
    fed_by=IN_PROCESS,
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
    assert row.judgement.is_comparable
    alarms = 0 if row.alarms is None else row.alarms.count
    assert row.telemetry.count + alarms == row.delivered
    assert bool(alarms) == load.alarms
    assert row.bytes > 600 * row.delivered
    assert all(cores > 0 for cores in row.cores.values())
    assert (server == "mosquitto") == ("publisher" in row.cores)


async def test_a_stalled_dashboard_is_behind_and_the_others_receive_everything(tmp_path: Path) -> None:
    """`measure` itself asks the front how many are behind."""
    load = Load(rate=100, seconds=1, alarms=True)
    run = Run(server="front", load=load, dashboards=5, audience=DISTINCT, stalled=2, sampled=5, grace_seconds=2.0)
    row = await measure(run, tmp_path)
    assert row.delivered == row.offered
    assert row.judgement.is_comparable


def test_an_invalid_row_has_no_latency() -> None:
    assert ROW.judgement == Judgement()
    assert ROW.per_cpu_second == 250_000
    busy = replace(ROW, cores={"front": 0.9, "reader": 0.81})
    shown = dict(zip(DELIVERY_HEAD, busy.cells(), strict=True))
    assert (shown["p50 ms"], shown["p99 ms"]) == ("-", "-")
    assert shown["delivered"] == "100.0%, invalid: reader above 80% of a core"


def test_a_row_of_few_values_has_no_p99() -> None:
    few = replace(ROW, telemetry=replace(ROW.telemetry, count=99))
    shown = dict(zip(DELIVERY_HEAD, few.cells(), strict=True))
    assert (shown["p50 ms"], shown["p99 ms"]) == ("5.0", "-")


def test_a_row_says_that_its_server_was_at_its_limit_and_waited() -> None:
    full = replace(ROW, cores={"front": 0.96}, waited=0.12)
    assert full.cells()[-1] == "100.0%, saturated: front above 95% of a core, waited 12%"
    late = replace(ROW, delivered=480_000)
    assert late.cells()[-1] == "96.0%, saturated: 96.0% delivered"


def test_ratios_compare_rows_of_the_same_load() -> None:
    floor = replace(ROW, server="floor", cpu_seconds=1.0, cores={"floor": 0.9})
    unbatched = replace(floor, coalescing_ms=0)
    mosquitto = replace(ROW, server="mosquitto", coalescing_ms=0, cpu_seconds=8.0, cores={"mosquitto": 0.9})
    other = replace(ROW, server="textbook", load=Load(rate=5_000, seconds=5))
    (ratio,) = compare([floor, unbatched, ROW, mosquitto, other])
    assert ratio.times == {"floor": 0.5, "mosquitto": 4.0}
    assert ratio.p99_times == 1.0
    assert ratio.faults == {}
    assert ratio.cells() == ["10 ms", "0.50", "4.00", "-", "-", "1.00"]


def test_a_ratio_names_the_server_whose_row_is_saturated_or_invalid() -> None:
    late = replace(ROW, server="mosquitto", coalescing_ms=0, delivered=100, cores={}, waited=0.2)
    floor = replace(ROW, server="floor", cores={"reader": 0.9})
    (ratio,) = compare([floor, ROW, late])
    assert ratio.faults == {"floor": "invalid", "mosquitto": "saturated, waited"}
    assert ratio.p99_times is None
    shown = dict(zip(RATIO_HEAD, ratio.cells(), strict=True))
    assert shown["of the floor"] == "1.00 (invalid)"
    assert shown["times Mosquitto"] == "5000.00 (saturated, waited)"
    assert shown["p99, times Mosquitto's"] == "-"
    (ratio,) = compare([ROW, replace(ROW, server="mosquitto", cores={}, waited=0.2)])
    assert ratio.cells()[-1] == "1.00 (waited)"


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
    figures = [FigureRow(name=f"{size} lines", figures={"report_us": 1.5}, fed_by="reports") for size in (10, 1_000)]
    missing = FigureRow(name="peer", figures={}, fed_by=IN_PROCESS, note="not measured")
    text = tables({"fan-out": [ROW, replace(ROW, server="floor")], "lines": [*figures, missing]}, seconds=90)
    assert "**1,000 events/s to 100 dashboards**\n\n| wait |" in text
    assert "| 10 ms | front | 250,000 | 5.0 | 12.0 | 0.90 | 0.50 | - | 900 | committed batches in process |" in text
    assert "|  | 10 lines | 1000 lines |\n" in text
    assert "| report us | 1.5 | 1.5 |" in text
    assert "- peer: not measured" in text
    assert "1.5 minutes" in text
    document = DOCUMENT.read_text()
    assert document.index(BEGIN) < document.index(END)


def test_figures_that_only_some_rows_have_stand_where_these_have_them() -> None:
    rows = [
        FigureRow(name=name, figures=dict.fromkeys(figures, 1.5), fed_by="reports", judgement=judgement)
        for name, figures, judgement in (("x", "ac", None), ("y", "abcd", Judgement(saturated="late")))
    ]
    head, cells = figure_cells(rows)
    assert head == ["", "x", "y"]
    assert cells == [
        ["a", "1.5", "1.5"],
        ["b", "-", "1.5"],
        ["c", "1.5", "1.5"],
        ["d", "-", "1.5"],
        ["fed by", "reports", "reports"],
        ["marks", "-", "saturated: late"],
    ]


def test_the_screen_shows_each_row_and_what_follows_from_them(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    rows: list[Row] = [
        ROW,
        replace(ROW, server="floor", cores={}),
        FigureRow(name="10 lines", figures={"report_us": 1.5}, fed_by=IN_PROCESS),
        FigureRow(name="peer", figures={}, fed_by=IN_PROCESS, note="not measured: no npm"),
    ]
    screen.begin("lines", seconds=61)
    for row in rows:
        screen.row(row, seconds=3)
    screen.end(rows)
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert shown[1][-4:] == ["1", "min", "01", "s"]
    assert [line[:3] for line in shown].count(["10", "ms", "front"]) == 1
    assert [line[:2] for line in shown].count(["wait", "server"]) == 1
    assert ["10", "ms", "1.00", "-", "-", "-", "-"] in shown
    assert ["10", "lines:", "measured", "in", "3", "s"] in shown
    assert ["report", "us", "1.5"] in shown
    assert ["fed", "by", *IN_PROCESS.split()] in shown
    assert ["peer:", "not", "measured:", "no", "npm"] in shown
