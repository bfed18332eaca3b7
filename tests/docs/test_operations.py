"""docs/operations.md: its tables hold every metric there is, with labels and meaning, and its alerts name no other."""

import json
import re
from pathlib import Path

from bridge.domain.line.andon.contacts import IGNORED_READINGS
from bridge.domain.line.device.ineffective import INEFFECTIVE_REASONS, NEUTRAL_REASONS
from bridge.domain.messages import Publication
from bridge.ports.metrics import Metric
from bridge.wiring.broker_monitor import BEING_PROBED, REASONS, UNFINISHED
from bridge.wiring.link_watch import CONTESTED
from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker, until
from tests.support.command_line import ROOT

DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
ROW = re.compile(r"^\| `(floor_\w+)` \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
SAMPLE = re.compile(r"^(floor_\w+)(?:\{([^}]*)\})? ", re.MULTILINE)
(ALERTS,) = re.findall(r"^## Alerts\n(.*?)^## ", DOCUMENT, re.MULTILINE | re.DOTALL)
PLACE = "floor/v1/report/plant1/packing/L1/Bagger-1"


def full_name(metric: Metric) -> str:
    name = f"floor_{metric.name.lower()}"
    return f"{name}_total" if metric.value.kind == "counter" else name


def scrape(bridge: BridgeProcess) -> dict[str, set[str]]:
    """Return the labels of each metric."""
    return {name: set(re.findall(r'(\w+)="', labels)) for name, labels in SAMPLE.findall(bridge.metrics())}


def counts(seq: int) -> Publication:
    return Publication(f"{PLACE}/counts", json.dumps({"total": seq, "boot_id": 1, "seq": seq}).encode())


def test_the_reasons_of_the_probe_are_in_the_document() -> None:
    for reason in (*REASONS.values(), BEING_PROBED, UNFINISHED, CONTESTED):
        assert f"`{reason}`" in DOCUMENT, reason


async def test_every_metric_is_in_the_document_with_its_labels(mosquitto: RunningBroker, tmp_path: Path) -> None:
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels, _ in ROW.findall(DOCUMENT)}
    probing = {"FLOOR_BROKER__PROBE": "open"}
    async with (
        bridge_process(tmp_path, mosquitto, environment=probing, fronts=1) as bridge,
        bridge.front.dashboard() as dashboard,
    ):
        await dashboard.snapshot(subscription_type="line")
        async with bridge.device() as link:
            unreadable = Publication(f"{PLACE}/state", b"x")
            jump = Publication(f"{PLACE}/counts", json.dumps({"total": 10**6, "boot_id": 1, "seq": 4}).encode())
            await link.publish_many([counts(0), counts(3), counts(3), jump, unreadable])
            await dashboard.receive("production_update")
            await until(lambda: set(scrape(bridge) | scrape(bridge.front)) >= set(documented), what="all of them")
            scraped = scrape(bridge) | scrape(bridge.front)
    assert scraped == documented


def test_the_table_of_the_document_has_the_definitions() -> None:
    assert [(name, re.findall(r"`(\w+)`", labels), text) for name, labels, text in ROW.findall(DOCUMENT)] == [
        (full_name(metric), list(metric.value.labels), metric.value.help) for metric in Metric
    ]


def test_alerts_fire_on_the_first_occurrence() -> None:
    """A counter with the labels of a line is not there before its first: `increase()` would not see that one."""
    alerts = re.findall(r"^\| `(.*floor_.*)` \| [^|]* \| [^|]* \|$", ALERTS, re.MULTILINE)
    late = {full_name(metric) for metric in Metric if metric.value.kind == "counter" and "line" in metric.value.labels}
    late.add("floor_pipeline_quarantined_total")
    about = {name: [alert for alert in alerts if name in alert] for name in late}
    assert {name for name, firing in about.items() if firing} >= {
        *("floor_missing_reports_total", "floor_unplaced_reports_total", "floor_pieces_refused_total"),
        "floor_pipeline_quarantined_total",
    }
    for name, firing in about.items():
        for alert in firing:
            absent = f"sum({name} offset" in alert and "or vector(0))" in alert
            assert absent or f"or 0 * {name})" in alert, alert


def test_every_event_of_the_log_that_is_named_is_logged_at_that_level() -> None:
    (table,) = re.findall(r"^## In the log\n(.*?)^## ", DOCUMENT, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| `([a-z_.]+)` \| (\w+) \|", table, re.MULTILINE)
    code = "".join(path.read_text() for path in (ROOT / "bridge").rglob("*.py"))
    logged = re.findall(r'log\.(\w+)\(\s*"([a-z_.]+)"', code)
    assert len(rows) > 12
    for event, level in rows:
        levels = {"error" if how == "exception" else how for how, logged_event in logged if logged_event == event}
        assert levels == {level}, event


async def test_every_event_that_a_start_logs_is_named(mosquitto: RunningBroker, tmp_path: Path) -> None:
    async with bridge_process(tmp_path, mosquitto, environment={"FLOOR_BROKER__PROBE": "open"}) as bridge:
        await until(lambda: "publisher.audited" in bridge.log(), what="the last of them")
        logged = set(re.findall(r"^\S+ \[\w+ *\] ([a-z_.]+)", bridge.log(), re.MULTILINE))
    assert {"floor.restored", "plant.changed", "broker.connected", "bridge.started"} <= logged
    assert logged <= set(re.findall(r"^\| `([a-z_.]+)` \|", DOCUMENT, re.MULTILINE))


def test_every_event_that_the_web_server_or_a_front_logs_is_named() -> None:
    code = "".join(path.read_text() for part in ("front", "http") for path in (ROOT / "bridge" / part).rglob("*.py"))
    logged = set(re.findall(r'log\.\w+\(\s*"([a-z_.]+)"', code))
    assert len(logged) > 10
    assert logged <= set(re.findall(r"^\| `([a-z_.]+)` \|", DOCUMENT, re.MULTILINE))


def test_the_reasons_of_suppressed_reports_are_those_of_the_code() -> None:
    (table,) = re.findall(r"^## Suppressed reports\n(.*)", DOCUMENT, re.MULTILINE | re.DOTALL)
    named = [
        name for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    code = "".join(path.read_text() for path in (ROOT / "bridge" / "domain").rglob("*.py"))
    reported = set(re.findall(r'(?:suppressed|rejected)\(\s*"(\w+)"', code)) | {
        reading.value for reading in IGNORED_READINGS
    }
    assert len(named) == len(set(named))
    assert set(named) == reported


def test_the_reasons_that_make_a_device_ineffective_are_those_of_the_code() -> None:
    (reasons,) = re.findall(r"^A device that has nothing but (.*?) and quarantined", DOCUMENT, re.MULTILINE)
    (neutral,) = re.findall(r"^(`retained`.*) say nothing about it", DOCUMENT, re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", reasons)) == INEFFECTIVE_REASONS
    assert set(re.findall(r"`(\w+)`", neutral)) == NEUTRAL_REASONS


def test_alerts_ask_for_metrics_that_there_are() -> None:
    queried = set(
        re.findall(r"\bfloor_\w+", re.sub(r"^## Every metric$.*", "", DOCUMENT, flags=re.DOTALL | re.MULTILINE))
    )
    assert queried
    assert queried <= {full_name(metric) for metric in Metric}
