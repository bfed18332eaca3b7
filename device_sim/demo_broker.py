"""The broker of a running demo: `floor demo` writes its settings where it is started, and its port is found there."""

import tomllib
from pathlib import Path
from typing import Final

SETTINGS: Final = Path(".floor/demo/floor.toml")
USUAL: Final = ("127.0.0.1", 1883)


def default_broker(folder: Path) -> tuple[str, int]:
    """Return the address of the demo's broker where there is a demo in the folder, else the usual one."""
    try:
        broker = tomllib.loads((folder / SETTINGS).read_text(encoding="utf-8")).get("broker", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return USUAL
    host, port = broker.get("host", USUAL[0]), broker.get("port", USUAL[1])
    return (host, port) if isinstance(host, str) and isinstance(port, int) else USUAL
