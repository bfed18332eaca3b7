"""Fuzz targets by name, without atheris: `run` takes any bytes, and what it raises is a find."""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Final, Protocol, cast

TARGETS: Final = ("topic", "report", "token", "frame", "policy", "plant")
CORPUS: Final = Path(__file__).parent / "corpus"
MAX_FILES: Final = 100  # of the kept corpus of a target
MAX_CORPUS_BYTES: Final = 131_072
FOUND: Final = "found-"  # begins the name of an input that was a find once, and is kept beyond these bounds


class Target(Protocol):
    """Module of a target."""

    MAX_BYTES: int  # of an input
    WORDS: tuple[str, ...]  # that an input may contain: the dictionary of the fuzzer

    def seeds(self) -> Iterable[bytes]:
        """Return valid inputs to start from."""

    def run(self, data: bytes) -> None: ...


def load(name: str) -> Target:
    """Import a target; the first import of `bridge` in a process, where its code is to be instrumented."""
    return cast("Target", import_module(f"tests.fuzz.targets.{name}"))


def kept(name: str) -> list[Path]:
    """Return the files of the kept corpus, finds included."""
    return sorted(path for path in (CORPUS / name).glob("*") if path.is_file())
