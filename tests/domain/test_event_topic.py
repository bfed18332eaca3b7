"""Topics of events: the same from an event and from its text, and no other shape."""

import pytest

from bridge.domain.event_topic import EventTopic, NotAnEventTopic, format_state_key
from bridge.domain.events import CATEGORY_OF, EventType, Priority
from bridge.domain.place import Place
from tests.support.journal_samples import event


def test_levels_are_place_words_and_subject() -> None:
    topic = EventTopic.from_event(event("c1"))
    assert str(topic) == "plant/packing/bagger-1/_/changeover/changeover_started/medium/c1"
    assert topic.levels == tuple(topic.text.split("/"))
    assert topic.line_place == ("plant", "packing", "bagger-1")
    assert format_state_key(topic.state_key) == "plant/packing/bagger-1/_/changeover/c1"


@pytest.mark.parametrize("kind", EventType)
@pytest.mark.parametrize("priority", Priority)
@pytest.mark.parametrize("place", [Place("S", "A", "L"), Place("S", "A", "L", "E")], ids=["line", "equipment"])
def test_text_parses_to_the_topic_of_the_event(kind: EventType, priority: Priority, place: Place) -> None:
    text = "/".join((*place.levels(), CATEGORY_OF[kind], kind, priority, "x"))
    topic = EventTopic.parse(text)
    assert (topic.text, topic.levels, topic.type, topic.priority) == (text, tuple(text.split("/")), kind, priority)
    assert (topic.place, topic.line_place) == (place, ("S", "A", "L"))
    assert topic.state_key == (*place.levels(), CATEGORY_OF[kind].value, "x")


def test_topic_of_an_event_equals_its_parsed_text() -> None:
    made = EventTopic.from_event(event("c1"))
    parsed = EventTopic.parse(made.text)
    assert parsed == made
    for name in ("levels", "type", "priority", "state_key"):
        assert getattr(parsed, name) == getattr(made, name), name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "S/A/L/E/andon/andon_event/high",
        "S/A/L/E/andon/andon_event/high/x/y",
        "S/A/L/E/andon/andon_event/urgent/x",
        "S/A/L/E/andon/another_event/high/x",
        "S/A/L/E/line/andon_event/high/x",
        "S/A/L/E/andon/+/high/x",
    ],
)
def test_text_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(NotAnEventTopic) as caught:
        EventTopic.parse(text)
    assert caught.value.text == text
