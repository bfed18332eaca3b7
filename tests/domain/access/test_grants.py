"""Decisions are exact: effective is asked and granted, narrowed has a witness, and both hold against enumeration."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.access.grants import Allowed, Decision, Grant, Grants, NotGranted, decide, explain_decision
from bridge.domain.access.topic_layout import ACTIONS, COMMANDS, EVENTS, action_mask, event_mask
from bridge.domain.events import CATEGORY_OF, EventType, Priority
from bridge.domain.topics import TopicFilter, TopicName

LEVELS = (
    ("a", "b", "z"),
    ("a", "z"),
    ("a", "b", "z"),
    ("_", "z"),
    ("_", "z"),
)
WORDS = [(CATEGORY_OF[kind].value, kind.value, rank.value) for kind in EventType for rank in Priority]
UNIVERSE = [
    TopicName.parse("/".join((*ids[:4], *words, ids[4]))) for ids in itertools.product(*LEVELS) for words in WORDS
]


@st.composite
def event_filters(draw: st.DrawFn) -> TopicFilter:
    words = draw(st.sampled_from(WORDS))
    near = ("a", "a", "b", "_", *words, "_")
    levels = [draw(st.sampled_from((level, "+", "+", "+"))) for level in near]
    levels[0] = draw(st.sampled_from(("a", "b", "+")))
    cut = draw(st.integers(0, 16))
    return TopicFilter.parse("/".join([*levels[:cut], "#"] if cut < 8 else levels))


def grants_of(*texts: str | TopicFilter) -> Grants:
    made = (Grant.for_filter(EVENTS, TopicFilter.parse(str(text)), reason=f"because {text}") for text in texts)
    return Grants(EVENTS, [grant for grant in made if grant])


def matched(filters: Iterable[TopicFilter]) -> set[TopicName]:
    filters = list(filters)
    return {name for name in UNIVERSE if any(topic_filter.matches(name) for topic_filter in filters)}


def allowed(decision: Decision) -> Allowed:
    assert isinstance(decision, Allowed)
    return decision


def refused(decision: Decision) -> NotGranted:
    assert isinstance(decision, NotGranted)
    return decision


@settings(max_examples=150, deadline=None)
@given(event_filters(), st.lists(event_filters(), max_size=5))
def test_delivery_is_exactly_the_requested_and_granted(requested: TopicFilter, granted: list[TopicFilter]) -> None:
    decision = decide(requested, grants_of(*granted))
    requested_topics, permitted = matched([requested]), matched(granted)
    witness = decision.witness
    if isinstance(decision, Allowed):
        assert matched(decision.effective) == requested_topics & permitted
        assert (witness is None) == (requested_topics <= permitted)
    else:
        assert not requested_topics & permitted
        assert witness is not None
    if witness is not None:
        assert requested.matches(witness)
        assert not any(grant.matches(witness) for grant in granted)
        assert EVENTS.region(TopicFilter.parse(str(witness))) is not None


@settings(max_examples=60, deadline=None)
@given(st.lists(event_filters(), max_size=5))
def test_the_check_at_delivery_agrees_with_the_filters(granted: list[TopicFilter]) -> None:
    grants = grants_of(*granted)
    assert {name for name in UNIVERSE if grants.find(name)} == matched(granted)


@settings(max_examples=60, deadline=None)
@given(event_filters(), st.lists(event_filters(), max_size=5))
def test_no_effective_filter_is_covered_by_another(requested: TopicFilter, granted: list[TopicFilter]) -> None:
    decision = decide(requested, grants_of(*granted))
    effective = decision.effective if isinstance(decision, Allowed) else ()
    for one, other in itertools.permutations(effective, 2):
        assert not matched([one]) <= matched([other])


def test_several_grants_together_can_cover_a_request_that_none_covers_alone() -> None:
    kinds = ("job_assigned", "job_started", "job_completed", "job_cancelled")
    all_kinds = grants_of(*(f"+/+/+/+/job/{kind}/#" for kind in kinds))
    assert not allowed(decide(TopicFilter.parse("+/+/L1/+/job/#"), all_kinds)).narrowed
    without_one = grants_of(*(f"+/+/+/+/job/{kind}/#" for kind in kinds[1:]))
    decision = allowed(decide(TopicFilter.parse("+/+/L1/+/job/#"), without_one))
    assert str(decision.witness) == "any/any/L1/any/job/job_assigned/critical/any"


def test_all_categories_with_all_priorities_are_everything() -> None:
    decision = decide(TopicFilter.parse("#"), grants_of(*(f"+/+/+/+/+/+/{rank.value}/#" for rank in Priority)))
    assert not allowed(decision).narrowed
    most = grants_of(*(f"+/+/+/+/+/+/{rank.value}/#" for rank in Priority if rank is not Priority.LOW))
    assert allowed(decide(TopicFilter.parse("#"), most)).narrowed


def test_a_request_for_a_whole_tree_is_narrowed_to_the_granted_level() -> None:
    decision = allowed(decide(TopicFilter.parse("S1/#"), grants_of("S1/A1/L1/#", "S2/#")))
    assert [str(topic_filter) for topic_filter in decision.effective] == ["S1/A1/L1/#"]
    assert [grant.reason for grant in decision.grants] == ["because S1/A1/L1/#"]


@pytest.mark.parametrize(
    "text",
    [
        "$SYS/#",
        "$CONTROL/#",
        "a",
        "a/b/c/d/andon/andon_event/high",
        "a/b/c/d/andon/andon_event/high/x/y",
        "a/b/c/d/andon/andon_event/high/x/y/#",
        "+/+/+/+/weather/#",
        "+/+/+/+/andon/oee_update/#",
        "+/+/+/+/andon/+/urgent/#",
        "../#",
        "a//b/#",
        "_/#",
        "+/+/+/_x/#",
        "\ufeffa/#",
        "x" * 65 + "/#",
    ],
)
def test_a_filter_that_no_event_matches_is_refused_despite_all_grants(text: str) -> None:
    assert refused(decide(TopicFilter.parse(text), grants_of("#"))).witness is None


def test_nothing_granted_is_nothing_allowed() -> None:
    decision = refused(decide(TopicFilter.parse("+/+/L1/#"), grants_of()))
    assert str(decision.witness) == "any/any/L1/any/line/line_status_update/critical/any"
    refused(decide(TopicFilter.parse("A/#"), grants_of("a/#")))


def test_a_witness_is_made_of_the_request_and_of_ids_that_no_grant_names() -> None:
    decision = allowed(decide(TopicFilter.parse("+/+/any/#"), grants_of("any/#", "any0/#", "secret/+/L9/#")))
    assert str(decision.witness) == "any1/any1/any/any1/line/line_status_update/critical/any1"


def test_ways_narrow_the_question() -> None:
    only = event_mask([EventType.ANDON_EVENT], None)
    grants = grants_of("+/+/+/+/andon/#")
    assert not allowed(decide(TopicFilter.parse("#"), grants, mask=only)).narrowed
    assert allowed(decide(TopicFilter.parse("#"), grants)).narrowed
    assert refused(decide(TopicFilter.parse("+/+/+/+/job/#"), grants, mask=only)).witness is None


def test_an_explanation_is_plain_data_with_its_reasons() -> None:
    grants = grants_of("S1/#")
    assert explain_decision(decide(TopicFilter.parse("S1/A/#"), grants)) == {
        "allowed": True,
        "effective": ["S1/A/#"],
        "narrowed": False,
        "witness": None,
        "grants": [{"filter": "S1/#", "reason": "because S1/#"}],
    }
    assert explain_decision(decide(TopicFilter.parse("S2/A/#"), grants)) == {
        "allowed": False,
        "witness": "S2/A/any/any/line/line_status_update/critical/any",
        "reason": "no grant reaches any topic of it",
    }


def test_a_thousand_hostile_grants_cost_one_look_each() -> None:
    """Every grant fixes other levels; a search over combinations of their ids would never end."""
    patterns = itertools.cycle(itertools.product((True, False), repeat=4))
    grants = grants_of(
        *(
            "/".join(f"i{number % 7}{level}" if fixed else "+" for level, fixed in enumerate(next(patterns)))
            + f"/+/+/{list(Priority)[number % 4].value}/+"
            for number in range(1_000)
        )
    )
    for text in ("#", "i00/#", "i00/+/i02/#", "i60/i61/i62/+/+/+/low/#"):
        decision = allowed(decide(TopicFilter.parse(text), grants))
        assert decision.witness is None or not grants.find(decision.witness)


def test_command_grants_hold_the_actions_they_name() -> None:
    grant = Grant.for_filter(COMMANDS, TopicFilter.parse("S1/+/+/+/+"), reason="r", actions=["andon.raise", "job.*"])
    assert grant is not None
    grants = Grants(COMMANDS, [grant])
    may = [action for action in ACTIONS if isinstance(decide_action("S1/A1/L1/_", action, grants), Allowed)]
    assert may == ["andon.raise", *(action for action in ACTIONS if action.startswith("job."))]
    refused(decide_action("S2/A1/L1/_", "andon.raise", grants))


def decide_action(place: str, action: str, grants: Grants) -> Decision:
    topic = TopicFilter.parse(f"{place}/{action.partition('.')[0]}")
    return decide(topic, grants, mask=action_mask([action]))


def test_a_command_grant_of_some_actions_of_a_kind_is_a_narrowed_one() -> None:
    grant = Grant.for_filter(COMMANDS, TopicFilter.parse("#"), reason="r", actions=["quality.clear", "andon.raise"])
    assert grant is not None
    grants = Grants(COMMANDS, [grant])
    assert not allowed(decide(TopicFilter.parse("+/+/+/+/quality"), grants)).narrowed
    assert allowed(decide(TopicFilter.parse("+/+/+/+/andon"), grants)).narrowed
    refused(decide(TopicFilter.parse("+/+/+/+/job"), grants))


def test_unknown_actions_are_none() -> None:
    assert action_mask(["andon.fly", "sabotage.*", ""]) == 0
    assert Grant.for_filter(COMMANDS, TopicFilter.parse("#"), reason="r", actions=[]) is None
