"""A bridge beside the Mosquitto that ships, whose rules are changed while both run."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from bridge.mqtt.probe_result import ProbeCheck
from bridge.wiring.broker_monitor import REASONS
from tests.support.bridge_process import BridgeProcess, bridge_process, configured
from tests.support.brokers import RunningBroker, running, until
from tests.support.command_line import floor
from tests.support.shipped_mosquitto import ShippedMosquitto, shipped_mosquitto

ONLY_ITS_OWN = "pattern write floor/v1/report/%u/#"
SECONDS = 60.0
INPUTS = re.compile(
    r'^floor_pipeline_(received|suppressed|applied|quarantined)_total\{kind="(\w+)"[^}]*\} (\S+)$', re.MULTILINE
)


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[ShippedMosquitto]:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    mosquitto = shipped_mosquitto(folder)
    with running(mosquitto.broker):
        yield mosquitto


def settings(shipped: ShippedMosquitto) -> dict[str, str]:
    values = {
        **shipped.users(),
        "port": shipped.ports["services"],
        "tls": "true",
        "ca_file": shipped.secrets / "ca.crt",
        "probe": "strict",
        "probe_seconds": 5,
    }
    return {f"FLOOR_BROKER__{name.upper()}": str(value) for name, value in values.items()}


@pytest_asyncio.fixture
async def bridge(tmp_path: Path, shipped: ShippedMosquitto) -> AsyncIterator[BridgeProcess]:
    async with bridge_process(tmp_path, shipped.broker, environment=settings(shipped)) as process:
        yield process


def write_rules(shipped: ShippedMosquitto, file: str, text: str) -> None:
    (shipped.folder / "config" / file).write_text(text)
    shipped.broker.send(signal.SIGHUP)


async def is_live(bridge: BridgeProcess) -> bool:
    """Return whether a board that connects now shows the floor as live."""
    async with bridge.dashboard() as board:
        link = await board.receive("link")
        return bool(link["streams"]["main"]["live"])


async def checked(folder: Path, shipped: ShippedMosquitto, *, fails: bool) -> str:
    """Run `floor check` until it fails or passes; one probe may meet another, which has its canary's client id."""
    async with asyncio.timeout(SECONDS):
        while True:
            ended = await asyncio.to_thread(floor, folder, "check", **settings(shipped))
            if ended.returncode == fails:
                return ended.stdout


def assert_no_effect(bridge: BridgeProcess) -> None:
    """Check that what has arrived is the probe's alone, is accounted for, and has no effect."""
    effects = dict.fromkeys(("received", "suppressed", "applied", "quarantined"), 0.0)
    for effect, kind, count in INPUTS.findall(bridge.metrics()):
        if kind == "probe" or effect == "quarantined":
            effects[effect] += float(count)
    assert effects["received"] == effects["suppressed"] > 0
    assert effects["applied"] == effects["quarantined"] == 0
    assert "device_ineffective" not in bridge.log()


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the rules in a file, and what it costs. Without `old`, they are replaced."""

    file: str
    old: str | None
    new: str
    check: ProbeCheck
    live: bool  # whether boards stay live


CHANGES = {
    "the bridge reads no reports": (
        Change("acl.services", "topic read floor/v1/report/#", "", ProbeCheck.REPORT, live=False),
    ),
    "no rules": (Change("acl.services", None, "", ProbeCheck.OWN_RIGHTS, live=False),),
    "devices may everything at a site of the plant, or read its events": (
        Change(
            *("acl.devices", ONLY_ITS_OWN, f"{ONLY_ITS_OWN}\npattern readwrite floor/v1/+/plant1/#"),
            *(ProbeCheck.STRANGER_PUBLISH, True),
        ),
        Change(
            *("acl.devices", ONLY_ITS_OWN, f"{ONLY_ITS_OWN}\npattern read floor/v1/event/plant1/#"),
            *(ProbeCheck.STRANGER_READ, True),
        ),
    ),
}
"""Changes one after the other; tests/mqtt/test_probe.py has all others, without a bridge."""


@pytest.mark.parametrize("name", CHANGES)
async def test_rules_that_change_are_noticed_and_their_return_too(
    tmp_path: Path, shipped: ShippedMosquitto, bridge: BridgeProcess, name: str
) -> None:
    assert await is_live(bridge)
    for change in CHANGES[name]:
        await check_change(tmp_path, shipped, bridge, change)
    assert_no_effect(bridge)


async def check_change(folder: Path, shipped: ShippedMosquitto, bridge: BridgeProcess, change: Change) -> None:
    before = (shipped.folder / "config" / change.file).read_text()
    write_rules(shipped, change.file, change.new if change.old is None else before.replace(change.old, change.new))
    reason = REASONS[change.check]
    await until(lambda: reason in bridge.readiness(), seconds=SECONDS, what=reason)
    assert "FAIL broker" in await checked(folder, shipped, fails=True)
    assert await is_live(bridge) is change.live
    assert "Traceback" not in bridge.log()
    write_rules(shipped, change.file, before)
    await until(bridge.is_ready, seconds=SECONDS, what="ready again")
    await checked(folder, shipped, fails=False)
    assert await is_live(bridge)


@pytest.mark.parametrize("which", ["mosquitto", "nats"])
async def test_a_trial_without_users_is_ready_and_says_what_it_is(
    tmp_path: Path, which: str, request: pytest.FixtureRequest
) -> None:
    """As the demo is: with the broker that it finds."""
    broker: RunningBroker = request.getfixturevalue(which)
    async with bridge_process(tmp_path, broker, environment={"FLOOR_BROKER__PROBE": "open"}) as trial:
        await until(lambda: "floor_broker_canary_seconds" in trial.metrics(), what="a canary in the journal")
        assert await is_live(trial)
        assert "broker.open" in trial.log()


async def test_an_open_broker_is_not_ready_unless_it_is_a_trial(tmp_path: Path, mosquitto: RunningBroker) -> None:
    bridge = configured(tmp_path, mosquitto, environment={"FLOOR_BROKER__PROBE": "strict"})
    await bridge.launch()
    try:
        reason = REASONS[ProbeCheck.STRANGER_PUBLISH]
        await until(lambda: reason in bridge.readiness(), seconds=SECONDS, what=reason)
        warned = re.findall(r"check=(\w+)", bridge.log())
        assert sorted(set(warned)) == ["canary", "stranger_publish", "stranger_read"]
        assert await is_live(bridge), "reports arrive"
    finally:
        await bridge.kill()
