"""Load of the benchmarks: events of a plant of 100 lines, as long as real ones, each stamped with the time it is due.

A stamp is the time of CLOCK_MONOTONIC at which the event's batch is due. What delays the feeder delays the event.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final, Literal, NamedTuple, TypeVar

from bridge.domain.envelope import position_event
from bridge.domain.event_data import Andon, EventData, LineStatus, Oee, PlannedHour, Production
from bridge.domain.event_topic import EventTopic
from bridge.domain.events import Event, EventType, Priority
from bridge.domain.place import Place
from bridge.domain.plant import AreaConfig, EquipmentConfig, LineConfig, Plant
from bridge.domain.records import CommittedEvent
from tests.support.journal_samples import NOON
from tests.support.memory_journal import STREAM

T = TypeVar("T")

LINES: Final = 100
MACHINES: Final = 5
SITES: Final = 2
LINES_OF_AN_AREA: Final = 5
BATCH_MS: Final = 5  # the default of journal.commit_max_ms
ALARM_EVERY_MS: Final = 200
EPOCH: Final = "epoch-1"
TIME: Final = "2026-01-06T12:00:00.000Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Telemetry for some seconds, `rate` events a second in batches of `batch_ms`, and perhaps five alarms a second."""

    rate: int
    seconds: int
    batch_ms: int = BATCH_MS
    alarms: bool = False


class StampedBatch(NamedTuple):
    """What is committed together, and when, in ns of CLOCK_MONOTONIC."""

    due: int
    events: tuple[CommittedEvent, ...]


def place_of(line: int, equipment: str | None = None) -> Place:
    area = line // LINES_OF_AN_AREA
    return Place(f"S{area % SITES}", f"A{area}", f"L{line}", equipment)


def plant() -> Plant:
    machines = range(MACHINES)
    places = [place_of(line) for line in range(LINES)]
    return Plant(
        name="bench",
        areas=tuple(AreaConfig(id=place.area, site=place.site) for place in places[::LINES_OF_AN_AREA]),
        lines=tuple(
            LineConfig(
                id=place.line,
                area=place.area,
                equipment=tuple(EquipmentConfig(id=f"{place.line}-M{number}") for number in machines),
            )
            for place in places
        ),
    )


