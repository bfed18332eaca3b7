"""Random events of all 13 types, subscriptions of dashboards, and their grants."""

import json
from dataclasses import dataclass
from random import Random

from msgspec.structs import replace

from bridge.domain.access.claims import Claims, TokenExpired, TokenMalformed
from bridge.domain.access.policy import Policy, Role, RolePolicy
from bridge.domain.access.viewer import Viewer, admit, admit_in_steps
from bridge.domain.event_data import Changeover, Escalation, EventData, Job, Person
from bridge.domain.event_topic import StateKey
from bridge.domain.events import CATEGORY_OF, DEFAULT_QUALITY, Event, EventType, Priority, Standing
from bridge.domain.place import Place
from bridge.domain.records import CommittedEvent
from bridge.domain.steps import Steps
from bridge.domain.utc_time import Millis, rfc3339
from tests.support.reference_subscription import Frame, matches

NOON = 1_767_700_800_000
NEVER = NOON + 10_000_000_000
PLACES = (
    Place("S1", "A1", "L1"), Place("S1", "A1", "L1", "E1"), Place("S1", "A2", "L2"), Place("S2", "A3", "L3", "E1"),
)  # fmt: skip
USERS = ("eva", "otto")
ROLES = ("maintenance", "quality")
GRANTS = (
    ("#",), ("+/+/L1/#",), ("+/+/L1/#", "+/+/L2/#"), ("S1/#",), ("+/+/+/E1/#",), ("+/+/+/+/andon/#", "S2/#"),
    ("+/+/+/+/job/#", "+/+/+/+/line/#", "+/+/L1/+/oee/#"), ("+/+/+/+/+/+/high/+", "+/+/L2/#"),
)  # fmt: skip
# Subscription bodies and their filters by design.md; `me` is decided by the addressees of an event.
REQUESTS: tuple[tuple[Frame, str], ...] = (
    ({"subscription_type": "line", "target_id": "all"}, "#"),
    ({"subscription_type": "line", "target": "L1"}, "+/+/L1/#"),
    ({"subscription_type": "line", "target_id": "S1/A2/L2"}, "S1/A2/L2/#"),
    ({"subscription_type": "equipment", "target_id": "E1"}, "+/+/+/E1/#"),
    ({"subscription_type": "andon"}, "+/+/+/+/andon/#"),
    ({"subscription_type": "andon", "target_id": "L1"}, "+/+/L1/+/andon/#"),
    ({"subscription_type": "oee", "target_id": "equipment:E1"}, "+/+/+/E1/oee/#"),
    ({"subscription_type": "production"}, "+/+/+/+/production/#"),
    ({"subscription_type": "escalation", "target_id": "priority:high"}, "+/+/+/+/escalation/+/high/+"),
    ({"subscription_type": "escalation", "target_id": "me"}, "+/+/+/+/escalation/#"),
    ({"subscription_type": "job", "target_id": "me"}, "+/+/+/+/job/#"),
    ({"subscription_type": "job", "target_id": "s2"}, "+/+/+/+/job/+/+/s2"),
    ({"mqtt_filter": "S1/+/+/+/downtime/#"}, "S1/+/+/+/downtime/#"),
    ({"mqtt_filter": "+/+/L1/_/#"}, "+/+/L1/_/#"),
)
MASKS: tuple[Frame, ...] = (
    {"event_types": ["andon_event", "job_started", "line_status_update"]},
    {"priorities": ["high"]},
    {"event_types": ["job_assigned", "oee_update"], "priorities": ["high", "low"]},
)
LINE_TYPES = (EventType.LINE_STATUS_UPDATE, EventType.PRODUCTION_UPDATE)  # ordered: the seed alone decides a history


