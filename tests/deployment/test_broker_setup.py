"""The scripts and the drop-in that set up the shipped broker."""

import subprocess
from pathlib import Path

from tests.support.shipped_mosquitto import DEVICE_A, DEVICE_B, GATEWAY, SHIPPED, shipped_mosquitto


def test_the_scripts_keep_what_exists(tmp_path: Path) -> None:
    shipped = shipped_mosquitto(tmp_path)
    kept = {path: path.read_bytes() for path in shipped.secrets.glob("*.key")}
    kept |= {path: path.read_bytes() for path in shipped.secrets.glob("password.*")}
    subprocess.run([SHIPPED / "make-passwords.sh", shipped.secrets, "S1/A1/L2/PLC9"], check=True, capture_output=True)
    subprocess.run([SHIPPED / "make-dev-certs.sh", shipped.secrets, "S1/A1/L2/PLC9"], check=True, capture_output=True)
    assert {path: path.read_bytes() for path in kept} == kept
    users = [line.split(":")[0] for line in (shipped.secrets / "passwd.devices").read_text().splitlines()]
    assert sorted(users) == sorted(["mqtt_consumer", "_canary", GATEWAY, DEVICE_A, DEVICE_B, "S1/A1/L2/PLC9"])
    hashes = (shipped.secrets / "passwd.services").read_text()
    assert all(path.read_text() not in hashes for path in shipped.secrets.glob("password.*"))


def test_a_mounted_password_file_gets_the_new_users(tmp_path: Path) -> None:
    """Compose mounts each secret as a single file: the container keeps the inode, as a hard link does."""
    secrets = shipped_mosquitto(tmp_path).secrets
    mounted = {path: tmp_path / path.name for path in secrets.glob("passwd.*")}
    for path, link in mounted.items():
        link.hardlink_to(path)
    subprocess.run([SHIPPED / "make-passwords.sh", secrets, "S1/A1/L2/PLC9"], check=True, capture_output=True)
    assert "S1/A1/L2/PLC9:" in mounted[secrets / "passwd.devices"].read_text()
    assert "bridge:" in mounted[secrets / "passwd.services"].read_text()
    assert all(link.samefile(path) for path, link in mounted.items())
    assert not list(secrets.glob("*.new"))


def test_an_interrupted_password_file_is_made_whole_by_the_next_run(tmp_path: Path) -> None:
    secrets = shipped_mosquitto(tmp_path).secrets
    passwd = secrets / "passwd.devices"
    (secrets / "passwd.devices.new").write_bytes(passwd.read_bytes())
    passwd.write_text("")
    subprocess.run([SHIPPED / "make-passwords.sh", secrets], check=True, capture_output=True)
    users = [line.split(":")[0] for line in passwd.read_text().splitlines()]
    assert sorted(users) == sorted(["mqtt_consumer", "_canary", GATEWAY, DEVICE_A, DEVICE_B])
    assert not list(secrets.glob("*.new"))


def test_the_drop_in_replaces_the_command_of_the_package_and_is_installed_as_documented() -> None:
    drop_in = SHIPPED.parent / "docs" / "examples" / "mosquitto-floor.conf"
    lines = [line for line in drop_in.read_text().splitlines() if not line.startswith("#")]
    # a service other than oneshot may have one command only: the empty line removes the package's
    assert lines == ["[Service]", "ExecStart=", "ExecStart=/usr/sbin/mosquitto -c /mosquitto/config/mosquitto.conf"]
    readme = (SHIPPED / "README.md").read_text()
    assert "docs/examples/mosquitto-floor.conf /etc/systemd/system/mosquitto.service.d/" in readme
    assert "sudo cp -r mosquitto /mosquitto/config" in readme
