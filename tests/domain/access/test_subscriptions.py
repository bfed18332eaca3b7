"""The subscription table of design.md, row by row; what is refused, and what an admitted subscription shows."""

import pytest

from bridge.domain.access.subscription_request import (
    MAX_TARGETS,
    parse_subscription,
    parse_unsubscription,
    selects_same,
)
from bridge.domain.access.subscription_types import SubscriptionError, SubscriptionType

ABSENT = object()


def filters(kind: str, target: object = ABSENT, **more: object) -> list[str]:
    body = {"subscription_type": kind, **({} if target is ABSENT else {"target_id": target}), **more}
    return [str(topic_filter) for topic_filter in parse_subscription(body).filters]


BY_CATEGORY = ("production", "oee", "downtime", "andon", "quality", "changeover")


@pytest.mark.parametrize("target", [ABSENT, "all", ["all"]])
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *(("line", "#"), ("equipment", "#"), ("job", "+/+/+/+/job/#"), ("escalation", "+/+/+/+/escalation/#")),
        *((kind, f"+/+/+/+/{kind}/#") for kind in BY_CATEGORY),
    ],
)
def test_all_and_an_omitted_target_are_everything_of_the_type(kind: str, target: object, expected: str) -> None:
    assert filters(kind, target) == [expected]


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [
        ("line", "L1", "+/+/L1/#"),
        ("line", "line:L1", "+/+/L1/#"),
        ("line", "S1/A1/L1", "S1/A1/L1/#"),
        ("equipment", "E1", "+/+/+/E1/#"),
        ("equipment", "equipment:E1", "+/+/+/E1/#"),
        ("equipment", "line:L1", "+/+/L1/#"),
        ("equipment", "S1/A1/L1/E1", "S1/A1/L1/E1/#"),
        ("line", "equipment:E1", "+/+/+/E1/#"),
        ("job", "J1", "+/+/+/+/job/+/+/J1"),
        ("job", "job:J1", "+/+/+/+/job/+/+/J1"),
        ("job", "line:L1", "+/+/L1/+/job/#"),
        ("job", "me", "+/+/+/+/job/#"),
        *((kind, "L1", f"+/+/L1/+/{kind}/#") for kind in BY_CATEGORY),
        *((kind, "line:L1", f"+/+/L1/+/{kind}/#") for kind in BY_CATEGORY),
        *((kind, "equipment:E1", f"+/+/+/E1/{kind}/#") for kind in BY_CATEGORY),
        *((kind, "S1/A1/L1", f"S1/A1/L1/+/{kind}/#") for kind in (*BY_CATEGORY, "job", "escalation")),
        *((kind, "S1/A1/L1/E1", f"S1/A1/L1/E1/{kind}/#") for kind in (*BY_CATEGORY, "job", "escalation")),
        ("job", "equipment:E1", "+/+/+/E1/job/#"),
        ("escalation", "equipment:E1", "+/+/+/E1/escalation/#"),
        ("andon", "line:all", "+/+/all/+/andon/#"),
        ("escalation", "escalation:X.1", "+/+/+/+/escalation/+/+/X.1"),
        ("escalation", "priority:high", "+/+/+/+/escalation/+/high/+"),
        ("escalation", "critical", "+/+/+/+/escalation/+/critical/+"),
        ("escalation", "line:L1", "+/+/L1/+/escalation/#"),
        ("escalation", "me", "+/+/+/+/escalation/#"),
    ],
)
def test_every_form_of_a_target_is_one_filter(kind: str, target: str, expected: str) -> None:
    assert filters(kind, target) == [expected]
    assert parse_subscription({"subscription_type": kind, "target": target}).filters == (
        parse_subscription({"subscription_type": kind, "target_id": [target, target]}).filters
    )


def test_the_types_are_the_ten_of_the_protocol() -> None:
    assert len(SubscriptionType) == 10


def test_a_list_of_targets_is_a_list_of_filters() -> None:
    assert filters("andon", ["L1", "equipment:E2"]) == ["+/+/L1/+/andon/#", "+/+/+/E2/andon/#"]


def test_a_raw_filter_stands_alone_or_narrows_its_type() -> None:
    assert [str(topic_filter) for topic_filter in parse_subscription({"mqtt_filter": "S1/+/+/+/andon/#"}).filters] == [
        "S1/+/+/+/andon/#"
    ]
    assert filters("andon", ["L1", "L2"], mqtt_filter="S1/+/L1/#") == ["S1/+/L1/+/andon/#"]


