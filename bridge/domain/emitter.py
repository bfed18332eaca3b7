"""Emitter of a line's events: counts revisions, and fixes the priority of a subject for its life.

Subjects are part of a line's checkpointed state, so revisions continue across restarts.
"""

from typing import Final, NamedTuple, Self

from msgspec import Struct, field
from typing_extensions import override

from bridge.domain.bounded_dict import drop_oldest
from bridge.domain.event_data import EventData
from bridge.domain.events import CATEGORY_OF, DATA_OF, DataQuality, Event, EventType, Priority, Standing
from bridge.domain.place import Place
from bridge.domain.reports import Moment

CLOSED_SUBJECTS: Final = 500  # per line, kept for later revisions; bounds its checkpoint


class DoubtfulPieces(NamedTuple):
    """Pieces in a counter's register that the counter rules did not count at once."""

    held: int = 0  # waiting for the next sample to confirm or refute them
    released: int = 0  # confirmed since the previous event
    refused: int = 0  # refuted since the previous event


NO_DOUBTFUL_PIECES: Final = DoubtfulPieces()


class SubjectKey(NamedTuple):
    """Key of a subject on its line; `equipment` is `_` for the line itself."""

    equipment: str
    category: str
    subject: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the key in a checkpoint's text."""
        return cls(*text.split("/", 2))

    @override
    def __str__(self) -> str:
        return "/".join(self)


class SubjectRevision(Struct):
    """Revision and priority of the last event of a subject."""

    revision: int
    priority: Priority


class Subjects(Struct):
    """Current subjects, and the latest closed ones, by the text of their `SubjectKey`."""

    current: dict[str, SubjectRevision] = field(default_factory=dict)
    closed: dict[str, SubjectRevision] = field(default_factory=dict)


class Emitter:
    """Collects the events of one step of one line."""

    def __init__(self, place: Place, subjects: Subjects) -> None:
        self.place = place
        self._subjects = subjects
        self._events: list[Event] = []

    def emit(
        self,
        event_type: EventType,
        data: EventData,
        *,
        moment: Moment,
        equipment: str | None,
        subject: str,
        priority: Priority,
        standing: Standing,
        estimated: bool = False,
        stale: bool = False,
        ineffective: bool = False,
        doubtful: DoubtfulPieces = NO_DOUBTFUL_PIECES,
    ) -> None:
        """Add an event dated `moment.at`; a subject keeps its first priority.

        `standing` has no default: what is current is retained on MQTT until its subject is closed.
        """
        assert type(data) is DATA_OF[event_type], f"{event_type} with data of another type"
        place = self.place.with_equipment(equipment)
        key = SubjectKey(place.levels()[3], CATEGORY_OF[event_type], subject)
        entry = self._next(str(key), priority, standing)
        self._events.append(
            Event(
                type=event_type,
                place=place,
                subject=subject,
                priority=entry.priority,
                revision=entry.revision,
                timestamp=moment.at,
                data=data,
                standing=standing,
                received_at=moment.received_at,
                caused_by=moment.caused_by,
                quality=DataQuality(
                    clock=moment.clock,
                    estimated=estimated,
                    stale=stale,
                    historical=standing is Standing.HISTORY,
                    gap=moment.gap,
                    unplaced=moment.unplaced,
                    ineffective=ineffective,
                    pieces_held=doubtful.held or None,
                    pieces_released=doubtful.released or None,
                    pieces_refused=doubtful.refused or None,
                ),
            )
        )

    def _next(self, key: str, priority: Priority, standing: Standing) -> SubjectRevision:
        current, closed = self._subjects.current, self._subjects.closed
        is_current = key in current
        previous = current.pop(key, None) or closed.pop(key, None)
        if previous is None:
            entry = SubjectRevision(1, priority)
        else:
            entry = SubjectRevision(previous.revision + 1, previous.priority)
        if standing is Standing.CURRENT or (standing is Standing.HISTORY and is_current):
            current[key] = entry
        else:
            closed[key] = entry
            drop_oldest(closed, limit=CLOSED_SUBJECTS)
        return entry

    @property
    def event_count(self) -> int:
        """Return the number of collected events."""
        return len(self._events)

    def drain(self) -> tuple[Event, ...]:
        """Return the collected events in order, and clear them."""
        events = tuple(self._events)
        self._events.clear()
        return events
