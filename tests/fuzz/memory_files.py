"""Files in memory where the system has a folder for them: a fuzz target writes some at each input."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

SHARED_MEMORY: Final = Path("/dev/shm")


@cache
def memory_folder() -> Path:
    """Return the folder of this process; it is removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz", dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def memory_file(name: str, content: bytes) -> Path:
    """Write a file, replacing the former of this name."""
    path = memory_folder() / name
    path.write_bytes(content)
    return path
