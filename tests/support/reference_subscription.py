"""A subscription as a dashboard knows it, and the events it is for: written from protocol.md alone."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]
Key = tuple[str, str | None, str, str]


@dataclass
class Held:
    """A subscription as the dashboard knows it."""

    body: Frame
    effective: list[str] = field(default_factory=list)
    confirmed: bool = False
    whole: bool = False  # its snapshot has ended
    awaits: bool = False  # its first snapshot, before which nothing of it comes
    asked: deque[Frame | None] = field(default_factory=deque)  # not answered yet: bodies, None to unsubscribe
    events: dict[Key, Frame] = field(default_factory=dict)
    former: list[tuple[Frame, list[str]]] = field(default_factory=list)  # what it was before it was asked for again

    @property
    def settled(self) -> bool:
        return self.whole and not self.asked

    def wants(self, event: Frame, me: frozenset[str]) -> bool:
        return selects(self.body, self.effective, event, me)

    def wanted(self, event: Frame, me: frozenset[str]) -> bool:
        """Whether it may still be owed: asking again loses nothing of what was on its way."""
        return any(selects(body, effective, event, me) for body, effective in self.former)

    def take(self, event: Frame) -> None:
        current = self.events.get(key_of(event))
        if current is None or current["offset"] < event["offset"]:
            self.events[key_of(event)] = event

    def sift(self, me: frozenset[str]) -> None:
        """Let go of what it does not want any more, or may not have."""
        self.events = {key: event for key, event in self.events.items() if self.wants(event, me)}


def key_of(event: Frame) -> Key:
    return (event["line_id"], event["equipment_code"], event["category"], event["subject"])


def topic_of(event: Frame) -> str:
    """The topic of an event, relative to `{root}/event/` (design.md, «Message flow»)."""
    place = (event["site"], event["area"], event["line_id"], event["equipment_code"] or "_")
    return "/".join((*place, event["category"], event["type"], event["priority"], event["subject"]))


def selects(body: Frame, effective: list[str], event: Frame, me: frozenset[str]) -> bool:
    """Whether a subscription of which `effective` is granted selects an event for the one with these names."""
    masks = body.get("filters") or {}
    if event["type"] not in masks.get("event_types", (event["type"],)):
        return False
    if event["priority"] not in masks.get("priorities", (event["priority"],)):
        return False
    if "me" in (body.get("target_id"), body.get("target")) and not me & addressees(event):
        return False
    return any(matches(topic_filter, topic_of(event)) for topic_filter in effective)


def addressees(event: Frame) -> frozenset[str]:
    """Whom the event is about: the assignee of a job, the roles that an escalation calls."""
    data = event["data"]
    return frozenset(((data.get("assigned_to") or {}).get("id", ""), *data.get("recipients", ())))


def matches(topic_filter: str, topic: str) -> bool:
    """Whether an MQTT filter matches a topic without `$` (MQTT 5 4.7)."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    for at, frame in enumerate(wanted):
        if frame == "#":
            return True
        if at >= len(levels) or frame not in ("+", levels[at]):
            return False
    return len(wanted) == len(levels)