LINE: dict[str, object] = {"subscription_type": "line"}


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("INVALID_MESSAGE", {}),
        *(("INVALID_MESSAGE", {"subscription_type": value}) for value in (None, 7, True, ["line"])),
        *(("UNKNOWN_SUBSCRIPTION_TYPE", {"subscription_type": value}) for value in ("Line", "", "weather", "x" * 999)),
        *(("MISSING_TARGET_ID", {**LINE, "target_id": value}) for value in (None, "", [], [""], ["L1", None])),
        ("MISSING_TARGET_ID", {**LINE, "target": ""}),
        *(("INVALID_MESSAGE", {**LINE, "target_id": value}) for value in (7, True, {}, {"L1": 1}, ["L1", 7], [["L1"]])),
        *(
            ("INVALID_MESSAGE", {**LINE, "target_id": value})
            for value in (
                "+",
                "#",
                "$SYS",
                "L1/#",
                "a/b",
                "+/+/L1",
                "a/b/c/d/e",
                ".*",
                "L1\n",
                "\0",
                "me",
                "job:J1",
                "x:y",
                ":L1",
                "line:",
                "line:equipment:E1",
                "line:S1/A1/L1",
            )
        ),
        *(
            ("INVALID_MESSAGE", {"subscription_type": "escalation", "target_id": value})
            for value in ("L1", "priority:x")
        ),
        ("INVALID_MESSAGE", {"subscription_type": "job", "target_id": ["me", "J1"]}),
        ("INVALID_MESSAGE", {"subscription_type": "andon", "target_id": "me"}),
        ("INVALID_MESSAGE", {**LINE, "target_id": "L1", "target": "L2"}),
        ("LIMIT_EXCEEDED", {**LINE, "target_id": [f"L{number}" for number in range(MAX_TARGETS + 1)]}),
        *(("INVALID_MESSAGE", {**LINE, "strict": value}) for value in (1, "true")),
        ("INVALID_MESSAGE", {**LINE, "snapshot": 0}),
        *(("INVALID_MESSAGE", {**LINE, "filters": value}) for value in (7, "high", ["high"])),
        *(
            ("INVALID_MESSAGE", {**LINE, "filters": {"event_types": value}})
            for value in ([], "andon_event", ["andon"], [7], [None], [["andon_event"]])
        ),
        ("INVALID_MESSAGE", {**LINE, "filters": {"priorities": ["urgent"]}}),
        *(("INVALID_MESSAGE", {**LINE, "id": value}) for value in (7, "", "x" * 129)),
        *(("INVALID_MESSAGE", {"mqtt_filter": value}) for value in (7, "", "a#", "$share/g/x", "a/\0", "/" * 200)),
        ("INVALID_MESSAGE", {"mqtt_filter": "#", "target_id": "L1"}),
        ("INVALID_MESSAGE", {"subscription_type": "andon", "mqtt_filter": "+/+/+/+/job/#"}),
    ],
)
def test_an_invalid_subscription_is_refused_with_its_code(code: str, body: dict[str, object]) -> None:
    with pytest.raises(SubscriptionError) as caught:
        parse_subscription(body)
    assert caught.value.code == code
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"id": 7}, "`id`: must be a string"),
        ({"strict": "`$.target`"}, "`strict`: must be true or false"),
        ({"filters": {"priorities": ["high", "`$.target`"]}}, "`filters.priorities`"),
        ({"target_id": {"`$.id`": 1}}, "`target_id`: must be a string or an array"),
    ],
)
def test_an_error_names_the_field_and_quotes_nothing_of_its_value(body: dict[str, object], fault: str) -> None:
    with pytest.raises(SubscriptionError) as caught:
        parse_subscription({**LINE, **body})
    assert caught.value.message == f"subscription: invalid value for {fault}"


def test_unsubscribing_names_the_id_or_the_same_type_and_target() -> None:
    made = parse_subscription(
        {"id": "mine", "subscription_type": "andon", "target": ["L2", "L1"], "filters": {"priorities": ["high"]}}
    )

    def means(body: dict[str, object]) -> bool:
        unsubscription = parse_unsubscription(body)
        return unsubscription == made.id if isinstance(unsubscription, str) else selects_same(made, unsubscription)

    assert means({"id": "mine"})
    assert means({"subscription_type": "andon", "target_id": ["L1", "line:L2"]})
    assert not means({"id": "yours", "subscription_type": "andon", "target_id": ["L1", "L2"]})
    assert not means({"subscription_type": "andon", "target_id": "L1"})
    assert not means({"subscription_type": "quality", "target_id": ["L1", "L2"]})
    assert not selects_same(
        parse_subscription({"subscription_type": "job"}),
        parse_subscription({"subscription_type": "job", "target": "me"}),
    )
    with pytest.raises(SubscriptionError):
        parse_unsubscription({})
