"""Reports of the plant, their topics and their encoding. Source: docs/devices.md."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from device_sim.time_units import Millis

ReportKind = Literal["state", "counts", "measurement", "inspection", "andon", "job", "changeover", "birth", "death"]
Body = Mapping[str, object]
ReportContent = tuple[str, Body]
"""(kind, fields) of a report."""
DeviceReport = tuple[str, ReportContent]
"""(device id, report)."""

ACTION_KINDS: Final = frozenset({"andon", "job", "changeover"})
"""Kinds for single actions of people, stored while offline. Other kinds are superseded by the next report."""


@dataclass(frozen=True, slots=True)
class ReportMessage:
    """One report of one device; `at` is simulated time, `topic` is relative to the root."""

    at: Millis
    device: str
    kind: str
    topic: str
    body: Body

    @property
    def is_action(self) -> bool:
        return self.kind in ACTION_KINDS


def encode(body: Body) -> bytes:
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()


def report_topic(site: str, area: str, line: str, device: str, kind: str) -> str:
    return f"report/{site}/{area}/{line}/{device}/{kind}"


def lamp_topic(site: str, area: str, line: str, station: str, andon_type: str) -> str:
    return f"station/{site}/{area}/{line}/{station}/{andon_type}"
