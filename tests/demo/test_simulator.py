"""The demo prints which outages of a profile it plays, and which it does not; it plays none of an earlier run."""

from pathlib import Path

import pytest

from bridge.demo.simulator import SimulatorCommands
from device_sim.cuts_file import CutsFile
from device_sim.disturbances.incidents import BridgeStopped

NO_NETWORK = "; without its losses of the bridge's network, which the demo does not play"


def simulator(disturb: str | None, folder: Path) -> SimulatorCommands:
    return SimulatorCommands(disturb, 1, folder, 11883)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("clean", "clean: no cuts of bridge or broker"),
        ("wifi", f"wifi: no cuts of bridge or broker{NO_NETWORK}"),
        ("old-plc", "old-plc: no cuts of bridge or broker"),
        ("night-off", "night-off: cuts of the bridge and the broker"),
        ("gateway", f"gateway: cuts of the bridge{NO_NETWORK}"),
        ("chaos", f"chaos: cuts of the bridge and the broker{NO_NETWORK}"),
    ],
)
async def test_the_cuts_of_a_named_profile_are_those_it_has(profile: str, expected: str, tmp_path: Path) -> None:
    plant = simulator(profile, tmp_path)
    await plant.prepare()
    assert plant.describe_profile() == f"{expected}; true course of events: {tmp_path / 'truth.jsonl'}"


async def test_the_cuts_of_a_file_are_those_it_has(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[[disturbances]]\nkind = "broker-cut"\nfirst_minutes = 1\n')
    plant = simulator(str(file), tmp_path)
    await plant.prepare()
    assert (plant.describe_profile() or "").startswith(f"{file}: cuts of the broker; true course of events: ")


async def test_an_undisturbed_demo_logs_no_warning(tmp_path: Path) -> None:
    plant = simulator(None, tmp_path)
    await plant.prepare()
    assert plant.describe_profile() is None


@pytest.mark.parametrize("next_profile", [None, "clean", "chaos"])
async def test_the_cuts_of_an_earlier_run_are_not_played_again(next_profile: str | None, tmp_path: Path) -> None:
    chaos = simulator("chaos", tmp_path)
    await chaos.prepare()
    cuts = CutsFile(chaos.cuts_file, scale=1)
    cuts.announce(BridgeStopped(at=0, until=8_500, how="crash"))
    assert chaos.cuts_file.read_text()
    following = simulator(next_profile, tmp_path)
    await following.prepare()
    assert not following.cuts_file.exists()
