"""Publications for plain MQTT consumers: those that an event causes, and the retained topics and lamps."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from bridge.domain.event_topic import EventTopic, StateKey
from bridge.domain.events import EventType, Standing
from bridge.domain.lamp_topic import LampTopic
from bridge.domain.messages import Publication
from bridge.domain.place import LinePlace
from bridge.domain.records import CommittedEvent, Snapshot
from bridge.domain.retained_scan import RetainedScan
from bridge.domain.topic_tree import TopicBranch

LAMP_OFF: Final = "off"
LAMP_STATES: Final[Mapping[str, str]] = {
    "open": "open",
    "acknowledged": "acknowledged",
    "resolved": LAMP_OFF,
    "cancelled": LAMP_OFF,
}


class _Call(msgspec.Struct):
    """The fields of an Andon event that determine a lamp."""

    call_id: str
    andon_type: str
    status: str
    station_id: str | None = None


class _CallEnvelope(msgspec.Struct):
    data: _Call


_CALL: Final = msgspec.json.Decoder(_CallEnvelope)


@dataclass(frozen=True, slots=True)
class Lamp:
    """State of a station's lamp for one Andon type, and the call that it shows."""

    call_id: str
    state: str


@dataclass(frozen=True, slots=True)
class PublicationPlan:
    """Publications in order, and the changes of retained topics (None: cleared) and lamps that they cause."""

    publications: tuple[Publication, ...]
    retained: Mapping[StateKey, EventTopic | None]
    lamps: Mapping[str, Lamp]


def is_up_to_date(snapshot: Snapshot, pending: Sequence[CommittedEvent]) -> bool:
    """Return whether `pending` reaches the snapshot's position and contains no event that was retired since.

    A retired event, published late, would be retained, and no later event would clear it.
    """
    if pending and pending[-1].offset < snapshot.position.offset:
        return False
    current = {event.state_key for event in snapshot.events}
    last = {event.state_key: event for event in pending if event.standing is not Standing.HISTORY}
    return all(
        event.standing is Standing.CLOSED or key in current or event.offset > snapshot.position.offset
        for key, event in last.items()
    )


