"""Reports through Node-RED: an equivalent flow without durability, beside the pipeline of `ingest.py`.

mqtt in (QoS 1) -> json -> a function that keeps a state for each line -> for one report of four an event -> mqtt out
(QoS 1). Nothing is stored: what Node-RED has acknowledged and not published yet is lost when it ends.
"""

import asyncio
import json
import time
from itertools import islice
from pathlib import Path
from typing import Any, Final

from tests.bench.ingest import FIRST_SECONDS, ROOT, WINDOW, IngestLoad, ingest_reports
from tests.bench.judgement import COMPLETE, judge
from tests.bench.npm import installed_modules
from tests.bench.processes import Talking, compile_program, cpu_seconds, talking, waiting_seconds, write_records
from tests.bench.rows import END_TO_END, FigureRow
from tests.support.brokers import RunningBroker, mosquitto_broker, running

NODE_RED_VERSION: Final = "4.1.8"
PROGRAMS: Final = Path(__file__).parent / "servers" / "node_red"
REPORTS_OF_AN_EVENT: Final = 4
LOAD: Final = IngestLoad(rate=12_000)
START_SECONDS: Final = 60.0
ON_THE_FLOW: Final = {"z": "flow", "x": 0, "y": 0}  # a node without a place is a configuration
SUBSCRIBING_SECONDS: Final = 0.5
LOOK_SECONDS: Final = 0.1
QUIET_SECONDS: Final = 1.0


async def measure_node_red(folder: Path, load: IngestLoad = LOAD) -> FigureRow:
    """Run a broker, Node-RED and a publisher; raise NotInstalled, or AssertionError if events are missing.

    A rate above what Node-RED can do measures that; the broker queues the rest.
    """
    modules = await asyncio.to_thread(installed_modules, "node-red", NODE_RED_VERSION)
    total = load.rate * load.seconds
    messages = islice(ingest_reports(load.lines), total)
    parts = (part for topic, payload in messages for part in (f"{ROOT}/{topic}".encode(), payload))
    records, program = write_records(folder / "reports", parts), compile_program("publish", folder)
    (folder / "flows.json").write_text(json.dumps(_flow()))
    with running(mosquitto_broker(folder)) as broker:
        command = (
            "env", f"BROKER_PORT={broker.port}", "NO_UPDATE_NOTIFIER=1", "node", modules / "node-red" / "red.js",
            "--userDir", folder, "--settings", PROGRAMS / "settings.js",
        )  # fmt: skip
        async with talking(*command) as node_red:
            await _until(node_red, "connected", 1)
            await asyncio.sleep(SUBSCRIBING_SECONDS)
            start = time.monotonic_ns() + 200_000_000
            numbers = map(str, (load.rate, WINDOW, start))
            async with talking(program, str(broker.port), records, *numbers) as publisher:
                pids = {"node_red": node_red.pid, "broker": _pid(broker)}
                await asyncio.sleep((start - time.monotonic_ns()) / 1e9 + FIRST_SECONDS)
                began, waited = time.monotonic(), waiting_seconds(node_red.pid)
                cpu = {part: cpu_seconds(pid) for part, pid in pids.items()}
                before = await node_red.ask("progress")
                await asyncio.sleep((start - time.monotonic_ns()) / 1e9 + load.seconds)
                wall, waited = time.monotonic() - began, waiting_seconds(node_red.pid) - waited
                cpu = {part: cpu_seconds(pid) - cpu[part] for part, pid in pids.items()}
                after = await node_red.ask("progress")
                published = await publisher.answer()
            last = await _drained(node_red, total)
    if last["reports"] == total:
        assert last["events"] == total // load.lines // REPORTS_OF_AN_EVENT * load.lines, last
    seconds, reports = after["at"] - before["at"], after["reports"] - before["reports"]
    cores = {part: taken / wall for part, taken in cpu.items()}
    cores["publisher"] = published["cpu_seconds"] / published["seconds"]
    figures = {
        "reports_per_second": reports / seconds,
        "reports_per_cpu_second": reports / (after["cpu_seconds"] - before["cpu_seconds"]),
        "events_per_report": (after["events"] - before["events"]) / reports,
        **{f"{part}_cores": taken for part, taken in cores.items()},
        "waited": waited / wall,
    }
    facts = []
    if reports / seconds > COMPLETE * load.rate:
        facts.append("limit: the offered rate")
    if lost := total - last["reports"]:
        facts.append(f"{lost:,} of {total:,} reports lost, with the broker's connection")
    return FigureRow(
        name=f"Node-RED {NODE_RED_VERSION}, nothing stored",
        figures=figures,
        fed_by=END_TO_END,
        note="; ".join(facts),
        judgement=judge(cores, ["node_red"], waited=waited / wall),
    )


async def _until(node_red: Talking, name: str, value: int) -> Any:
    """Wait until a count of Node-RED has reached a value; return its progress."""
    deadline = time.monotonic() + START_SECONDS
    while (progress := await node_red.ask("progress"))[name] < value:
        assert time.monotonic() < deadline, progress
        await asyncio.sleep(LOOK_SECONDS)
    return progress


async def _drained(node_red: Talking, total: int) -> Any:
    """Wait until all reports are there, or none comes any more; return the progress."""
    before, progress = -1, await node_red.ask("progress")
    while before != progress["reports"] < total:
        await asyncio.sleep(QUIET_SECONDS)
        before, progress = progress["reports"], await node_red.ask("progress")
    return progress


def _pid(broker: RunningBroker) -> int:
    assert broker.process is not None
    return broker.process.pid


def _flow() -> list[dict[str, Any]]:
    broker = {
        "id": "broker", "type": "mqtt-broker", "broker": "127.0.0.1", "port": "${BROKER_PORT}", "clientid": "node-red",
        "autoConnect": True, "usetls": False, "protocolVersion": "4", "keepalive": "60", "cleansession": True,
        "autoUnsubscribe": True,
    }  # fmt: skip
    connected = "global.get('counted').connected = msg.status.fill === 'green';"
    nodes = [
        {
            "id": "in", "type": "mqtt in", "topic": f"{ROOT}/report/#", "qos": "1", "datatype": "utf8",
            "broker": "broker", "nl": False, "rap": True, "rh": 0, "inputs": 0, "wires": [["json"]],
        },
        {"id": "json", "type": "json", "property": "payload", "action": "", "pretty": False, "wires": [["line"]]},
        _function("line", (PROGRAMS / "line_state.js").read_text(), [["out"]]),
        {
            "id": "out", "type": "mqtt out", "topic": "", "qos": "1", "retain": "false", "broker": "broker",
            "wires": [],
        },
        {"id": "status", "type": "status", "scope": ["in"], "wires": [["connected"]]},
        _function("connected", connected, []),
    ]  # fmt: skip
    return [{"id": "flow", "type": "tab", "label": "lines"}, broker, *({**node, **ON_THE_FLOW} for node in nodes)]


def _function(name: str, code: str, wires: list[list[str]]) -> dict[str, Any]:
    return {
        "id": name, "type": "function", "func": code, "outputs": len(wires), "timeout": 0, "noerr": 0,
        "initialize": "", "finalize": "", "libs": [], "wires": wires,
    }  # fmt: skip
