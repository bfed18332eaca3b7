"""The demo's broker, found by the settings file that `floor demo` writes in its working directory."""

import tomllib
from pathlib import Path
from typing import Final

DEMO_SETTINGS_FILE: Final = Path(".floor/demo/floor.toml")
DEFAULT_ADDRESS: Final = ("127.0.0.1", 1883)


def default_broker(folder: Path) -> tuple[str, int]:
    """Return the address of the broker of the demo in `folder`, or `DEFAULT_ADDRESS` without usable settings there."""
    try:
        broker = tomllib.loads((folder / DEMO_SETTINGS_FILE).read_text(encoding="utf-8")).get("broker", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return DEFAULT_ADDRESS
    host, port = broker.get("host", DEFAULT_ADDRESS[0]), broker.get("port", DEFAULT_ADDRESS[1])
    return (host, port) if isinstance(host, str) and isinstance(port, int) else DEFAULT_ADDRESS
