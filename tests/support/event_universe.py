"""Event topics of a small plant as bits of an integer: sets of topics are compared as numbers.

Written from protocol.md and design.md alone; knows no code of the bridge. `zz` is an id that no filter names: it stands
for all the others.
"""

from collections.abc import Iterable
from functools import cache
from itertools import product
from typing import Final

CATEGORIES: Final = {
    "line_status_update": "line",
    "production_update": "production",
    "oee_update": "oee",
    "downtime_event": "downtime",
    "andon_event": "andon",
    "escalation_update": "escalation",
    "job_assigned": "job",
    "job_started": "job",
    "job_completed": "job",
    "job_cancelled": "job",
    "quality_alert": "quality",
    "changeover_started": "changeover",
    "changeover_completed": "changeover",
}
"""Event type -> its category."""

PRIORITIES: Final = ("critical", "high", "medium", "low")
UNNAMED: Final = "zz"
IDS: Final = (
    ("S1", UNNAMED),
    ("A1", UNNAMED),
    ("L1", "L2", UNNAMED),
    ("_", "E1", UNNAMED),
    ("_", "J1", UNNAMED),
)
"""The ids of site, area, line, equipment and subject."""

DEPTH: Final = 8
TOPICS: Final = tuple(
    (*ids[:4], category, kind, priority, ids[4])
    for ids in product(*IDS)
    for kind, category in CATEGORIES.items()
    for priority in PRIORITIES
)
ALL: Final = (1 << len(TOPICS)) - 1


@cache
def _topics_with(level: int, text: str) -> int:
    return int("".join("1" if topic[level] == text else "0" for topic in reversed(TOPICS)), 2)


@cache
def topics_of(topic_filter: str) -> int:
    """Return the topics that an MQTT filter matches (MQTT 5 4.7)."""
    levels = topic_filter.split("/")
    bits = ALL
    for level, text in enumerate(levels):
        if text == "#":
            return bits
        if level >= DEPTH:
            return 0
        if text != "+":
            bits &= _topics_with(level, text)
    return bits if len(levels) == DEPTH else 0


def topics_of_any(topic_filters: Iterable[str]) -> int:
    """Return the topics that any of these filters matches."""
    bits = 0
    for topic_filter in topic_filters:
        bits |= topics_of(topic_filter)
    return bits


@cache
def topics_within(types: tuple[str, ...] | None, priorities: tuple[str, ...] | None) -> int:
    """Return the topics of these event types and priorities; None: of all."""
    of_types = ALL if types is None else sum(_topics_with(5, kind) for kind in types)
    return of_types & (ALL if priorities is None else sum(_topics_with(6, priority) for priority in priorities))
