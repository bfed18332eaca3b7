"""The subscription table of design.md, row by row; what is refused, and what an admitted subscription shows."""

import pytest

from bridge.domain.access.claims import Claims
from bridge.domain.access.grants import MAX_GRANTS, NotGranted
from bridge.domain.access.policy import Policy
from bridge.domain.access.subscription_request import (
    MAX_TARGETS,
    is_same_selection,
    parse_subscription,
    parse_unsubscription,
)
from bridge.domain.access.subscription_types import SubscriptionError, SubscriptionType
from bridge.domain.access.subscriptions import Subscription, admit_subscription
from bridge.domain.access.topic_layout import event_mask
from bridge.domain.access.viewer import Viewer, admit
from bridge.domain.events import CATEGORY_OF, EventType, Priority
from bridge.domain.topics import TopicName

ABSENT = object()


def filters(kind: str, target: object = ABSENT, **more: object) -> list[str]:
    body = {"subscription_type": kind, **({} if target is ABSENT else {"target_id": target}), **more}
    return [str(each) for each in parse_subscription(body).filters]


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
    assert [str(each) for each in parse_subscription({"mqtt_filter": "S1/+/+/+/andon/#"}).filters] == [
        "S1/+/+/+/andon/#"
    ]
    assert filters("andon", ["L1", "L2"], mqtt_filter="S1/+/L1/#") == ["S1/+/L1/+/andon/#"]


LINE: dict[str, object] = {"subscription_type": "line"}


