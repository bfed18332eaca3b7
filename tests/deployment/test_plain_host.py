"""The commands of docs/deployment.md, «On a plain host», install all that docs/examples/plant.floor.toml names."""

import re
import shlex
import subprocess
from pathlib import Path

from bridge.settings.load import load_settings
from tests.support.command_line import ROOT, floor
from tests.support.shipped_mosquitto import make_secrets

(SECTION,) = re.findall(
    r"^## On a plain host\n(.*?)^## ", (ROOT / "docs" / "deployment.md").read_text(), re.MULTILINE | re.DOTALL
)
COMMANDS = [shlex.split(line, comments=True) for line in re.findall(r"^sudo (.*)$", SECTION, re.MULTILINE)]


def install(folder: Path) -> Path:
    """Execute the `install` commands below a folder instead of `/`, without the owners; return the settings file."""
    site = folder / "site"
    site.mkdir()
    for name in ("docs", "bridge"):
        (site / name).symlink_to(ROOT / name)
    secrets = folder / "mosquitto" / "secrets"
    secrets.mkdir(parents=True)
    make_secrets(secrets)
    (site / "plant.toml").write_bytes((ROOT / "bridge" / "demo" / "plant.toml").read_bytes())
    (site / "web.crt").write_bytes((secrets / "server.crt").read_bytes())
    (site / "web.key").write_bytes((secrets / "server.key").read_bytes())
    (folder / "etc" / "systemd" / "system").mkdir(parents=True)
    for program, *arguments in COMMANDS:
        if program == "install":
            text = re.sub(r"-[og] floor ", "", shlex.join(arguments))
            words = [f"{folder}{word}" if word.startswith("/") else word for word in shlex.split(text)]
            subprocess.run(["install", *words], cwd=site, check=True, capture_output=True)
    config = folder / "etc" / "floor" / "floor.toml"
    config.write_text(re.sub(r'"(/(?:etc|var)/)', rf'"{folder}\1', config.read_text()))
    return config


def test_what_is_installed_passes_the_check_once_the_list_of_revocations_is_made(tmp_path: Path) -> None:
    folder = install(tmp_path).parent
    (folder / "bagger1_faults.csv").write_bytes((ROOT / "bridge" / "demo" / "bagger1_faults.csv").read_bytes())
    for command in ("revoke init", "check"):
        (words,) = [words[3:] for words in COMMANDS if command in shlex.join(words)]
        offline = ["--offline"] if command == "check" else []
        ended = floor(tmp_path, *(f"{tmp_path}{word}" if word[0] == "/" else word for word in words), *offline)
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_example_serves_other_machines_by_https_and_metrics_on_this_one(tmp_path: Path) -> None:
    settings = load_settings(install(tmp_path), {})
    web = settings.web
    assert (web.host, web.metrics_host) == ("0.0.0.0", "127.0.0.1")
    assert None not in (web.tls_cert_file, web.tls_key_file, web.metrics_port)
    assert web.allowed_hosts
    assert None not in (settings.token.revoked_file, settings.policy_file)


def test_only_the_bridge_may_read_the_secrets_that_are_installed(tmp_path: Path) -> None:
    folder = install(tmp_path).parent
    secret = {path.name for path in folder.iterdir() if path.stat().st_mode & 0o777 == 0o600}
    assert secret == {"password.bridge", "password.front", "password._canary", "token.secret", "web.key"}


def test_the_unit_runs_what_is_installed_as_its_user() -> None:
    unit = (ROOT / "docs" / "examples" / "floor-bridge.service").read_text()
    for line in ("User=floor", "ExecStart=/opt/floor/bin/floor run --config /etc/floor/floor.toml"):
        assert f"{line}\n" in unit
    assert ["python3", "-m", "venv", "/opt/floor"] in COMMANDS
    assert ["systemctl", "enable", "--now", "floor-bridge"] in COMMANDS
    (useradd,) = [words for words in COMMANDS if words[0] == "useradd"]
    assert useradd[-1] == "floor"
