"""A floor where something of every kind is going on, for all tests of a module."""

import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import mosquitto_broker, running
from tests.support.socket_dashboard import dashboard

REPORTS: list[tuple[str, dict[str, Any]]] = [
    ("{machine}/state", {"state": "running", "speed": 50}),
    ("{machine}/counts", {"total": 100, "good": 100, "reject": 0}),
    ("{machine}/counts", {"total": 105, "good": 104, "reject": 1}),
    (
        "{station}/job",
        {"action": "assign", "job_id": "{line}-eva", "product": "p", "target_quantity": 5, "assigned_to": "eva"},
    ),
    (
        "{station}/job",
        {"action": "assign", "job_id": "{line}-olga", "product": "p", "target_quantity": 5, "assigned_to": "olga"},
    ),
    ("{station}/andon", {"action": "raise", "andon_type": "equipment", "operator": "cem"}),
    ("{station}/andon", {"action": "raise", "andon_type": "material", "operator": "cem"}),
    ("{machine}/measurement", {"parameter": "{parameter}", "value": 900.0, "unit": "{unit}"}),
    ("{station}/changeover", {"action": "start", "to_product": "other"}),
    ("{machine}/state", {"state": "stopped"}),
]
ENVIRONMENT = {
    "FLOOR_TIME__SCALE": "60",
    "FLOOR_TOKEN__TRUST_GRANTS_CLAIM": "true",
    "FLOOR_WEB__MAX_COMMANDS_PER_SECOND": "1000",  # tests compare the answers to many
}
LINES = [
    {
        "line": "L1", "at": "packing/L1", "machine": "Bagger-1", "station": "Andon-L1",
        "parameter": "fill-weight", "unit": "g",
    },
    {
        "line": "L3", "at": "assembly/L3", "machine": "Tester-3", "station": "Andon-L3-End",
        "parameter": "test-pressure", "unit": "bar",
    },
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def busy_bridge() -> AsyncIterator[BridgeProcess]:
    """Run a floor sixty times as fast, with something current in every category at L1 and at L3."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running(mosquitto_broker(folder)) as broker:
            async with bridge_process(folder, broker, environment=ENVIRONMENT) as bridge:
                await _keep_busy(bridge)
                yield bridge


async def _keep_busy(bridge: BridgeProcess) -> None:
    async with dashboard(bridge.port) as board, bridge.device() as device:
        await board.snapshot(subscription_type="line")
        for line in LINES:
            for path, fields in REPORTS:
                body = {
                    key: field_name.format(**line) if isinstance(field_name, str) else field_name
                    for key, field_name in fields.items()
                }
                topic = f"floor/v1/report/plant1/{line['at']}/{path.format(**line)}"
                await device.publish(topic, json.dumps(body).encode())
        missing = {(line["line"], category) for line in LINES for category in ("downtime", "oee", "escalation")}
        while missing:
            event = await board.receive_event()
            missing.discard((event["line_id"], event["category"]))
