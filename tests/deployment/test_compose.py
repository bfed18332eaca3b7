"""docker-compose.yml, the Dockerfile and their settings fit together; there need be no Docker to see it."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.adapters import plant_file
from bridge.settings.load import load_settings
from bridge.settings.settings import Settings
from tests.support.shipped_mosquitto import make_secrets

ROOT = Path(__file__).parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
# what can run in each image; eclipse-mosquitto is Alpine with busybox
PROGRAMS = {"eclipse-mosquitto": {"nc", "mosquitto_sub"}, "floor-bridge": {"python", "floor", "device-sim"}}


def host_mounts(service: dict[str, Any]) -> dict[str, Path]:
    mounts = (volume.split(":") for volume in service.get("volumes", []))
    return {target: ROOT / source for source, target, *_ in mounts if source.startswith("./")}


def secret_targets(service: dict[str, Any]) -> dict[str, str]:
    """Return path in the container -> name, of each secret."""
    entries = [{"source": volume} if isinstance(volume, str) else volume for volume in service.get("secrets", [])]
    return {entry.get("target", f"/run/secrets/{entry['source']}"): entry["source"] for entry in entries}


CONFIG = ROOT / "docs" / "examples" / "compose.floor.toml"


@pytest.fixture(scope="module")
def secrets_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    make_secrets(folder)
    return folder


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, secrets_folder: Path) -> Settings:
    """Load the container's settings, its secrets where they can be read here."""
    path = tmp_path_factory.mktemp("etc") / "floor.toml"
    path.write_text(CONFIG.read_text().replace("/run/secrets", str(secrets_folder)))
    return load_settings(path, {})


@pytest.mark.parametrize("name", SERVICES)
def test_every_mounted_file_exists(name: str) -> None:
    for path in host_mounts(SERVICES[name]).values():
        assert path.is_file(), path


def test_every_secret_is_made_by_the_scripts(secrets_folder: Path) -> None:
    for name, secret in COMPOSE["secrets"].items():
        assert (secrets_folder / Path(secret["file"]).name).stat().st_size > 0, name
    used = {secret for service in SERVICES.values() for secret in secret_targets(service).values()}
    assert used == set(COMPOSE["secrets"])


def test_the_files_that_mosquitto_reads_are_mounted() -> None:
    container_paths = {*host_mounts(SERVICES["mosquitto"]), *secret_targets(SERVICES["mosquitto"])}
    text = (ROOT / "mosquitto" / "mosquitto.conf").read_text()
    named = set(re.findall(r"^\w+ (/mosquitto/(?:config|secrets)/\S+)$", text, re.MULTILINE))
    assert len(named) == 8
    assert named <= container_paths


def test_every_port_that_is_published_is_listened_on() -> None:
    listeners = re.findall(r"^listener (\d+)$", (ROOT / "mosquitto" / "mosquitto.conf").read_text(), re.MULTILINE)
    published = [port.split(":")[-1] for port in SERVICES["mosquitto"]["ports"]]
    assert set(published) <= set(listeners)


def test_the_bridges_settings_fit_what_is_mounted(settings: Settings) -> None:
    bridge = SERVICES["bridge"]
    targets = secret_targets(bridge)
    assert settings.broker.host in SERVICES
    assert f"listener {settings.broker.port}\n" in (ROOT / "mosquitto" / "mosquitto.conf").read_text()
    assert f"DNS:{settings.broker.host}," in (ROOT / "mosquitto" / "make-dev-certs.sh").read_text()
    for path in re.findall(r'"(/run/secrets/[^"]+)"', CONFIG.read_text()):
        assert path in targets
    assert settings.broker.password is not None
    assert settings.broker.front_password is not None
    assert (settings.broker.probe, settings.broker.canary_username) == ("strict", "_canary")
    assert settings.broker.canary_password is not None
    assert f"listener {settings.broker.canary_port}\n" in (ROOT / "mosquitto" / "mosquitto.conf").read_text()
    assert any(f":{settings.journal.path.parent}" in volume for volume in bridge["volumes"])
    assert all(port.endswith(f":{settings.web.port}") for port in bridge["ports"])