class EventGenerator:
    """Generates events whose keys change as on a floor: current repeatedly, closed, amended afterwards."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._revisions: dict[StateKey, int] = {}
        self._open: set[StateKey] = set()

    def events(self, most: int) -> list[Event]:
        return [self._event() for _ in range(self._chance.randint(1, most))]

    def _event(self) -> Event:
        chance = self._chance
        # as many of those that are conflated as of the others
        kind = chance.choice([*EventType, *LINE_TYPES, *LINE_TYPES, EventType.OEE_UPDATE, EventType.OEE_UPDATE])
        place = chance.choice(PLACES)
        subject = "_" if kind in LINE_TYPES else chance.choice(("s1", "s2"))
        key = (*place.levels(), CATEGORY_OF[kind].value, subject)
        standing = self._standing(kind, key)
        self._revisions[key] = self._revisions.get(key, 0) + 1
        return Event(
            type=kind,
            place=place,
            subject=subject,
            priority=(Priority.HIGH, Priority.MEDIUM, Priority.LOW)[sum(map(ord, "".join(key))) % 3],
            revision=self._revisions[key],
            timestamp=NOON,
            data=self._data(kind, subject),
            standing=standing,
            quality=replace(DEFAULT_QUALITY, historical=standing is Standing.HISTORY),
        )

    def _standing(self, kind: EventType, key: StateKey) -> Standing:
        if kind in LINE_TYPES:
            return Standing.CURRENT
        if key in self._open and self._chance.random() < 0.4:
            self._open.discard(key)
            return Standing.CLOSED
        if key not in self._open and key in self._revisions and self._chance.random() < 0.3:
            return Standing.HISTORY
        self._open.add(key)
        return Standing.CURRENT

    def _data(self, kind: EventType, subject: str) -> EventData:
        if CATEGORY_OF[kind].value == "job":
            person = Person(self._chance.choice(USERS))
            return Job(job_id=subject, product="P", status="assigned", target_quantity=5, assigned_to=person)
        if kind is EventType.ESCALATION_UPDATE:
            return Escalation(
                escalation_id=subject, call_id=subject, andon_type="quality", level=1, previous_level=0,
                status="active", cause="manual", recipients=[self._chance.choice(ROLES)],
            )  # fmt: skip
        at = rfc3339(NOON)
        return Changeover(changeover_id=subject, to_product="P", started_at=at, signalled_at=at)


@dataclass(frozen=True)
class RequestedSubscription:
    """A subscription's body, and the events that it selects."""

    body: Frame
    filter: str
    user: str

    def selects(self, event: CommittedEvent) -> bool:
        masks = self.body.get("filters") or {}
        if event.type.value not in masks.get("event_types", (event.type.value,)):
            return False
        if event.topic.priority.value not in masks.get("priorities", (event.topic.priority.value,)):
            return False
        if self.body.get("target_id") == "me" and not {self.user, ROLES[0]} & set(event.audience):
            return False
        return matches(self.filter, event.topic.text)


def random_subscription(chance: Random, name: str, user: str) -> RequestedSubscription:
    body, topic_filter = chance.choice(REQUESTS)
    more: Frame = {"id": name}
    if chance.random() < 0.25:
        more["filters"] = chance.choice(MASKS)
    if chance.random() < 0.15:
        more["snapshot"] = False
    return RequestedSubscription({**body, **more}, topic_filter, user)


def token(user: str, grants: tuple[str, ...]) -> str:
    """Return a token whose roles grant nothing: only its own grants count."""
    return json.dumps({"sub": user, "roles": [ROLES[0]], "grants": {"read": list(grants)}})


POLICY = Policy(roles={Role(role): RolePolicy() for role in ROLES})
"""Lists the roles and gives them nothing: what may be read is the `grants` of the token."""


class UnsignedTokens:
    """Admits unsigned tokens, under `POLICY`."""

    def admit(self, token: str, *, now: Millis) -> Viewer:
        try:
            claims = json.loads(token)
        except (ValueError, RecursionError) as error:
            raise TokenMalformed("not JSON") from error
        if not isinstance(claims, dict) or not isinstance(claims.get("sub"), str):
            raise TokenMalformed("no object with a sub")
        if now >= NEVER:
            raise TokenExpired(NEVER)
        return admit(Claims(claims["sub"], "floor", NEVER, None, claims), POLICY, trust_grants=True)

    def admit_in_steps(self, token: str, *, now: Millis) -> Steps[Viewer]:
        yield
        return self.admit(token, now=now)

    def readmit(self, viewer: Viewer) -> Steps[Viewer]:
        return admit_in_steps(viewer.claims, POLICY, trust_grants=True)

    def is_revoked(self, _viewer: Viewer) -> bool:
        return False


def grants_of(token: str) -> tuple[str, ...]:
    return tuple(json.loads(token)["grants"]["read"])


def granted(grants: tuple[str, ...], topic: str) -> bool:
    return any(matches(grant, topic) for grant in grants)
