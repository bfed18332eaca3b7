"""An index over effective filters and masks, with the audiences of what it finds, selects what `matches` does."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.access.subscription_request import parse_subscription
from bridge.domain.access.subscriptions import Subscription, admit_subscription
from bridge.domain.access.topic_layout import EVENTS
from bridge.domain.event_topic import EVENT_WORDS, EventTopic
from bridge.domain.events import EventType, Priority
from bridge.domain.filter_index import FilterIndex
from tests.support.viewers import viewer

PLACES = ("north/pack/L1/M1", "north/pack/L1/_", "north/pack/L2/M2", "south/bake/L3/M1")
TOPICS = [
    EventTopic.parse("/".join((place, *words, subject)))
    for place, (words, _, _), subject in itertools.product(PLACES, EVENT_WORDS, ("_", "x1"))
]
AUDIENCES = ((), ("eva",), ("maintenance", "quality"))

masks = st.fixed_dictionaries(
    {},
    optional={
        "event_types": st.lists(st.sampled_from([kind.value for kind in EventType]), min_size=1, max_size=3),
        "priorities": st.lists(st.sampled_from([rank.value for rank in Priority]), min_size=1, max_size=2),
    },
)
selections = st.sampled_from(
    (
        {"subscription_type": "line", "target_id": ["L1", "L3"]},
        {"subscription_type": "andon", "target_id": "north/pack/L1"},
        {"subscription_type": "equipment", "target_id": "M1"},
        {"subscription_type": "job", "target_id": "me"},
        {"subscription_type": "escalation", "target_id": "me"},
        {"subscription_type": "escalation", "target_id": ["critical", "escalation:x1"]},
        {"mqtt_filter": "#"},
        {"mqtt_filter": "north/+/+/_/#"},
        {"mqtt_filter": "+/pack/+/+/+/+/high/x1"},
    )
)
viewers = st.sampled_from((viewer(), viewer(role="operator", lines=["L1", "L2"])))
subscriptions = st.builds(
    lambda body, filters, user: admit_subscription(parse_subscription({**body, "filters": filters}), user),
    selections,
    masks,
    viewers,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(subscriptions, max_size=6), st.sampled_from(AUDIENCES))
def test_what_the_index_finds_for_an_audience_is_what_the_subscriptions_match(
    admissions: list[object], audience: tuple[str, ...]
) -> None:
    admitted = [subscription for subscription in admissions if isinstance(subscription, Subscription)]
    index: FilterIndex[int] = FilterIndex()
    for number, subscription in enumerate(admitted):
        for topic_filter in subscription.effective:
            index.add(topic_filter, number, mask=subscription.acceptance.mask)
    for topic in TOPICS:
        words = EVENTS.word_mask(topic)
        accepting = {
            number for number in index.match_masked(topic, words) if admitted[number].acceptance.is_for(audience)
        }
        matching = {
            number for number, subscription in enumerate(admitted) if subscription.matches(topic, audience=audience)
        }
        assert accepting == matching
