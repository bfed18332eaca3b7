"""The Mosquitto configuration that ships, moved to a folder and to free ports, and nothing else of it changed."""

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bridge.settings.broker import BrokerSettings
from tests.support.brokers import RunningBroker, find_mosquitto, free_port

SHIPPED = Path(__file__).parents[2] / "mosquitto"
PORTS = {  # in the order of the file
    "devices": 8883,
    "certificates": 8885,
    "services": 8884,
    "loopback": 1883,
}
DEVICE_A, DEVICE_B, REVOKED = "S1/A1/L1/PLC1", "S1/A1/L1/PLC2", "S1/A1/L1/PLC3"
GATEWAY = "S1/A1/L1"


@dataclass(frozen=True, slots=True)
class ShippedMosquitto:
    broker: RunningBroker
    folder: Path
    ports: dict[str, int]

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    def settings(self, listener: str = "services", **more: object) -> BrokerSettings:
        tls = {} if listener == "loopback" else {"tls": True, "ca_file": self.secrets / "ca.crt"}
        return BrokerSettings.model_validate({"port": self.ports[listener], "max_backoff_seconds": 0.3, **tls, **more})

    def users(self) -> dict[str, Any]:
        """Return the settings of all users that the bridge has."""
        return {
            "username": "bridge",
            "password": self.password("bridge"),
            "front_username": "front",
            "front_password": self.password("front"),
            "canary_username": "_canary",
            "canary_password": self.password("_canary"),
            "canary_port": self.ports["devices"],
        }

    def change(self, file: str, old: str | None, new: str) -> None:
        """Replace a text of a file of the configuration, or all of it, and restart the broker."""
        path = self.folder / "config" / file
        text = path.read_text()
        assert old is None or old in text, old
        path.write_text(new if old is None else text.replace(old, new))
        self.restart()

    def restart(self) -> None:
        self.broker.stop()
        self.broker.start()

    def password(self, user: str) -> str:
        return (self.secrets / f"password.{user.replace('/', '+')}").read_text()


def move(text: str, folder: Path, ports: dict[str, int]) -> str:
    """Return the configuration with its folders and ports replaced; fails when it has not exactly those."""
    assert text.count("\nlistener ") == len(ports)
    for name, port in ports.items():
        assert text.count(f"\nlistener {PORTS[name]}") == 1, f"no listener {PORTS[name]}"
        text = text.replace(f"\nlistener {PORTS[name]}", f"\nlistener {port}")
    # root would become user mosquitto, who may not read a test's folder; for others the line has no effect
    return text.replace("/mosquitto/", f"{folder}/") + "\nuser root\n"


def make_secrets(folder: Path) -> None:
    """Run the scripts that ship."""
    for command in (
        ["make-dev-certs.sh", DEVICE_A, GATEWAY, REVOKED],
        ["make-dev-certs.sh", "--revoke", REVOKED],
        ["make-passwords.sh", DEVICE_A, DEVICE_B, GATEWAY],
    ):
        subprocess.run([SHIPPED / command[0], folder, *command[1:]], check=True, capture_output=True)


@cache
def made_secrets() -> TemporaryDirectory[str]:
    """Run the scripts once for all tests that only read their output."""
    folder = TemporaryDirectory(prefix="secrets-")
    make_secrets(Path(folder.name))
    return folder


def shipped_mosquitto(folder: Path) -> ShippedMosquitto:
    ports = {name: free_port() for name in PORTS}
    for name in ("config", "data"):
        (folder / name).mkdir()
    shutil.copytree(made_secrets().name, folder / "secrets")
    for name in ("acl.devices", "acl.services"):
        (folder / "config" / name).write_text((SHIPPED / name).read_text())
    path = folder / "config" / "mosquitto.conf"
    path.write_text(move((SHIPPED / "mosquitto.conf").read_text(), folder, ports))
    last = list(PORTS)[-1]  # when it listens there, it listens on all
    broker = RunningBroker([str(find_mosquitto()), "-c", str(path)], ports[last], folder / "mosquitto.log")
    return ShippedMosquitto(broker, folder, ports)
