"""Subscriptions and events of a plant of any size, mixed as its people would ask: by line, machine, type and filter."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Final, NamedTuple

from bridge.domain.event_topic import EVENT_WORDS, EventTopic

MACHINES: Final = 5
LINES_OF_AN_AREA, LINES_OF_A_SITE = 20, 500
TYPES: Final = ("job", "production", "oee", "downtime", "andon", "escalation", "quality", "changeover")
SUBJECTS: Final = 20  # jobs, calls and escalations of a line that somebody may follow
MASKED: Final = 0.25  # part of the subscriptions with a mask of priorities
MASKS: Final = (["critical"], ["critical", "high"], ["critical", "high", "medium"])

Body = Mapping[str, object]
"""The body of a subscribe frame."""

FOR_EVERYTHING: Final[tuple[Body, ...]] = (
    {"subscription_type": "line", "filters": {"priorities": ["critical"]}},
    {"subscription_type": "andon", "filters": {"priorities": ["critical"]}},
    {"subscription_type": "escalation", "target_id": "priority:critical"},
    {"mqtt_filter": "+/A0/#"},
    {"mqtt_filter": "S0/+/+/_/oee/#"},
)
"""Subscriptions that do not name a line."""


class Spot(NamedTuple):
    """A line, and one of its machines."""

    site: str
    area: str
    line: str
    machine: str

    @classmethod
    def draw(cls, lines: int, random: Random) -> "Spot":
        number = random.randrange(lines)
        line = f"L{number}"
        site, area = f"S{number // LINES_OF_A_SITE}", f"A{number // LINES_OF_AN_AREA}"
        return cls(site, area, line, f"{line}-M{random.randrange(MACHINES)}")


def mixed_subscriptions(count: int, *, lines: int, random: Random) -> Iterator[Body]:
    """Yield bodies: some for everything, whatever the count, the others about one line each."""
    general = min(count // 10, 30)
    for number in range(count):
        if number < general:
            yield FOR_EVERYTHING[number % len(FOR_EVERYTHING)]
            continue
        body = _about(Spot.draw(lines, random), random)
        yield {**body, "filters": {"priorities": random.choice(MASKS)}} if random.random() < MASKED else body


def _about(spot: Spot, random: Random) -> Body:
    site, area, line, machine = spot
    kind, subject = random.choice(TYPES), random.randrange(SUBJECTS)
    choices: tuple[tuple[int, Body], ...] = (
        (20, {"subscription_type": "line", "target_id": line}),
        (10, {"subscription_type": "line", "target_id": f"{site}/{area}/{line}"}),
        (15, {"subscription_type": "equipment", "target_id": machine}),
        (5, {"subscription_type": "equipment", "target_id": f"{site}/{area}/{line}/{machine}"}),
        (20, {"subscription_type": kind, "target_id": f"line:{line}"}),
        (5, {"subscription_type": kind, "target_id": f"{site}/{area}/{line}"}),
        (5, {"subscription_type": kind, "target_id": f"equipment:{machine}"}),
        (5, {"subscription_type": "job", "target_id": f"{line}.J{subject}"}),
        (5, {"subscription_type": "escalation", "target_id": f"escalation:{line}.X{subject}"}),
        (2, {"mqtt_filter": f"{site}/+/{line}/+/+/+/critical/+"}),
        (2, {"mqtt_filter": f"+/{area}/{line}/{machine}/andon/+/+/+"}),
        (2, {"mqtt_filter": f"{site}/{area}/{line}/{machine}/+/+/critical/#"}),
        (2, {"mqtt_filter": f"+/+/{line}/+/+/+/+/{line}.C{subject}"}),
        (2, {"mqtt_filter": f"{site}/{area}/{line}/_/#"}),
    )
    (body,) = random.choices([body for _, body in choices], [weight for weight, _ in choices])
    return body


def event_topics(count: int, *, lines: int, random: Random) -> list[EventTopic]:
    """Return topics of all types, of the lines alike; each is a new object, as a new event's is."""
    topics = []
    for _ in range(count):
        site, area, line, machine = Spot.draw(lines, random)
        words, _, _ = random.choice(EVENT_WORDS)
        equipment = machine if random.random() < MACHINES / (MACHINES + 1) else "_"
        subject = random.choice(("_", f"{line}.J{random.randrange(SUBJECTS)}"))
        topics.append(EventTopic.parse("/".join((site, area, line, equipment, *words, subject))))
    return topics
