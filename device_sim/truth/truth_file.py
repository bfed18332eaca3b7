"""The truth of a run in a file: one JSON object per line, written as soon as it is settled."""

import json
from pathlib import Path
from typing import TextIO

from device_sim.errors import SimulatorError
from device_sim.truth.truth import Truth


class TruthFileError(SimulatorError):
    """Raised when the truth file cannot be opened for writing."""


class TruthFile:
    """Moves settled records from the truth to a file, to bound memory; without a file they are discarded."""

    def __init__(self, path: Path | None, truth: Truth, **facts: object) -> None:
        self._truth = truth
        self._out: TextIO | None = None
        if path is not None:
            try:
                self._out = path.open("w", encoding="utf-8")
            except OSError as error:
                raise TruthFileError(f"{path}: {error.strerror}") from error
            self._write({**truth.header(), **facts})

    def flush(self) -> None:
        for record in self._truth.drain(final=False):
            self._write(record)
        if self._out is not None:
            self._out.flush()

    def close(self) -> None:
        for record in self._truth.drain(final=True):
            self._write(record)
        if self._out is not None:
            self._out.close()

    def _write(self, record: dict[str, object]) -> None:
        if self._out is not None:
            self._out.write(json.dumps(record, separators=(",", ":")) + "\n")