@pytest.mark.parametrize(
    ("code", "body"),
    [
        ("INVALID_MESSAGE", {}),
        *(("INVALID_MESSAGE", {"subscription_type": each}) for each in (None, 7, True, ["line"])),
        *(("UNKNOWN_SUBSCRIPTION_TYPE", {"subscription_type": each}) for each in ("Line", "", "weather", "x" * 999)),
        *(("MISSING_TARGET_ID", {**LINE, "target_id": each}) for each in (None, "", [], [""], ["L1", None])),
        ("MISSING_TARGET_ID", {**LINE, "target": ""}),
        *(("INVALID_MESSAGE", {**LINE, "target_id": each}) for each in (7, True, {}, {"L1": 1}, ["L1", 7], [["L1"]])),
        *(
            ("INVALID_MESSAGE", {**LINE, "target_id": each})
            for each in (
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
        *(("INVALID_MESSAGE", {"subscription_type": "escalation", "target_id": each}) for each in ("L1", "priority:x")),
        ("INVALID_MESSAGE", {"subscription_type": "job", "target_id": ["me", "J1"]}),
        ("INVALID_MESSAGE", {"subscription_type": "andon", "target_id": "me"}),
        ("INVALID_MESSAGE", {**LINE, "target_id": "L1", "target": "L2"}),
        ("LIMIT_EXCEEDED", {**LINE, "target_id": [f"L{number}" for number in range(MAX_TARGETS + 1)]}),
        *(("INVALID_MESSAGE", {**LINE, "strict": each}) for each in (1, "true")),
        ("INVALID_MESSAGE", {**LINE, "snapshot": 0}),
        *(("INVALID_MESSAGE", {**LINE, "filters": each}) for each in (7, "high", ["high"])),
        *(
            ("INVALID_MESSAGE", {**LINE, "filters": {"event_types": each}})
            for each in ([], "andon_event", ["andon"], [7], [None], [["andon_event"]])
        ),
        ("INVALID_MESSAGE", {**LINE, "filters": {"priorities": ["urgent"]}}),
        *(("INVALID_MESSAGE", {**LINE, "id": each}) for each in (7, "", "x" * 129)),
        *(("INVALID_MESSAGE", {"mqtt_filter": each}) for each in (7, "", "a#", "$share/g/x", "a/\0", "/" * 200)),
        ("INVALID_MESSAGE", {"mqtt_filter": "#", "target_id": "L1"}),
        ("INVALID_MESSAGE", {"subscription_type": "andon", "mqtt_filter": "+/+/+/+/job/#"}),
    ],
)
def test_what_is_no_subscription_is_refused_with_its_code(code: str, body: dict[str, object]) -> None:
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
        meant = parse_unsubscription(body)
        return meant == made.id if isinstance(meant, str) else is_same_selection(made, meant)

    assert means({"id": "mine"})
    assert means({"subscription_type": "andon", "target_id": ["L1", "line:L2"]})
    assert not means({"id": "yours", "subscription_type": "andon", "target_id": ["L1", "L2"]})
    assert not means({"subscription_type": "andon", "target_id": "L1"})
    assert not means({"subscription_type": "quality", "target_id": ["L1", "L2"]})
    assert not is_same_selection(
        parse_subscription({"subscription_type": "job"}),
        parse_subscription({"subscription_type": "job", "target": "me"}),
    )
    with pytest.raises(SubscriptionError):
        parse_unsubscription({})


POLICY = Policy.parse(
    """
    [roles.viewer]
    read = ["+/+/{line}/#"]
    [roles.maintenance]
    read = ["+/+/{line}/#"]
    [roles.admin]
    unscoped = true
    read = ["#"]
    """
)


def viewer(*roles: str, trust_grants: bool = False, **statements: object) -> Viewer:
    claims = Claims("u1", "floor", 1, None, {"roles": list(roles), **statements})
    return admit(claims, POLICY, trust_grants=trust_grants)


def admitted(who: Viewer, **body: object) -> Subscription:
    found = admit_subscription(parse_subscription(body), who)
    assert isinstance(found, Subscription), found
    return found


def refused(who: Viewer, **body: object) -> NotGranted:
    found = admit_subscription(parse_subscription(body), who)
    assert isinstance(found, NotGranted), found
    return found


def topic(place: str, kind: str, priority: str = "medium", subject: str = "x1") -> TopicName:
    return TopicName.parse(f"{place}/{CATEGORY_OF[EventType(kind)].value}/{kind}/{priority}/{subject}")


def test_a_subscription_within_the_grants_stands_as_asked() -> None:
    found = admitted(viewer("viewer", lines=["L1"]), subscription_type="andon", target_id="L1", strict=True)
    assert ([str(each) for each in found.effective], found.narrowed) == (["+/+/L1/+/andon/#"], False)
    assert found.matches(topic("S1/A1/L1/E1", "andon_event"))
    assert not found.matches(topic("S1/A1/L2/E1", "andon_event"))
    assert not found.matches(topic("S1/A1/L1/E1", "oee_update"))
    assert not found.matches(TopicName.parse("S1/A1/L1/E1/andon/andon_event/medium"))


def test_a_wider_one_is_narrowed_to_the_grants_and_says_so() -> None:
    found = admitted(viewer("viewer", lines=["L1", "L2"]), subscription_type="andon")
    assert [str(each) for each in found.effective] == ["+/+/L1/+/andon/#", "+/+/L2/+/andon/#"]
    assert found.narrowed
    assert str(found.witness) == "any/any/any/any/andon/andon_event/critical/any"
    assert found.matches(topic("S1/A1/L2/_", "andon_event"))
    assert not found.matches(topic("S1/A1/L3/_", "andon_event"))


def test_a_strict_one_is_refused_where_it_would_be_narrowed() -> None:
    who = viewer("viewer", lines=["L1"])
    assert refused(who, subscription_type="andon", strict=True).witness is not None
    assert refused(who, subscription_type="line", target_id=["L1", "L2"], strict=True).witness == TopicName.parse(
        "any/any/L2/any/line/line_status_update/critical/any"
    )


def test_one_target_that_is_not_granted_narrows_the_others() -> None:
    found = admitted(viewer("viewer", lines=["L1"]), subscription_type="line", target_id=["L2", "L1"])
    assert ([str(each) for each in found.effective], found.narrowed) == (["+/+/L1/#"], True)


def test_nothing_granted_is_refused_with_a_witness() -> None:
    assert str(refused(viewer("viewer", lines=["L1"]), subscription_type="line", target_id="L2").witness) == (
        "any/any/L2/any/line/line_status_update/critical/any"
    )
    assert refused(viewer(), subscription_type="job", target_id="me").witness is not None
    assert refused(viewer("admin"), mqtt_filter="$SYS/#").witness is None
    assert refused(viewer("admin"), mqtt_filter="a/b").witness is None


def test_masks_narrow_what_is_shown_and_what_is_asked() -> None:
    mask = {"event_types": ["andon_event", "job_started"], "priorities": ["critical", "high"]}
    found = admitted(viewer("admin"), subscription_type="line", target_id="L1", filters=mask)
    assert found.matches(topic("S/A/L1/_", "andon_event", "high"))
    assert not found.matches(topic("S/A/L1/_", "andon_event", "low"))
    assert not found.matches(topic("S/A/L1/_", "job_completed", "high"))
    granted = viewer(grants={"read": ["+/+/+/+/andon/#"]}, trust_grants=True)
    only = admitted(granted, subscription_type="line", filters={"event_types": ["andon_event"]}, strict=True)
    assert ([str(each) for each in only.effective], only.narrowed) == (["+/+/+/+/andon/#"], False)
    assert refused(viewer("admin"), subscription_type="job", filters={"event_types": ["andon_event"]}).witness is None


def test_my_jobs_are_those_assigned_to_me_as_far_as_grants_allow() -> None:
    found = admitted(viewer("viewer", lines=["L1"]), subscription_type="job", target_id="me")
    assert found.matches(topic("S/A/L1/_", "job_assigned"), audience=("u1",))
    assert not found.matches(topic("S/A/L1/_", "job_assigned"), audience=("u2",))
    assert not found.matches(topic("S/A/L1/_", "job_assigned"))
    assert not found.matches(topic("S/A/L2/_", "job_assigned"), audience=("u1",))
    assert not found.matches(topic("S/A/L1/_", "job_assigned"), audience=("viewer",))


def test_my_escalations_are_those_that_call_one_of_my_roles() -> None:
    found = admitted(viewer("viewer", "maintenance", lines=["L1"]), subscription_type="escalation", target="me")
    assert found.matches(topic("S/A/L1/_", "escalation_update"), audience=("team_leader", "maintenance"))
    assert not found.matches(topic("S/A/L1/_", "escalation_update"), audience=("team_leader", "u1"))


def test_a_line_that_is_named_me_is_still_within_reach() -> None:
    found = admitted(viewer("admin"), subscription_type="job", target_id="line:me")
    assert found.matches(topic("S/A/me/_", "job_assigned"), audience=("u2",))


def test_every_target_of_a_long_list_is_decided_and_the_number_of_filters_is_bounded() -> None:
    half = MAX_GRANTS // 2
    reads = [f"S{number}/#" for number in range(half)]
    who = viewer(grants={"read": reads}, trust_grants=True)
    lines = [f"L{number}" for number in range(MAX_TARGETS)]
    assert len(admitted(who, subscription_type="line", target_id=lines[:2]).effective) == 2 * half
    assert "filters" in refused(who, subscription_type="line", target_id=lines).reason


def test_a_selection_keeps_what_was_sent() -> None:
    body = {"subscription_type": "line", "target": ["L1"], "id": "s1", "snapshot": False, "unknown": {"a": 1}}
    made = parse_subscription({**body, "filters": {"priorities": ["high"], "event_types": None}})
    assert (made.id, made.target_id, made.snapshot, made.strict) == ("s1", ("L1",), False, False)
    assert made.mask == event_mask(None, [Priority.HIGH])
