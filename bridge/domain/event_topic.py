"""Topics of events, typed and relative to `{root}/event/`, and the state keys that they contain.

Source: design.md, «Message flow».
"""

from dataclasses import dataclass, field
from typing import Final, Self

from typing_extensions import override

from bridge.domain.events import CATEGORY_OF, Event, EventType, Priority
from bridge.domain.place import LinePlace, Place
from bridge.domain.topics import TopicError, TopicName

EVENT_LEVELS: Final = 8  # {site}/{area}/{line}/{equipment}/{category}/{type}/{priority}/{subject}

EVENT_WORDS: Final = tuple(
    ((CATEGORY_OF[event_type].value, event_type.value, priority.value), event_type, priority)
    for event_type in EventType
    for priority in Priority
)
"""All combinations of the levels category, type and priority, each with its event type and priority."""

_BY_WORDS: Final = {words: (words, event_type, priority) for words, event_type, priority in EVENT_WORDS}

StateKey = tuple[str, str, str, str, str, str]
"""(site, area, line, equipment or `_`, category, subject): the key of what is current, conflated and retained."""


@dataclass(eq=False)
class NotAnEventTopic(TopicError):
    """A topic without the levels of an event's topic."""

    text: str

    @override
    def __str__(self) -> str:
        return f"{self.text} is not the topic of an event"


@dataclass(frozen=True, slots=True)
class EventTopic(TopicName):
    """The topic of an event: its levels, and their meaning."""

    type: EventType = field(compare=False, repr=False)
    priority: Priority = field(compare=False, repr=False)
    state_key: StateKey = field(compare=False, repr=False)

    @classmethod
    def from_event(cls, event: Event) -> Self:
        site, area, line, equipment = event.place.levels()
        category, subject = event.category.value, event.subject
        levels = (site, area, line, equipment, category, event.type.value, event.priority.value, subject)
        state_key = (site, area, line, equipment, category, subject)
        return cls("/".join(levels), levels, event.type, event.priority, state_key)

    @override
    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a topic from the journal, without checking its ids again; raise NotAnEventTopic for another shape."""
        levels = tuple(text.split("/"))
        if len(levels) != EVENT_LEVELS:
            raise NotAnEventTopic(text)
        site, area, line, equipment, category, type_word, priority_word, subject = levels
        known_words = _BY_WORDS.get((category, type_word, priority_word))
        if known_words is None:
            raise NotAnEventTopic(text)
        words, event_type, priority = known_words  # the same words for all topics: a third less memory
        levels = (site, area, line, equipment, *words, subject)
        return cls(text, levels, event_type, priority, (site, area, line, equipment, words[0], subject))

    @property
    def place(self) -> Place:
        return Place.from_levels(self.levels[:4])

    @property
    def line_place(self) -> LinePlace:
        return self.state_key[:3]

    @override
    def __str__(self) -> str:
        return self.text


def format_state_key(key: StateKey) -> str:
    """Return the text of a state key in the journal."""
    return "/".join(key)
