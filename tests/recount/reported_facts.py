"""The facts that the bridge's events report, in the terms of the recount."""

from datetime import datetime
from typing import Any

from tests.recount.fact import Fact

EventBody = dict[str, Any]


def millis(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def facts_of(events: list[EventBody]) -> list[Fact]:
    return [
        *_statuses(events),
        *_downtimes(events),
        *_calls(events),
        *_ladders(events),
        *_jobs(events),
        *_changeovers(events),
    ]


def _statuses(events: list[EventBody]) -> list[Fact]:
    statuses: dict[tuple[str, str], tuple[object, ...]] = {}
    facts = []
    for event in _of(events, "line_status_update"):
        place = (event["line_id"], event["equipment_code"] or "_")
        now = (event["data"]["status"], event["data"].get("cause"))
        if now != statuses.get(place, ("offline", None)):
            statuses[place] = now
            facts.append(Fact("status", *place, millis(event["timestamp"]), now))
    return facts


def _downtimes(events: list[EventBody]) -> list[Fact]:
    latest = {(event["line_id"], event["subject"]): event for event in _of(events, "downtime_event")}
    facts = []
    for (line, _), event in latest.items():
        data = event["data"]
        if data["micro_stop"]:
            continue
        began = millis(data["started_at"])
        facts.append(Fact("downtime", line, "begin", began))
        if data.get("ended_at"):
            facts.append(Fact("downtime", line, "end", millis(data["ended_at"])))
        blamed = (data.get("cause_equipment"), data["equipment_code"])
        facts.append(Fact("cause", line, data["cause"], began, blamed))
        facts.append(Fact("category", line, data["category"], began, (data.get("reason_code"),)))
    return facts


def _calls(events: list[EventBody]) -> list[Fact]:
    before: dict[str, dict[str, Any]] = {}
    facts = []
    for event in _of(events, "andon_event"):
        data, at = event["data"], millis(event["timestamp"])
        key = f"{event['equipment_code'] or '_'}/{data['andon_type']}"
        old = before.get(data["call_id"])
        before[data["call_id"]] = data
        facts += [Fact("call", event["line_id"], key, at, change) for change in _changes(old, data)]
    return facts


def _changes(old: dict[str, Any] | None, new: dict[str, Any]) -> list[tuple[object, ...]]:
    if old is None:
        return [("raised", new["priority"], new["status"], new["auto_generated"])]
    changes: list[tuple[object, ...]] = []
    if new["repeat"] != old["repeat"]:
        again = new.get("called_again_at") != old.get("called_again_at")
        changes.append(("called again" if again else "repeat", new["repeat"]))
    if new.get("arrived_at") and not old.get("arrived_at"):
        changes.append(("arrived", new["repeat"]))
    if new["status"] != old["status"] and new["status"] != "open":
        changes.append((new["status"], new["repeat"]))
    return changes


def _ladders(events: list[EventBody]) -> list[Fact]:
    facts = []
    for event in _of(events, "escalation_update"):
        data, at = event["data"], millis(event["timestamp"])
        key = f"{event['equipment_code'] or '_'}/{data['andon_type']}"
        if data["cause"] == "reminder":
            facts.append(Fact("ladder", event["line_id"], key, at, ("reminder", data["level"])))
        elif data["level"] > data["previous_level"]:
            facts.append(Fact("ladder", event["line_id"], key, at, ("level", data["level"], data["cause"])))
    return facts


def _jobs(events: list[EventBody]) -> list[Fact]:
    kinds = ("job_assigned", "job_started", "job_completed", "job_cancelled")
    before: dict[str, str] = {}
    facts = []
    for event in _of(events, *kinds):
        data = event["data"]
        if before.get(data["job_id"]) != data["status"]:
            before[data["job_id"]] = data["status"]
            value = (data["status"], data["product"])
            facts.append(Fact("job", event["line_id"], data["job_id"], millis(event["timestamp"]), value))
    return facts


def _changeovers(events: list[EventBody]) -> list[Fact]:
    facts = []
    latest = {}  # which piece was the last one of the old run may be known only afterwards
    for event in _of(events, "changeover_started", "changeover_completed"):
        data, line, at = event["data"], event["line_id"], millis(event["timestamp"])
        latest[data["changeover_id"]] = (line, data)
        if event["type"] == "changeover_started":
            for when, kind in ((at, "reported"), (millis(data["signalled_at"]), "signalled")):
                facts.append(Fact("changeover", line, data["to_product"], when, (kind, data.get("from_product"))))
        else:
            ended = (data["outcome"], data.get("from_product"))
            facts.append(Fact("changeover", line, data["to_product"], millis(data["completed_at"]), ended))
    for line, data in latest.values():
        began = ("started", data.get("from_product"))
        facts.append(Fact("changeover", line, data["to_product"], millis(data["started_at"]), began))
    return facts


def _of(events: list[EventBody], *types: str) -> list[EventBody]:
    return [event for event in events if event["type"] in types]
