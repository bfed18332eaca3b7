"""The command line teaches: examples in its help, known names in its errors, the way out in each."""

from pathlib import Path

import pytest

from device_sim.cli import main
from device_sim.wire import CredentialsError, read_credentials


@pytest.mark.parametrize("command", ["run", "press"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert f"device-sim {command}" in capsys.readouterr().out.split("examples:")[1]


def test_an_unknown_station_gets_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["press", "Andon-L5", "equipment"]) == 1
    said = capsys.readouterr().err
    assert "no station is called Andon-L5; did you mean Andon-L" in said
    assert "known: Andon-L1, Andon-L2, Andon-L3-Front, Andon-L3-End, Andon-L4" in said


def test_a_call_that_the_station_does_not_have_gets_those_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["press", "Andon-L3-Front", "quality"]) == 1
    assert "known: safety, stop, equipment, maintenance, material" in capsys.readouterr().err


def test_a_broker_that_is_not_there_is_named_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--broker", "127.0.0.1:1"]) == 1
    said = capsys.readouterr().err
    assert "no broker at 127.0.0.1:1" in said
    assert "--broker HOST:PORT" in said


def test_a_wrong_plant_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plant.toml"
    path.write_text("lines = []\n")
    assert main(["list", "--plant", str(path)]) == 1
    said = capsys.readouterr().err
    assert f"{path}: site: Field required" in said
    assert f"{path}: lines:" in said


@pytest.mark.parametrize("address", ["localhost", "localhost:", ":1883", "localhost:70000", "localhost:x"])
def test_an_address_without_host_or_port_is_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--broker", address])
    assert "is not HOST:PORT" in capsys.readouterr().err


@pytest.mark.parametrize("root", ["", "/", "floor/", "a/#", "+/v1"])
def test_a_root_that_no_topic_can_begin_with_is_refused(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["press", "Andon-L1", "equipment", "--root", root])
    assert "such as floor/v1" in capsys.readouterr().err


def test_list_names_every_device_and_its_tags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--tags"]) == 0
    said = capsys.readouterr().out
    assert "Bagger-1: CompactLogix" in said
    assert "total <- Bagger1.BagsTotal" in said
    assert "Andon-L4: latching" in said


def test_credentials_are_read_as_lines_or_from_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "devices"
    path.write_text("# devices\ns/a/L1/Bagger-1:a:b\n\ns/a/L1/Andon-L1: c\n")
    assert read_credentials(path) == {"s/a/L1/Bagger-1": "a:b", "s/a/L1/Andon-L1": "c"}
    path.write_text("Bagger-1\n")
    with pytest.raises(CredentialsError, match="line 1"):
        read_credentials(path)
    (tmp_path / "password.s+a+L1+Bagger-1").write_text("secret\n")
    (tmp_path / "password.bridge").write_text("not a device\n")
    assert read_credentials(tmp_path) == {"s/a/L1/Bagger-1": "secret"}
