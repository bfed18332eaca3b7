"""The command line: examples in its help, known names and the remedy in its errors."""

import subprocess
import sys
from pathlib import Path

import pytest

from device_sim.cli.main import main
from device_sim.mqtt.credentials import CredentialsError, read_credentials
from device_sim.mqtt.demo_broker import default_broker
from device_sim.plant_file import SHIPPED
from device_sim.profile import NAMES
from device_sim.truth.truth import Truth
from device_sim.truth.truth_file import TruthFile, TruthFileError


@pytest.mark.parametrize("command", ["run", "press", "disturbances"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert f"device-sim {command}" in capsys.readouterr().out.split("examples:")[1]


def test_an_unknown_station_gets_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["press", "Andon-L5", "equipment"]) == 1
    errors = capsys.readouterr().err
    assert "unknown station: Andon-L5; did you mean Andon-L" in errors
    assert "known: Andon-L1, Andon-L2, Andon-L3-Front, Andon-L3-End, Andon-L4" in errors


def test_a_call_that_the_station_does_not_have_gets_those_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["press", "Andon-L3-Front", "quality"]) == 1
    assert "known: safety, stop, equipment, maintenance, material" in capsys.readouterr().err


def test_a_broker_that_is_not_there_is_named_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--broker", "127.0.0.1:1"]) == 1
    errors = capsys.readouterr().err
    assert "no connection to the broker at 127.0.0.1:1" in errors
    assert "--broker HOST:PORT" in errors


def test_a_wrong_plant_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "plant.toml"
    path.write_text("lines = []\n")
    assert main(["list", "--plant", str(path)]) == 1
    errors = capsys.readouterr().err
    assert f"{path}: site: missing" in errors
    assert f"{path}: lines:" in errors


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
    output = capsys.readouterr().out
    assert "Bagger-1: CompactLogix" in output
    assert "total <- Bagger1.BagsTotal" in output
    assert "Andon-L4: latching" in output


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


def test_a_command_ends_quietly_when_its_output_is_closed() -> None:
    """`device-sim list --tags | head -1`, also where the pipe is closed before all of it is written."""
    for command in ("list --tags", "disturbances chaos --hours 24", "disturbances", "run --help"):
        ended = subprocess.run(
            ["bash", "-c", f"{sys.executable} -m device_sim {command} | head -1; echo ${{PIPESTATUS[0]}}"],
            cwd=Path(__file__).parents[3],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.stderr == ""
        assert len(ended.stdout.splitlines()) == 2
        assert ended.stdout.splitlines()[1] == "0"


def test_the_plant_file_of_the_bridge_gets_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    bridges = Path(__file__).parents[3] / "bridge" / "demo" / "plant.toml"
    assert main(["list", "--plant", str(bridges)]) == 1
    errors = capsys.readouterr().err
    assert "this is the bridge's plant file" in errors
    assert str(SHIPPED) in errors
    assert len(errors.splitlines()) == 1


def test_the_demos_broker_is_found_where_the_demo_runs(tmp_path: Path) -> None:
    assert default_broker(tmp_path) == ("127.0.0.1", 1883)
    settings = tmp_path / ".floor" / "demo" / "floor.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[broker]\nport = 11999\n")
    assert default_broker(tmp_path) == ("127.0.0.1", 11999)
    settings.write_text("[broker\n")
    assert default_broker(tmp_path) == ("127.0.0.1", 1883)


def test_a_demos_broker_that_is_gone_is_named_with_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / ".floor" / "demo" / "floor.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text("[broker]\nport = 1\n")
    monkeypatch.chdir(tmp_path)
    assert main(["press", "Andon-L1", "quality"]) == 1
    assert "no connection to the broker at 127.0.0.1:1 (of .floor/demo/floor.toml)" in capsys.readouterr().err


def test_disturbances_lists_the_profiles_and_shows_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["disturbances"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in NAMES)
    assert main(["disturbances", "chaos", "--hours", "2"]) == 0
    output = capsys.readouterr().out
    assert "connection lost" in output
    assert "bridge: power cut" in output


def test_the_kinds_of_a_profile_are_lines_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["disturbances", "night-off", "--kinds"]) == 0
    assert capsys.readouterr().out.split("\n") == ["long-repairs", "power-cut", "bridge-cut", "broker-cut", ""]


@pytest.mark.parametrize(
    "command", [["run", "--disturb", "wfi"], ["disturbances", "wfi"], ["leave", "--disturb", "wfi"]]
)
def test_an_unknown_profile_gets_the_known_ones(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 1
    assert "unknown profile or file: wfi; did you mean wifi?\n  known: clean, wifi" in capsys.readouterr().err


def test_a_faulty_profile_is_named_with_the_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[disturbances]]\nkind = "link-los"\n\n[[disturbances]]\nkind = "dip"\nratio = 2\n')
    assert main(["disturbances", str(path)]) == 1
    errors = capsys.readouterr().err
    assert f"{path}: disturbances.0: unknown kind: link-los; did you mean link-loss?\n" in errors
    assert f"{path}: disturbances.1.dip.ratio" in errors
    assert "Value error" not in errors


@pytest.mark.parametrize(
    ("disturbance", "message"),
    [
        (
            'kind = "bridge-cuts"\nfirst_minutes = 1',
            "disturbances.0: unknown kind: bridge-cuts; did you mean bridge-cut?",
        ),
        ('kind = "xyz"', "disturbances.0: unknown kind: xyz\n  known: power-cut, "),
        ("first_minutes = 1", "disturbances.0: kind is missing"),
        ('kind = "bridge-cut"', "disturbances.0.bridge-cut: needs either mean_minutes_between or first_minutes"),
        (
            'kind = "dip"\ndevices = ["Bager-1"]',
            "disturbances.0.dip.devices: unknown device: Bager-1; did you mean Bagger-1?",
        ),
        (
            'kind = "dip"\ndevices = ["Bagger-*", "x*"]',
            "disturbances.0.dip.devices: unknown device: x*; `device-sim list`",
        ),
        (
            'kind = "gateway"\nlines = ["L11"]\nfirst_minutes = 1',
            "disturbances.0.gateway.lines: unknown line: L11; did you mean L1?",
        ),
    ],
)
@pytest.mark.parametrize("command", [["run", "--disturb"], ["disturbances"], ["leave", "--disturb"]])
def test_what_concerns_nothing_is_refused_in_a_sentence(
    command: list[str], disturbance: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"[[disturbances]]\n{disturbance}\n")
    assert main([*command, str(path)]) == 1
    errors = capsys.readouterr().err
    assert f"{path}: {message}" in errors
    assert "Value error" not in errors


def test_a_named_profile_may_name_devices_that_a_plant_does_not_have(tmp_path: Path) -> None:
    plant = tmp_path / "plant.toml"
    plant.write_text(SHIPPED.read_text().replace("Screwdriver-4", "Driver-4"))
    assert main(["disturbances", "wifi", "--plant", str(plant)]) == 0


def test_a_truth_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(TruthFileError, match="nowhere"):
        TruthFile(tmp_path / "nowhere" / "t.jsonl", Truth(1, "clean", 0, 0))
