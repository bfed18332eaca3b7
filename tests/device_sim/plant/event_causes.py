"""Time at which the reports of the plant first have a cause for each of the 13 event types, from the messages alone."""

from collections.abc import Sequence
from typing import Any

from device_sim.reports import ReportMessage

CONSTRAINTS = {"Bagger-1", "Packer-2", "Tester-3", "Leak-Tester-4"}
MICRO_STOP = 60_000
MINUTES = {"safety": 2, "stop": 2, "quality": 5, "equipment": 5}  # to acknowledge; the other types: 10
LIMITS = {
    "fill-weight": (492, 508),
    "seal-temperature": (159, 171),
    "test-pressure": (5.7, 6.3),
    "torque": (11.4, 12.6),
}
JOB_EVENTS = {
    "assign": "job_assigned",
    "start": "job_started",
    "complete": "job_completed",
    "cancel": "job_cancelled",
}


def first_causes(messages: Sequence[ReportMessage]) -> dict[str, int]:
    """Return event type -> when it is first due by the default rules of domain.md, from messages in order."""
    floor = EventObserver()
    for message in messages:
        floor.observe(message)
    return floor.first_seen


class EventObserver:
    """State that is needed to recognise the cause of an event."""

    def __init__(self) -> None:
        self.first_seen: dict[str, int] = {}
        self._stopped: dict[str, int | None] = {}
        self._calls: dict[tuple[str, str], int] = {}
        self._changing: set[str] = set()

    def observe(self, message: ReportMessage) -> None:
        body: Any = message.body
        match message.kind:
            case "state":
                self._state(message, body)
            case "counts" if message.device in CONSTRAINTS and body.get("good", 0) > 0:
                self._see(message.at, "production_update", "oee_update")
            case "measurement":
                low, high = LIMITS[body["parameter"]]
                self._see(message.at, *(() if low <= body["value"] <= high else ("quality_alert",)))
            case "job" if body["action"] in JOB_EVENTS:
                self._see(message.at, JOB_EVENTS[body["action"]])
            case "changeover":
                self._change(message)
            case "andon":
                self._andon(message, body)
            case _:
                pass
        self._escalate(message.at)

    def _see(self, at: int, *event_types: str) -> None:
        for event_type in event_types:
            self.first_seen.setdefault(event_type, at)

    def _state(self, message: ReportMessage, body: Any) -> None:
        self._see(message.at, "line_status_update")
        if message.device not in CONSTRAINTS:
            return
        if body.get("packml", {}).get("mode") == 4:
            self._change(message)
        runs = body.get("state") == "running" or body.get("packml", {}).get("state") == 6
        if not runs:
            if message.device in self._stopped:  # it has run before
                self._stopped[message.device] = self._stopped[message.device] or message.at
            return
        since, self._stopped[message.device] = self._stopped.get(message.device), None
        if since is not None and message.at - since > MICRO_STOP:
            self._see(message.at, "downtime_event")
        if _line(message) in self._changing:
            self._changing.discard(_line(message))
            self._see(message.at, "changeover_completed")

    def _change(self, message: ReportMessage) -> None:
        self._changing.add(_line(message))
        self._see(message.at, "changeover_started")

    def _andon(self, message: ReportMessage, body: Any) -> None:
        key = (message.device, body["andon_type"])
        if body.get("input") or body.get("action") == "raise":
            self._calls.setdefault(key, message.at)
            self._see(message.at, "andon_event")
        elif "action" in body:
            self._calls.pop(key, None)

    def _escalate(self, at: int) -> None:
        for (_, andon_type), raised_at in self._calls.items():
            deadline = raised_at + MINUTES.get(andon_type, 10) * 60_000
            if at >= deadline:
                self._see(deadline, "escalation_update")


def _line(message: ReportMessage) -> str:
    return message.topic.split("/")[3]
