"""Admission of subscriptions within a viewer's grants."""

from bridge.domain.access.claims import Claims
from bridge.domain.access.grants import MAX_GRANTS, NotGranted
from bridge.domain.access.policy import Policy
from bridge.domain.access.subscription_request import MAX_TARGETS, parse_subscription
from bridge.domain.access.subscriptions import Subscription, admit_subscription
from bridge.domain.access.topic_layout import event_mask
from bridge.domain.access.viewer import Viewer, admit
from bridge.domain.events import CATEGORY_OF, EventType, Priority
from bridge.domain.topics import TopicName

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


def admitted(user: Viewer, **body: object) -> Subscription:
    subscription = admit_subscription(parse_subscription(body), user)
    assert isinstance(subscription, Subscription), subscription
    return subscription


def refused(user: Viewer, **body: object) -> NotGranted:
    refusal = admit_subscription(parse_subscription(body), user)
    assert isinstance(refusal, NotGranted), refusal
    return refusal


def topic(place: str, kind: str, priority: str = "medium", subject: str = "x1") -> TopicName:
    return TopicName.parse(f"{place}/{CATEGORY_OF[EventType(kind)].value}/{kind}/{priority}/{subject}")


def test_a_subscription_within_the_grants_is_admitted_as_requested() -> None:
    subscription = admitted(viewer("viewer", lines=["L1"]), subscription_type="andon", target_id="L1", strict=True)
    assert ([str(topic_filter) for topic_filter in subscription.effective], subscription.narrowed) == (
        ["+/+/L1/+/andon/#"],
        False,
    )
    assert subscription.matches(topic("S1/A1/L1/E1", "andon_event"))
    assert not subscription.matches(topic("S1/A1/L2/E1", "andon_event"))
    assert not subscription.matches(topic("S1/A1/L1/E1", "oee_update"))
    assert not subscription.matches(TopicName.parse("S1/A1/L1/E1/andon/andon_event/medium"))


def test_a_wider_subscription_is_narrowed_to_the_grants_and_marked() -> None:
    subscription = admitted(viewer("viewer", lines=["L1", "L2"]), subscription_type="andon")
    assert [str(topic_filter) for topic_filter in subscription.effective] == ["+/+/L1/+/andon/#", "+/+/L2/+/andon/#"]
    assert subscription.narrowed
    assert str(subscription.allowed.witness) == "any/any/any/any/andon/andon_event/critical/any"
    assert subscription.matches(topic("S1/A1/L2/_", "andon_event"))
    assert not subscription.matches(topic("S1/A1/L3/_", "andon_event"))


def test_a_strict_one_is_refused_where_it_would_be_narrowed() -> None:
    user = viewer("viewer", lines=["L1"])
    assert refused(user, subscription_type="andon", strict=True).witness is not None
    assert refused(user, subscription_type="line", target_id=["L1", "L2"], strict=True).witness == TopicName.parse(
        "any/any/L2/any/line/line_status_update/critical/any"
    )


def test_one_target_that_is_not_granted_narrows_the_others() -> None:
    subscription = admitted(viewer("viewer", lines=["L1"]), subscription_type="line", target_id=["L2", "L1"])
    assert ([str(topic_filter) for topic_filter in subscription.effective], subscription.narrowed) == (
        ["+/+/L1/#"],
        True,
    )


def test_nothing_granted_is_refused_with_a_witness() -> None:
    assert str(refused(viewer("viewer", lines=["L1"]), subscription_type="line", target_id="L2").witness) == (
        "any/any/L2/any/line/line_status_update/critical/any"
    )
    assert refused(viewer(), subscription_type="job", target_id="me").witness is not None
    assert refused(viewer("admin"), mqtt_filter="$SYS/#").witness is None
    assert refused(viewer("admin"), mqtt_filter="a/b").witness is None


def test_masks_narrow_what_is_shown_and_what_is_asked() -> None:
    mask = {"event_types": ["andon_event", "job_started"], "priorities": ["critical", "high"]}
    subscription = admitted(viewer("admin"), subscription_type="line", target_id="L1", filters=mask)
    assert subscription.matches(topic("S/A/L1/_", "andon_event", "high"))
    assert not subscription.matches(topic("S/A/L1/_", "andon_event", "low"))
    assert not subscription.matches(topic("S/A/L1/_", "job_completed", "high"))
    granted = viewer(grants={"read": ["+/+/+/+/andon/#"]}, trust_grants=True)
    only = admitted(granted, subscription_type="line", filters={"event_types": ["andon_event"]}, strict=True)
    assert ([str(topic_filter) for topic_filter in only.effective], only.narrowed) == (["+/+/+/+/andon/#"], False)
    assert refused(viewer("admin"), subscription_type="job", filters={"event_types": ["andon_event"]}).witness is None