def test_the_plant_that_is_mounted_is_valid(settings: Settings, tmp_path: Path) -> None:
    for target, source in host_mounts(SERVICES["bridge"]).items():
        (tmp_path / Path(target).name).write_bytes(source.read_bytes())
    assert plant_file.load(tmp_path / settings.plant_file.name).lines


@pytest.mark.parametrize("name", ["bridge", "front", "simulator"])
def test_commands_and_their_options_exist(name: str) -> None:
    program, subcommand, *options = SERVICES[name]["command"]
    module = {"floor": "bridge", "device-sim": "device_sim"}[program]
    wide = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    help_text = subprocess.run(
        [sys.executable, "-m", module, subcommand, "--help"], check=True, capture_output=True, text=True, env=wide
    ).stdout
    for option in options:
        if option.startswith("--"):
            assert option.split("=")[0] in help_text


def test_files_that_commands_name_are_there() -> None:
    for service in SERVICES.values():
        container_paths = {*host_mounts(service), *secret_targets(service)}
        for word in service.get("command", []):
            path = word.split("=")[-1]
            assert not path.startswith("/") or path in container_paths, word


def test_a_front_apart_reads_the_bridges_journal_with_the_bridges_settings() -> None:
    bridge, front = SERVICES["bridge"], SERVICES["front"]
    assert front["command"][: len(bridge["command"])] == bridge["command"]
    assert front["volumes"] == bridge["volumes"]
    assert secret_targets(front) == secret_targets(bridge)
    assert front["healthcheck"] == bridge["healthcheck"]
    assert not {*front["ports"]} & {*bridge["ports"]}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert int(service["user"].split(":")[0]) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(mount.endswith(":ro") for mount in service.get("volumes", []) if mount.startswith("./"))


@pytest.mark.parametrize("name", SERVICES)
def test_dependencies_wait_for_health_that_is_checked(name: str) -> None:
    service = SERVICES[name]
    for other, wish in service.get("depends_on", {}).items():
        assert wish == {"condition": "service_healthy"}
        assert "test" in SERVICES[other]["healthcheck"]
    if not service["healthcheck"].get("disable"):
        kind, program, *_ = service["healthcheck"]["test"]
        assert kind == "CMD"
        assert program in PROGRAMS[service["image"].split(":")[0]]


@pytest.mark.parametrize(("status", "healthy"), [("200 OK", True), ("503 Service Unavailable", False)])
async def test_the_health_check_of_the_bridge_depends_on_its_readiness(status: str, *, healthy: bool) -> None:
    request_lines: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request_lines.append(await reader.readline())
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    _, _, *arguments = SERVICES["bridge"]["healthcheck"]["test"]
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        moved = [argument.replace("127.0.0.1:9464", f"127.0.0.1:{port}") for argument in arguments]
        check = await asyncio.create_subprocess_exec(sys.executable, *moved, stderr=asyncio.subprocess.DEVNULL)
        assert (await check.wait() == 0) is healthy
    assert request_lines[0].startswith(b"GET /health/ready ")


def test_the_image_has_the_same_health_check_user_and_command() -> None:
    bridge = SERVICES["bridge"]
    assert bridge["healthcheck"]["test"][-1] in DOCKERFILE
    assert "127.0.0.1:9464/health/ready" in bridge["healthcheck"]["test"][-1]
    assert "ENV FLOOR_WEB__METRICS_PORT=9464" in DOCKERFILE
    assert f"USER {bridge['user'].split(':')[0]}" in DOCKERFILE
    assert "CMD [" + ", ".join(f'"{argument}"' for argument in bridge["command"]) + "]" in DOCKERFILE


def test_files_that_the_image_copies_exist_and_are_not_ignored() -> None:
    admitted = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source in admitted