def stamped_batches(load: Load, *, start: int, first_offset: int = 1) -> Iterator[StampedBatch]:
    """Yield the batches from `start` on; events of conflated types come back to a state key after 3,000 others."""
    sources, offset = cycle(_sources()), first_offset
    for number in range(load.seconds * 1_000 // load.batch_ms):
        due = start + number * load.batch_ms * 1_000_000
        before, until = (load.rate * end * load.batch_ms // 1_000 for end in (number, number + 1))
        events = [next(sources)(f"@mono:t{due:019}") for _ in range(before, until)]
        if load.alarms and number * load.batch_ms % ALARM_EVERY_MS == 0:
            events.append(_alarm(f"@mono:a{due:019}", number * load.batch_ms // ALARM_EVERY_MS))
        yield StampedBatch(due, tuple(_position(event, at) for at, event in enumerate(events, start=offset)))
        offset += len(events)


def topics(load: Load) -> Counter[EventTopic]:
    """Return the topics of a load's events, each with its count."""
    whole, rest = divmod(load.rate * load.seconds, len(_sources()))
    counts = Counter[EventTopic]()
    for number, event in enumerate(sample_events()):
        counts[EventTopic.from_event(event)] += whole + (number < rest)
    if load.alarms:
        alarms = load.seconds * 1_000 // ALARM_EVERY_MS
        counts.update(EventTopic.from_event(_alarm("", number)) for number in range(alarms))
    return counts


def sample_events() -> list[Event]:
    """Return an event of each source, with the stamp 0, for a publisher that sends them over and over."""
    return [source(f"@mono:t{0:019}") for source in _sources()]


def position_samples() -> list[CommittedEvent]:
    return [_position(event, offset) for offset, event in enumerate(sample_events(), start=1)]


def _position(event: Event, offset: int) -> CommittedEvent:
    return position_event(event, stream=STREAM, epoch=EPOCH, offset=offset)


async def feed(work: Sequence[tuple[int, T]], send: Callable[[T], Awaitable[None]]) -> float:
    """Send each piece of work when it is due; return by how many ms the latest one was late."""
    latest = 0
    for due, piece in work:
        waiting = due - time.monotonic_ns()
        if waiting > 0:
            await asyncio.sleep(waiting / 1e9)
        latest = max(latest, time.monotonic_ns() - due)
        await send(piece)
    return latest / 1e6


Source = Callable[[str], Event]
"""Makes the next event of a state key, with a stamp in its data."""


def _sources() -> list[Source]:
    """Return the sources in an order in which line after line has its turn."""
    kinds = (_production, _oee("shift"), _oee("hour"), _oee("job"), _status)
    equipment = (None, *range(MACHINES))
    return [
        _source(kind, line, machine)
        for kind in kinds
        for machine in equipment
        for line in range(LINES)
    ]  # fmt: skip


Kind = tuple[EventType, Priority, str, Callable[[str], EventData]]


def _source(kind: Kind, line: int, machine: int | None) -> Source:
    event_type, priority, subject, data = kind
    place = place_of(line, None if machine is None else f"L{line}-M{machine}")

    def make(stamp: str) -> Event:
        return Event(
            type=event_type, place=place, subject=subject, priority=priority, revision=7, timestamp=NOON,
            received_at=NOON, caused_by=("input:1234567",), data=data(stamp),
        )  # fmt: skip

    return make


def _production_data(stamp: str) -> Production:
    return Production(
        total_count=12_345, good_count=12_210, reject_count=135, rate_per_minute=58.25, production_day="2026-01-06",
        hourly=[PlannedHour(start=f"2026-01-06T{6 + hour:02}:00:00.000Z", planned=3_500.0, actual=3_391)
                for hour in range(4)],
        window_start=TIME, target_quantity=28_000, progress=0.4361, planned_count_now=12_600.0, difference=-390.0,
        target_rate=60.0, job_id=stamp, product="P-500-24", shift_id="early",
    )  # fmt: skip


_production: Final = (EventType.PRODUCTION_UPDATE, Priority.LOW, "_", _production_data)


def _oee(window: Literal["shift", "job", "hour"]) -> Kind:
    def data(stamp: str) -> Oee:
        return Oee(
            window=window, window_start=TIME, window_end=None, closed=False, oee=0.7312, availability=0.8821,
            performance=0.8394, quality=0.9891, planned_busy_seconds=14_400.0, actual_production_seconds=12_702.5,
            ideal_cycle_seconds=1.0, total_count=12_345, good_count=12_210, unknown_seconds=0.0, flags=[],
            job_id=stamp, shift_id="early",
        )  # fmt: skip

    return EventType.OEE_UPDATE, Priority.LOW, window, data


def _status_data(stamp: str) -> LineStatus:
    return LineStatus(
        scope="line", status="running", previous_status="stopped", since=TIME, scheduled=True, speed=58.2,
        target_speed=60.0, speed_unit="1/min", product="P-500-24", job_id=stamp,
        equipment={f"L1-M{number}": "running" for number in range(MACHINES)},
    )  # fmt: skip


_status: Final = (EventType.LINE_STATUS_UPDATE, Priority.MEDIUM, "_", _status_data)


def _alarm(stamp: str, number: int) -> Event:
    line = number % LINES
    andon = Andon(
        call_id=f"L{line}.call.{number}", andon_type="equipment", priority="critical", status="open", raised_at=TIME,
        raised_by=None, escalation_level=0, repeat=0, auto_generated=False, description=stamp,
    )  # fmt: skip
    return Event(
        type=EventType.ANDON_EVENT, place=place_of(line), subject=andon.call_id, priority=Priority.CRITICAL,
        revision=1, timestamp=NOON, data=andon,
    )  # fmt: skip