def test_a_target_that_the_masks_exclude_asks_for_nothing() -> None:
    high = {"priorities": ["critical"]}
    body = {"subscription_type": "escalation", "target_id": ["critical", "medium"], "filters": high}
    whole = admitted(viewer("admin"), **body, strict=True)
    assert [str(topic_filter) for topic_filter in whole.effective] == ["+/+/+/+/escalation/+/critical/+"]
    assert not whole.narrowed
    assert whole.allowed.witness is None
    line = viewer("viewer", lines=["L1"])
    assert str(admitted(line, **body).allowed.witness) == "any/any/any/any/escalation/escalation_update/critical/any"
    nothing = {**body, "filters": {"priorities": ["low"]}}
    assert refused(viewer("admin"), **nothing) == refused(line, **nothing)
    assert refused(line, **nothing).witness is None


def test_a_list_with_nothing_granted_is_refused_with_a_witness() -> None:
    body = {"subscription_type": "line", "target_id": ["L2", "L3"]}
    assert str(refused(viewer("viewer", lines=["L1"]), **body).witness) == (
        "any/any/L2/any/line/line_status_update/critical/any"
    )


def test_filters_that_cover_each_other_count_once() -> None:
    reads = [f"S{number}/#" for number in range(MAX_GRANTS)]
    user = viewer(grants={"read": reads}, trust_grants=True)
    assert len(admitted(user, subscription_type="line", target_id=["all", "L1", "L2"]).effective) == MAX_GRANTS


def test_my_jobs_are_those_assigned_to_me_as_far_as_grants_allow() -> None:
    subscription = admitted(viewer("viewer", lines=["L1"]), subscription_type="job", target_id="me")
    assert subscription.matches(topic("S/A/L1/_", "job_assigned"), audience=("u1",))
    assert not subscription.matches(topic("S/A/L1/_", "job_assigned"), audience=("u2",))
    assert not subscription.matches(topic("S/A/L1/_", "job_assigned"))
    assert not subscription.matches(topic("S/A/L2/_", "job_assigned"), audience=("u1",))
    assert not subscription.matches(topic("S/A/L1/_", "job_assigned"), audience=("viewer",))


def test_my_escalations_are_those_that_call_one_of_my_roles() -> None:
    subscription = admitted(viewer("viewer", "maintenance", lines=["L1"]), subscription_type="escalation", target="me")
    assert subscription.matches(topic("S/A/L1/_", "escalation_update"), audience=("team_leader", "maintenance"))
    assert not subscription.matches(topic("S/A/L1/_", "escalation_update"), audience=("team_leader", "u1"))


def test_a_line_that_is_named_me_is_still_within_reach() -> None:
    subscription = admitted(viewer("admin"), subscription_type="job", target_id="line:me")
    assert subscription.matches(topic("S/A/me/_", "job_assigned"), audience=("u2",))


def test_every_target_of_a_long_list_is_decided_and_the_number_of_filters_is_bounded() -> None:
    half = MAX_GRANTS // 2
    reads = [f"S{number}/#" for number in range(half)]
    user = viewer(grants={"read": reads}, trust_grants=True)
    lines = [f"L{number}" for number in range(MAX_TARGETS)]
    assert len(admitted(user, subscription_type="line", target_id=lines[:2]).effective) == 2 * half
    assert "filters" in refused(user, subscription_type="line", target_id=lines).reason


def test_a_selection_keeps_what_was_sent() -> None:
    body = {"subscription_type": "line", "target": ["L1"], "id": "s1", "snapshot": False, "unknown": {"a": 1}}
    made = parse_subscription({**body, "filters": {"priorities": ["high"], "event_types": None}})
    assert (made.id, made.target_id, made.snapshot, made.strict) == ("s1", ("L1",), False, False)
    assert made.mask == event_mask(None, [Priority.HIGH])
