from pathlib import Path

import pytest

from bridge.adapters import plant_file
from bridge.adapters.plant_file import PlantFileError

PLANT = """
name = "Test"
areas = [{ id = "A1", site = "S1" }]

[[lines]]
id = "L1"
area = "A1"
equipment = [{ id = "M1", faults_file = "faults.csv" }, { id = "M2", rated_speed = 40 }]
"""
FAULTS = """bit,code,text,kind,stops,cause
0,E-STOP,Emergency stop,fault,true,internal
29,,,information,false,
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plant.toml").write_text(PLANT)
    (tmp_path / "faults.csv").write_text(FAULTS.replace("29,,,", "29,I29,Door open,"))
    return tmp_path


def test_reads_a_plant_with_its_fault_catalogue(folder: Path) -> None:
    plant = plant_file.load(folder / "plant.toml")
    machine = plant.lines[0].equipment[0]
    assert [(fault.bit, fault.kind, fault.stops) for fault in machine.faults] == [
        (0, "fault", True),
        (29, "information", False),
    ]


@pytest.mark.parametrize(
    ("was", "becomes", "expected"),
    [
        ('area = "A1"', 'area = "A9"', "line L1: area A9 is not in this file"),
        ("rated_speed = 40", "rated_speed = -1", "lines[0] (L1) equipment[1] (M2) rated_speed"),
        ('name = "Test"', 'name = "Test"\ntimezone = "Mars/Olympus"', "'Mars/Olympus' is not an IANA zone"),
        ('{ id = "M2"', '{ id = "M1"', "equipment named twice: M1"),
        ('id = "L1"', 'id = "L1/+"', "lines[0] (L1/+) id"),
        ("rated_speed", "rated_sped", "(M2) rated_sped: no such field; did you mean rated_speed?"),
        ('name = "Test"', 'name = "Test"\nquux = 1', "plant.toml: quux: no such field"),
        ("rated_speed = 40", "counters.modulo = 9", "counters modulo: no such field; did you mean modulus?"),
        ('area = "A1"', 'area = "A1"\nconstraint = "M7"', "names equipment it does not have: M7"),
        ('name = "Test"', "name = ", "line 2"),
        ('name = "Test"', "name = " + "[" * 5_000, "nested too deeply"),
        (
            "faults.csv",
            "missing.csv",
            "plant.toml: line L1 equipment M1 faults_file {folder}/missing.csv: No such file",
        ),
        ("faults.csv", "fau\\u0000lts.csv", "null byte"),
    ],
)
def test_an_error_names_the_place(folder: Path, was: str, becomes: str, expected: str) -> None:
    path = folder / "plant.toml"
    assert was in PLANT
    path.write_text(PLANT.replace(was, becomes))
    with pytest.raises(PlantFileError, match=r".") as caught:
        plant_file.load(path)
    assert expected.replace("{folder}", str(folder)) in str(caught.value)
    assert str(folder) in str(caught.value)


def test_every_fault_is_named_at_once(folder: Path) -> None:
    path = folder / "plant.toml"
    path.write_text(PLANT.replace("rated_speed = 40", "rated_speed = -1").replace('id = "L1"', 'id = "bad id"'))
    with pytest.raises(PlantFileError) as caught:
        plant_file.load(path)
    assert len(str(caught.value).splitlines()) == 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlantFileError, match=r"nowhere\.toml"):
        plant_file.load(tmp_path / "nowhere.toml")
