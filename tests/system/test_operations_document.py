"""docs/operations.md: its tables hold every metric there is, with labels and meaning, and its alerts name no other."""

import json
import re
from pathlib import Path
from urllib.request import urlopen

from bridge.adapters.web_metrics import MEANINGS
from bridge.core.messages import Publication
from tests.brokers import RunningBroker, until
from tests.command_line import ROOT
from tests.running_floor import RunningFloor
from tests.split_floor import split_floor

DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
ROW = re.compile(r"^\| `(floor_\w+)` \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)
SAMPLE = re.compile(r"^(floor_\w+)(?:\{([^}]*)\})? ", re.MULTILINE)
PLACE = "floor/v1/report/plant1/packing/L1/Bagger-1"


def full(name: str) -> str:
    return f"floor_{name}_total" if MEANINGS[name].kind == "counter" else f"floor_{name}"


def scrape(floor: RunningFloor) -> dict[str, set[str]]:
    """Return the labels of each metric."""
    with urlopen(f"http://127.0.0.1:{floor.port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    return {name: set(re.findall(r'(\w+)="', labels)) for name, labels in SAMPLE.findall(text)}


def counts(seq: int) -> Publication:
    return Publication(f"{PLACE}/counts", json.dumps({"total": seq, "boot_id": 1, "seq": seq}).encode())


async def test_every_metric_is_in_the_document_with_its_labels(mosquitto: RunningBroker, tmp_path: Path) -> None:
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels, _ in ROW.findall(DOCUMENT)}
    async with split_floor(tmp_path, mosquitto) as floor, floor.front.dashboard() as dashboard:
        await dashboard.snapshot(subscription_type="line")
        async with floor.pipeline.device() as link:
            unreadable = Publication(f"{PLACE}/state", b"x")
            jump = Publication(f"{PLACE}/counts", json.dumps({"total": 10**6, "boot_id": 1, "seq": 4}).encode())
            await link.publish_many([counts(0), counts(3), counts(3), jump, unreadable])
            await dashboard.until("production_update")
            await until(
                lambda: set(scrape(floor.pipeline) | scrape(floor.front)) >= set(documented), what="all of them"
            )
            shown = scrape(floor.pipeline) | scrape(floor.front)
    assert shown == documented


def test_the_meanings_of_the_document_are_the_help_texts() -> None:
    assert [(name, text) for name, _, text in ROW.findall(DOCUMENT)] == [
        (full(name), meaning.help) for name, meaning in MEANINGS.items()
    ]


def test_alerts_ask_for_metrics_that_there_are() -> None:
    asked = set(
        re.findall(r"\bfloor_\w+", re.sub(r"^## Every metric$.*", "", DOCUMENT, flags=re.DOTALL | re.MULTILINE))
    )
    assert asked
    assert asked <= {full(name) for name in MEANINGS}
