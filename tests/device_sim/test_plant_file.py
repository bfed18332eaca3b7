"""A wrong plant file is refused with every fault and its place."""

from pathlib import Path

import pytest

from device_sim import plant_file
from device_sim.toml_files import SimulationFileError

LINE = """\
[[lines]]
id = "L1"
area = "A"
products = ["p"]

[[lines.machines]]
id = "M-1"
controller = "PLC"
cycle_seconds = 1.0
faults = [{ code = "F" }]

[[lines.stations]]
id = "S-1"
"""
GOOD = f'site = "s"\n{LINE}'


def refusal(folder: Path, text: str) -> str:
    path = folder / "plant.toml"
    path.write_text(text)
    with pytest.raises(SimulationFileError) as error:
        plant_file.load(path)
    assert str(error.value).startswith(str(path))
    return str(error.value)


def test_the_shortest_file_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "plant.toml"
    path.write_text(GOOD)
    spec = plant_file.load(path)
    assert [device for _, device in spec.devices()] == ["M-1", "S-1"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SimulationFileError, match="No such file"):
        plant_file.load(tmp_path / "none.toml")


def test_broken_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "line 2" in refusal(tmp_path, 'site = "s"\nlines = [}\n')


def test_every_fault_is_named_by_ids(tmp_path: Path) -> None:
    text = GOOD.replace("cycle_seconds = 1.0", "cycle_seconds = 0").replace('code = "F"', "bit = 64")
    message = refusal(tmp_path, text)
    assert "lines.L1.machines.M-1.cycle_seconds" in message
    assert "lines.L1.machines.M-1.faults.0" in message


def test_an_unknown_key_is_a_fault(tmp_path: Path) -> None:
    assert "lines.L1.machines.M-1.colour: no such field" in refusal(
        tmp_path, GOOD.replace('controller = "PLC"', 'controller = "PLC"\ncolour = 1')
    )


def test_two_devices_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "duplicate device ids: M-1" in refusal(tmp_path, GOOD.replace("S-1", "M-1"))


def test_a_station_near_a_machine_of_no_name_is_refused(tmp_path: Path) -> None:
    assert "unknown machines in near: M-9" in refusal(tmp_path, GOOD + 'near = ["M-9"]\n')


def test_ids_cannot_become_topics(tmp_path: Path) -> None:
    for bad in ("M/1", "+", "M-1\\n", "_"):
        assert "machines" in refusal(tmp_path, GOOD.replace('"M-1"', f'"{bad}"'))
