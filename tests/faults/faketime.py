"""A wall clock that is wrong, and may be set while a process runs: libfaketime before `floor run` itself.

Only the wall is faked: CLOCK_MONOTONIC is the kernel's, as with a clock that NTP, or somebody, sets. uvloop sleeps by
the monotonic one, so the bridge runs as it ships.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

LIBRARY: Final = "libfaketimeMT.so.1"  # the variant for threads
PLACES: Final = ("/usr/lib", "/usr/local/lib", "/opt/homebrew/lib")
DAY_MS: Final = 86_400_000


def _libraries() -> Iterator[Path]:
    for place in PLACES:
        yield from Path(place).glob(f"**/faketime/{LIBRARY}")


class FakedTime:
    """The wall of the processes that run in `environment`. `shift`: what libfaketime adds to it, such as `-30d`."""

    def __init__(self, folder: Path, shift: str = "+0") -> None:
        library = next(_libraries(), None)
        assert library is not None, "no libfaketime found: install the package `faketime`"
        self._file = folder / "faketime"
        self.set(shift)
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",  # seconds; without it every look at a clock reads the file
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "TZ": "UTC",
        }

    def set(self, shift: str) -> None:
        """Set the wall of all of them, within a second."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{shift}\n")
        os.replace(new, self._file)  # noqa: PTH105 - atomic: a reader finds the one or the other

    def stop_at(self, wall_ms: int) -> None:
        """Set the wall to the first full second from this on, where it stands: a slow start takes no time by it."""
        second = datetime.fromtimestamp(-(-wall_ms // 1_000), UTC)
        self.set(f"{second:%Y-%m-%d %H:%M:%S}")
