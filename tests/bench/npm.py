"""Programs of the npm registry that rows compare with: each of a pinned version, in a cache folder, no dependency."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.support.command_line import ROOT

CACHE: Final = ROOT / ".floor" / "npm"
INSTALL_SECONDS: Final = 180.0
OPTIONS: Final = ("--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")


class NotInstalled(Exception):
    """A package is not to be had on this machine."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"npm cannot install {name}: {reason}")
        self.name = name


def installed_modules(name: str, version: str, *, cache: Path = CACHE) -> Path:
    """Return the node_modules with this package, installed if it was not before; raise NotInstalled."""
    folder = cache / f"{name}-{version}"
    if not folder.exists():
        for program in ("node", "npm"):
            if shutil.which(program) is None:
                raise NotInstalled(name, f"no `{program}` found")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as text:
            complete = Path(text) / "complete"
            complete.mkdir()
            _install(name, version, complete)
            complete.rename(folder)
    return folder / "node_modules"


def _install(name: str, version: str, folder: Path) -> None:
    command = ("npm", "install", "--prefix", str(folder), *OPTIONS, f"{name}@{version}")
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
            env={**os.environ, "NO_UPDATE_NOTIFIER": "1"},
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled(name, f"not done after {INSTALL_SECONDS:.0f} s") from None
    if result.returncode:
        said = [line.removeprefix("npm error ") for line in result.stderr.splitlines() if line.startswith("npm error ")]
        raise NotInstalled(name, "; ".join(said[:2]) or f"npm ended with {result.returncode}")
