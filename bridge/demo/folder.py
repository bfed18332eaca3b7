"""The demo's options and folder (settings file, token secret, lock), and a check for free ports."""

import contextlib
import errno
import fcntl
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import BinaryIO, Final

from bridge.adapters import revocation_file
from bridge.demo.embedded_broker import find_bind_error
from bridge.demo.errors import DemoError

JOURNAL: Final = "journal.db"  # in the demo's folder
REVOKED: Final = "revoked.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    folder: Path
    port: int
    broker_port: int
    scale: float
    seed: int
    disturb: str | None = None  # a profile of device-sim, or a file


def write_config(options: DemoOptions) -> Path:
    """Write the demo's settings file and, the first time, token secret and revocation list; return the file's path."""
    secret = options.folder / "secret"
    if not secret.exists():
        fresh = options.folder / "secret.new"  # renamed when complete: half a secret would fail every later start
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48))
        fresh.replace(secret)
    with contextlib.suppress(FileExistsError):
        revocation_file.create(options.folder / REVOKED)
    plant = Path(str(resources.files("bridge.demo") / "plant.toml"))
    config = options.folder / "floor.toml"
    config.write_text(
        f"""# written by `floor demo`, new at every start
plant_file = "{plant}"

[broker]
port = {options.broker_port}
probe = "open" # it has no users

[journal]
path = "{JOURNAL}"

[token]
secret_file = "secret"
revoked_file = "{REVOKED}"

[web]
port = {options.port}

[time]
scale = {options.scale}
"""
    )
    return config


def require_free_port(port: int, option: str, *, default: int) -> None:
    """Raise `DemoError` if a port cannot be bound; the text names the port and the option that changes it."""
    error = find_bind_error(port)
    if error is None:
        return
    if error.errno != errno.EADDRINUSE:
        raise DemoError(
            f"port {port}: {error.strerror}; choose another: make demo ARGS='{option} {default}'"
        ) from error
    raise DemoError(
        f"port {port} is in use: stop its owner, or choose another: make demo ARGS='{option} {port + 1}'"
    ) from error


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock the demo's folder; raise `DemoError` if another demo runs in it, which would lose settings and broker."""
    with _open_lock_file(folder) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released at the process's end, also at kill -9
        except BlockingIOError as error:
            raise DemoError(
                f"another demo runs in {folder}: stop it, or choose another folder and ports: "
                "make demo ARGS='--folder /tmp/demo2 --port 8081 --broker-port 11884'"
            ) from error
        yield


def _open_lock_file(folder: Path) -> BinaryIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / "lock").open("wb")
    except OSError as error:
        raise DemoError(f"{error}\nchoose another folder: make demo ARGS='--folder /tmp/demo'") from error
