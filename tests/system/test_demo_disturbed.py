"""The demo under a profile of disturbances."""

import json
from pathlib import Path

from tests.system.demo_process import demo, watch
from tests.system.test_demo import snapshot

CUTS = """
[[disturbances]]
kind = "bridge-cut"
first_minutes = 2
seconds = [60, 60]

[[disturbances]]
kind = "broker-cut"
first_minutes = 5
seconds = [60, 60]

[[disturbances]]
kind = "leftovers"
devices = ["Bagger-1"]
"""


async def test_a_disturbed_demo_cuts_bridge_and_broker_and_continues(tmp_path: Path) -> None:
    (tmp_path / "cuts.toml").write_text(CUTS)
    async with demo(tmp_path, "--disturb", "cuts.toml", "--scale", "60") as running:
        await running.until(r"faults\s+cuts.toml.*truth\.jsonl.*stop\s+Ctrl-C")
        await running.until(r"bridge: power cut for 1\.0 s.*the bridge runs again")
        await running.until(r"broker: power cut for 1\.0 s.*the broker runs again")
        last = max(frame.get("offset", 0) for frame in await snapshot(running))
        await watch(running.port, running.token, lambda frame: frame.get("offset", 0) > last, seconds=60)
        assert await running.stop() == 0
    truth = [json.loads(line) for line in (tmp_path / ".floor" / "demo" / "truth.jsonl").read_text().splitlines()]
    assert [(record["reason"], record["broker"]) for record in truth if record["truth"] == "bridge"] == [
        ("crash", False),
        ("link", True),
    ]


async def test_an_unknown_profile_is_reported_with_the_known_ones(tmp_path: Path) -> None:
    async with demo(tmp_path, "--disturb", "wfi") as running:
        await running.until(r"unknown profile or file: wfi; did you mean wifi\?\s+known: clean, wifi")
        assert await running.end() == 1
