"""Passwords and certificates of the devices, read from files."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from device_sim.errors import SimulatorError


class CredentialsError(SimulatorError):
    """Raised when the password, credentials or CA file cannot be used."""


def read_password(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"{path}: {error}") from error


def read_credentials(path: Path) -> Mapping[str, str]:
    """Read passwords by identity: a folder of mosquitto/make-passwords.sh, or a file of `identity:password` lines."""
    if path.is_dir():
        files = sorted(path.glob("password.*+*"))
        return {file.name.removeprefix("password.").replace("+", "/"): read_password(file) for file in files}
    passwords: dict[str, str] = {}
    for number, line in enumerate(read_password(path).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        identity, colon, password = line.partition(":")
        if not colon:
            raise CredentialsError(f"{path}, line {number}: expected `site/area/line/device:password`")
        passwords[identity.strip()] = password.strip()
    return passwords


def tls_context(ca_file: Path | None) -> ssl.SSLContext | None:
    """Return a verifying context that trusts one CA, or None for plain TCP."""
    if ca_file is None:
        return None
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except OSError as error:  # ssl.SSLError is one
        raise CredentialsError(f"{ca_file}: {error}") from error
