"""Events, subscriptions and tokens of the small world in which the delivery is searched; each is built once."""

from dataclasses import replace
from functools import cache
from typing import Final

from bridge.domain.access.claims import Claims
from bridge.domain.access.policy import Policy
from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer, admit
from bridge.domain.event_topic import EventTopic
from bridge.domain.events import Standing
from bridge.domain.records import CommittedEvent
from bridge.domain.steps import complete
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.grant_changes import compare_grants, revoked_frame, widened_frame
from bridge.protocol.server_frames import AuthOk, ServerFrame
from bridge.protocol.session import admit_body
from tests.support.reference_subscription import matches

USER: Final = "eva"
AUTH_OK: Final = AuthOk(
    user_id=USER, roles=[], expires_at="", read=[], command=[], streams={}, server_time="", simulated=False
)

TOPICS: Final = {
    "call": "S/A/L1/_/andon/andon_event/high/x",
    "end of call": "S/A/L1/_/andon/andon_event/high/x",
    "call on 2": "S/A/L2/_/andon/andon_event/high/y",
    "late downtime": "S/A/L1/_/downtime/downtime_event/low/z",
    "state": "S/A/L1/_/line/line_status_update/medium/_",
    "late state": "S/A/L1/_/line/line_status_update/medium/_",
    "state on 2": "S/A/L2/_/line/line_status_update/medium/_",
    "pieces": "S/A/L1/_/production/production_update/low/_",
    "my job": "S/A/L2/_/job/job_assigned/medium/j",
}
"""Kind of event -> its topic."""

TYPE_OF: Final = {kind: topic.split("/")[5] for kind, topic in TOPICS.items()}
LATEST_WINS: Final = frozenset({"state", "state on 2", "pieces"})
HISTORICAL: Final = frozenset({"late downtime", "late state"})
STANDINGS: Final = {"end of call": Standing.CLOSED, **dict.fromkeys(HISTORICAL, Standing.HISTORY)}

REQUESTS: Final = {
    "line 1": ("+/+/L1/#", None),
    "all": ("#", None),
    "calls": ("+/+/+/+/andon/#", None),
    "states": ("#", ("line_status_update", "production_update")),
}
"""Subscription -> its filter, and its event types, None for all."""

GRANTS: Final = {
    "all": ("#",),
    "line 1": ("+/+/L1/#",),
    "line 2": ("+/+/L2/#",),
    "calls": ("+/+/+/+/andon/#",),
    "nothing": ("+/+/L9/#",),
}

SELECTED: Final = {
    (request, kind): matches(topic_filter, topic) and (types is None or TYPE_OF[kind] in types)
    for request, (topic_filter, types) in REQUESTS.items()
    for kind, topic in TOPICS.items()
}
GRANTED: Final = {
    (grants, kind): any(matches(topic_filter, topic) for topic_filter in filters)
    for grants, filters in GRANTS.items()
    for kind, topic in TOPICS.items()
}


# The arguments of what is built once and kept by the caches: an event, a viewer, the request of an admission; by id().
_EVENTS: Final[dict[int, tuple[int, str]]] = {}
_VIEWERS: Final[dict[int, tuple[str]]] = {}
_ADMITTED: Final[dict[int, tuple[str, str, str]]] = {}


@cache
def event(offset: int, kind: str) -> CommittedEvent:
    topic = EventTopic.parse(TOPICS[kind])
    built = CommittedEvent(
        offset=offset,
        id=f"main:e:{offset}",
        topic=topic,
        standing=STANDINGS.get(kind, Standing.CURRENT),
        timestamp=offset,
        audience=(USER,) if kind == "my job" else (),
        body=b'{"type":"event","offset":%d}' % offset,
    )
    _EVENTS[id(built)] = (offset, kind)
    return built


@cache
def viewer(grants: str) -> Viewer:
    claims = Claims(USER, "floor", 2**60, None, {"sub": USER, "grants": {"read": list(GRANTS[grants])}})
    admitted_viewer = admit(claims, Policy(roles={}), trust_grants=True)
    _VIEWERS[id(admitted_viewer)] = (grants,)
    return admitted_viewer


@cache
def body_of(name: str, request: str) -> dict[str, object]:
    topic_filter, types = REQUESTS[request]
    masks = {} if types is None else {"filters": {"event_types": list(types)}}
    return {"id": name, "mqtt_filter": topic_filter, **masks}


@cache
def _admitted(name: str, request: str, grants: str) -> Subscription | None:
    try:
        subscription = admit_body(body_of(name, request), viewer(grants))
    except InvalidFrame:
        return None
    _ADMITTED[id(subscription.request)] = (name, request, grants)
    return subscription


def admitted(name: str, request: str, grants: str) -> Subscription | None:
    """Return a new admission of the request, None if nothing of it is granted."""
    subscription = _admitted(name, request, grants)
    return None if subscription is None else replace(subscription)


@cache
def grant_changes(
    held: tuple[tuple[str, str], ...], former: str, grants: str
) -> tuple[tuple[ServerFrame, ...], tuple[str, ...]]:
    """Return the frames that report new grants for these (name, request), and the names whose snapshot follows."""
    changes = [
        complete(compare_grants(name, _admitted(name, request, former), _admitted(name, request, grants)))
        for name, request in held
    ]
    widened, revoked = widened_frame(changes), revoked_frame(changes)
    frames = tuple(frame for frame in (widened, revoked) if frame is not None)
    return frames, () if widened is None else tuple(changed.id for changed in widened.subscriptions)


def event_arguments(built: CommittedEvent) -> tuple[int, str]:
    """Return the arguments with which this object was built."""
    return _EVENTS[id(built)]


def viewer_arguments(built: Viewer) -> tuple[str]:
    return _VIEWERS[id(built)]


def admitted_arguments(subscription: Subscription) -> tuple[str, str, str]:
    return _ADMITTED[id(subscription.request)]
