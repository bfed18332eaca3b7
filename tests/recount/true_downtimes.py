"""Downtimes and culprits from the truth alone: the machines' real states, not their reports.

Holds where nothing is lost on the way. Times differ by what a report takes, so a stop that lasts about as long as the
threshold may be a downtime or not: such ones are left out.
"""

from dataclasses import dataclass
from typing import Final

from device_sim.truth.truth import ConditionStretch, Truth
from tests.recount.plant_facts import LineFacts, PlantFacts
from tests.recount.reported_facts import EventBody, millis
from tests.recount.stops import RUN, STOP, StopDetector

ON_THE_WAY_MS: Final = 2_000
WAITING: Final = ("starved", "blocked")
SIDES: Final = {"starved": "upstream", "blocked": "downstream"}


@dataclass(frozen=True, slots=True)
class Disagreement:
    line: str
    at: int
    text: str


def disagreements(truth: Truth, plant: PlantFacts, events: list[EventBody]) -> list[Disagreement]:
    result: list[Disagreement] = []
    for line in plant.lines.values():
        stretches = [stretch for stretch in truth.stretches if stretch.device == line.constraint]
        latest = {e["subject"]: e for e in events if e["type"] == "downtime_event" and e["line_id"] == line.id}
        reported = [event["data"] for event in latest.values()]
        result += _stops(truth, plant, line, stretches, reported)
        result += [_culprit(line, stretches, data, truth.until) for data in reported if data.get("cause_equipment")]
    return [stop for stop in result if stop.text]


def _stops(
    truth: Truth,
    plant: PlantFacts,
    line: LineFacts,
    stretches: list[ConditionStretch],
    reported: list[dict[str, object]],
) -> list[Disagreement]:
    """Every true downtime is covered by reported ones from its beginning to its end, and no other is reported."""
    threshold, restart = plant.seconds("micro_stop_seconds", 60), plant.seconds("restart_seconds", 10)
    least = _downtimes(stretches, threshold + ON_THE_WAY_MS, restart - ON_THE_WAY_MS, truth.until)
    most = _downtimes(
        stretches, threshold - ON_THE_WAY_MS, restart + ON_THE_WAY_MS, truth.until, shortest_run=ON_THE_WAY_MS
    )
    reported_spans = [(millis(str(downtime["started_at"])), _end(downtime, truth.until)) for downtime in reported]
    result = [
        Disagreement(line.id, since, f"a stop until {until} that was no downtime")
        for since, until in least
        if not any(low <= since + ON_THE_WAY_MS and since <= high for low, high in reported_spans)
    ]
    result += [
        Disagreement(line.id, low, f"a downtime until {high} where no stop was")
        for low, high in reported_spans
        if not any(since - ON_THE_WAY_MS <= low and high <= until + ON_THE_WAY_MS for since, until in most)
    ]
    return result


def _downtimes(
    stretches: list[ConditionStretch], threshold: int, restart: int, until: int, *, shortest_run: int = 0
) -> list[tuple[int, int]]:
    watch = StopDetector(threshold, restart)
    for stretch in stretches:
        while (due := watch.due()) is not None and due <= stretch.since:
            watch.fire(due)
        lasts = (stretch.until or until) - stretch.since
        runs = stretch.condition == "running" and lasts >= shortest_run
        watch.observe(RUN if runs else STOP, stretch.since)
    while (due := watch.due()) is not None and due <= until:
        watch.fire(due)
    return [(since, until if end is None else end) for since, end in watch.downtimes]


def _end(data: dict[str, object], until: int) -> int:
    ended = data.get("ended_at")
    return until if ended is None else millis(str(ended))


def _culprit(line: LineFacts, stretches: list[ConditionStretch], data: dict[str, object], until: int) -> Disagreement:
    """The machine that is blamed really was the culprit for a while, on the side that is named."""
    low, high = millis(str(data["started_at"])), _end(data, until)
    during = [stop for stop in stretches if stop.since < high and (stop.until or until) > low - ON_THE_WAY_MS]
    blamed, cause = data["cause_equipment"], data["cause"]
    if cause == "internal":
        good = blamed == line.constraint and any(stop.culprit == blamed for stop in during)
    else:
        flow = list(line.machines)
        side = "upstream" if flow.index(str(blamed)) < flow.index(line.constraint) else "downstream"
        good = side == cause and any(
            stop.culprit == blamed or SIDES.get(stop.condition) == cause or stop.condition not in WAITING
            for stop in during
        )
    return Disagreement(line.id, low, "" if good else f"{cause} by {blamed}: {[e.condition for e in during]}")
