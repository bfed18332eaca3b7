"""A client's subscription, its snapshot and the events that it selects; written from protocol.md alone."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

Frame = dict[str, Any]
Key = tuple[str, str | None, str, str]


@dataclass
class ClientSubscription:
    """A subscription as the dashboard knows it."""

    body: Frame
    effective: list[str] = field(default_factory=list)
    confirmed: bool = False
    snapshot_complete: bool = False  # its snapshot has ended
    awaits_snapshot: bool = False  # no event may come before its first snapshot
    unanswered_requests: deque[Frame | None] = field(default_factory=deque)  # bodies; None: unsubscribe
    events: dict[Key, Frame] = field(default_factory=dict)
    earlier_requests: list[tuple[Frame, list[str]]] = field(default_factory=list)  # (body, effective)
    confirmation: object = field(default_factory=object)  # another one whenever it is confirmed or resumed
    certain: bool = False  # what it selects, it gets: without a snapshot, it is not known where it begins

    @property
    def settled(self) -> bool:
        return self.snapshot_complete and not self.unanswered_requests

    def selects(self, event: Frame, me: frozenset[str]) -> bool:
        return selects(self.body, self.effective, event, me)

    def was_selected(self, event: Frame, me: frozenset[str]) -> bool:
        """Return whether an earlier request selects it: subscribing again loses no event in flight."""
        return any(selects(body, effective, event, me) for body, effective in self.earlier_requests)

    def take(self, event: Frame) -> None:
        current = self.events.get(key_of(event))
        is_newer = current is None or current["offset"] < event["offset"]
        if is_newer and not event["data_quality"].get("historical"):
            self.events[key_of(event)] = event

    def drop_unselected(self, me: frozenset[str]) -> None:
        """Drop events that it no longer selects, or is not granted."""
        self.events = {key: event for key, event in self.events.items() if self.selects(event, me)}


@dataclass
class SnapshotProgress:
    """A snapshot in progress."""

    id: str
    offset: int
    count: int = 0


def key_of(event: Frame) -> Key:
    return (event["line_id"], event["equipment_code"], event["category"], event["subject"])


def topic_of(event: Frame) -> str:
    """The topic of an event, relative to `{root}/event/` (design.md, «Message flow»)."""
    place = (event["site"], event["area"], event["line_id"], event["equipment_code"] or "_")
    return "/".join((*place, event["category"], event["type"], event["priority"], event["subject"]))


def selects(body: Frame, effective: list[str], event: Frame, me: frozenset[str]) -> bool:
    """Return whether a subscription with these effective filters selects an event for a user with these names."""
    masks = body.get("filters") or {}
    if event["type"] not in masks.get("event_types", (event["type"],)):
        return False
    if event["priority"] not in masks.get("priorities", (event["priority"],)):
        return False
    if "me" in (body.get("target_id"), body.get("target")) and not me & addressees(event):
        return False
    return any(matches(topic_filter, topic_of(event)) for topic_filter in effective)


def addressees(event: Frame) -> frozenset[str]:
    """Return the addressees of an event: the assignee of a job, the roles that an escalation calls."""
    data = event["data"]
    return frozenset(((data.get("assigned_to") or {}).get("id", ""), *data.get("recipients", ())))


def matches(topic_filter: str, topic: str) -> bool:
    """Return whether an MQTT filter matches a topic without `$` (MQTT 5 4.7)."""
    filter_levels, levels = topic_filter.split("/"), topic.split("/")
    for at, level in enumerate(filter_levels):
        if level == "#":
            return True
        if at >= len(levels) or level not in ("+", levels[at]):
            return False
    return len(filter_levels) == len(levels)
