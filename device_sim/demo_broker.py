"""The broker of a running demo: `floor demo` writes its settings where it is started, and its port is found there."""

import tomllib
from pathlib import Path
from typing import Final

DEMO_SETTINGS_FILE: Final = Path(".floor/demo/floor.toml")
DEFAULT_ADDRESS: Final = ("127.0.0.1", 1883)


def default_broker(folder: Path) -> tuple[str, int]:
    """Return the address of the demo's broker where there is a demo in the folder, else the usual one."""
    try:
        broker = tomllib.loads((folder / DEMO_SETTINGS_FILE).read_text(encoding="utf-8")).get("broker", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return DEFAULT_ADDRESS
    host, port = broker.get("host", DEFAULT_ADDRESS[0]), broker.get("port", DEFAULT_ADDRESS[1])
    return (host, port) if isinstance(host, str) and isinstance(port, int) else DEFAULT_ADDRESS