class PublishedState:
    """Retained topics by state key and lamps by topic, as on the broker after the last confirmed plan."""

    def __init__(
        self, root: str, *, retained: Mapping[StateKey, EventTopic], current: Iterable[CommittedEvent]
    ) -> None:
        """Take over the state of the broker; `current`: the published current events, which determine the lamps."""
        self._event_prefix, self._lamp_prefix = TopicBranch.EVENT.prefix(root), TopicBranch.STATION.prefix(root)
        self._retained = dict(retained)
        self._lamps: dict[str, Lamp] = {}
        for event in current:
            lamp = self._lamp(event)
            if lamp is not None:
                self._lamps[lamp[0]] = lamp[1]

    def plan(self, events: Sequence[CommittedEvent]) -> PublicationPlan:
        """Return what to publish for these events, the next of their stream; the state changes only in `confirm`."""
        publications: list[Publication] = []
        retained: dict[StateKey, EventTopic | None] = {}
        lamps: dict[str, Lamp] = {}
        for event in events:
            key = event.state_key
            before = retained[key] if key in retained else self._retained.get(key)
            topic = self._topic(event)
            publications.append(Publication(topic, event.body, retain=event.standing is Standing.CURRENT))
            if event.standing is not Standing.HISTORY:
                retained[key] = event.topic if event.standing is Standing.CURRENT else None
                if before is not None and before != retained[key]:
                    # cleared after the new one is published, so that a subscriber always finds the state
                    publications.append(Publication(f"{self._event_prefix}{before}", b"", retain=True))
                publications.extend(self._lamp_changes(event, lamps))
        return PublicationPlan(tuple(publications), retained, lamps)

    def confirm(self, plan: PublicationPlan) -> None:
        """Record that the broker has accepted the whole plan."""
        for key, topic in plan.retained.items():
            if topic is None:
                self._retained.pop(key, None)
            else:
                self._retained[key] = topic
        self._lamps.update(plan.lamps)

    def restore_publications(self, current: Iterable[CommittedEvent]) -> list[Publication]:
        """Return what to publish to a broker that lost its retained messages: published current events, and lamps."""
        events = [
            Publication(self._topic(event), event.body, retain=True)
            for event in current
            if self._retained.get(event.state_key) == event.topic
        ]
        return events + [Publication(topic, lamp.state.encode(), retain=True) for topic, lamp in self._lamps.items()]

    def find_missing(self, restored: Iterable[Publication], scan: RetainedScan) -> list[str]:
        """Return the topics restored before a scan that should still be retained but that the scan did not see."""
        events = {f"{self._event_prefix}{topic}" for topic in self._retained.values() if topic.text not in scan.events}
        lit = {topic for topic, lamp in self._lamps.items() if lamp.state != LAMP_OFF}
        lit -= {f"{self._lamp_prefix}{topic}" for topic in scan.lit_lamps}
        expected = events | lit
        return [publication.topic for publication in restored if publication.topic in expected]

    def plan_corrections(
        self,
        scan: RetainedScan,
        *,
        current: Sequence[CommittedEvent],
        pending: Sequence[CommittedEvent],
        lines: Container[LinePlace],
    ) -> PublicationPlan:
        """Return which topics to clear and which lamps to switch off, since the journal no longer supports them.

        `current`: the journal's current events at some position. `pending`: all events after the last confirmed one,
        up to that position at least. `lines`: those of our plant. Another stream's topics are left alone.
        """
        expected = self._expected_topics(current, pending)
        forgotten = {key: topic for key, topic in self._retained.items() if topic.text not in expected}
        stale = {topic: line for topic, line in scan.events.items() if topic not in expected}
        # topics published during the scan are missing in it; another stream may own their lines
        stale |= {
            topic.text: topic.line_place for topic in forgotten.values() if topic.line_place not in scan.foreign_lines
        }
        # a line removed from the plant file is still ours to clean up, unless another stream owns it now
        ours = {*stale.values(), *(topic.line_place for topic in forgotten.values())} - scan.foreign_lines
        lamps = {
            f"{self._lamp_prefix}{topic}": Lamp("", LAMP_OFF)
            for topic, line in sorted(scan.lit_lamps.items())
            if line in lines or line in ours
        }
        lit = {lamp[0] for event in current if (lamp := self._lamp(event)) is not None and lamp[1].state != LAMP_OFF}
        lit |= {lamp[0] for event in pending if (lamp := self._lamp(event)) is not None}
        off = {topic: lamp for topic, lamp in lamps.items() if topic not in lit}
        clear = [Publication(f"{self._event_prefix}{topic}", b"", retain=True) for topic in sorted(stale)]
        switch = [Publication(topic, lamp.state.encode(), retain=True) for topic, lamp in off.items()]
        # a topic on another stream's line is remembered until a scan was complete
        gone = {key: None for key, topic in forgotten.items() if scan.is_complete or topic.text in stale}
        return PublicationPlan((*clear, *switch), gone, off)

    def _expected_topics(self, current: Iterable[CommittedEvent], pending: Sequence[CommittedEvent]) -> set[str]:
        """Return the topics that are rightly retained, or will be, or that the plan of a pending event will clear."""
        expected = {event.topic.text for event in current}
        expected |= {event.topic.text for event in pending if event.standing is Standing.CURRENT}
        return expected | {
            self._retained[event.state_key].text for event in pending if event.state_key in self._retained
        }

    def _topic(self, event: CommittedEvent) -> str:
        return f"{self._event_prefix}{event.topic}"

    def _lamp_changes(self, event: CommittedEvent, lamps: dict[str, Lamp]) -> Iterable[Publication]:
        change = self._lamp(event)
        if change is None:
            return
        topic, lamp = change
        shown = lamps.get(topic) or self._lamps.get(topic)
        if shown is not None and lamp.state == LAMP_OFF and shown.call_id != lamp.call_id:
            return  # a revision of an ended call; the lamp already shows a later call
        if shown != lamp:
            lamps[topic] = lamp
            yield Publication(topic, lamp.state.encode(), retain=True)

    def _lamp(self, event: CommittedEvent) -> tuple[str, Lamp] | None:
        if event.type is not EventType.ANDON_EVENT:
            return None
        call = _CALL.decode(event.body).data
        if call.station_id is None:
            return None
        topic = LampTopic(*event.topic.line_place, call.station_id, call.andon_type)
        return f"{self._lamp_prefix}{topic}", Lamp(call.call_id, LAMP_STATES[call.status])
