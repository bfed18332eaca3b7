"""A dashboard's memory as protocol.md demands it, without IO: frames in; state, log and requests to send out.

Written from the documents alone: it knows no code of the bridge. It is strict: a frame that protocol.md does not allow
at this place raises Breach. Where protocol.md leaves it to the client, it does the careful thing:

- a subscription is resumed only when its last snapshot has ended; one that is not whole is subscribed to again;
- after `recovered: false` the position is void;
- one that comes back with more than it had, or whose new token got no answer, is subscribed to again.
"""

from collections import Counter
from collections.abc import Iterator

from tests.support.reference_subscription import (
    ClientSubscription,
    Frame,
    SnapshotProgress,
    addressees,
    key_of,
    topic_of,
)

LATEST_WINS = frozenset({"line_status_update", "production_update", "oee_update"})
EVENTS = LATEST_WINS | {
    "andon_event", "escalation_update", "downtime_event", "quality_alert", "changeover_started", "changeover_completed",
    "job_assigned", "job_started", "job_completed", "job_cancelled",
}  # fmt: skip
ASSIGNED = "what is assigned to the user"  # goes on whatever is subscribed to
UNREMARKABLE = frozenset({"pong", "expiring", "command_result", "explained"})


class ProtocolViolation(AssertionError):
    """The server sent a frame that protocol.md does not allow here."""


class ReferenceDashboard:
    """One user's dashboard over all its connections."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.me = frozenset((user,))  # with the roles that the server sees
        self.subscriptions: dict[str, ClientSubscription] = {}
        self.position: dict[str, Frame] = {}
        self.log: list[Frame] = []  # events outside snapshots, repeats dropped, as they came
        self.gaps = 0  # how often a stream was not recovered
        self.conflated: Counter[str] = Counter()
        self.link: Frame | None = None
        self.replies: list[Frame] = []  # sent as soon as possible
        self.authenticated = False  # on this connection
        self._recent: dict[str, int] = {}  # ids after the position
        self._resuming: list[int] = []  # offsets that it resumes from in place, unanswered: what follows may come again
        self._snapshot: SnapshotProgress | None = None
        # Event id -> the confirmations of the subscriptions that certainly got it, on this connection.
        self._delivered_to: dict[str, frozenset[object]] = {}
        self._last = 0  # the newest offset on this connection, of an event or a snapshot: what comes after it is newer
        self._unanswered_auths = 0  # auth frames unanswered

    # Frames that it sends.

    def reconnect(self, token: str) -> list[Frame]:
        """Return the frames to send on a new connection."""
        if self._unanswered_auths > 1 or (self._unanswered_auths and self.authenticated):
            for subscription in self.subscriptions.values():
                subscription.snapshot_complete = False  # it may have been served under grants of an unanswered token
        self.authenticated, self._unanswered_auths, self._snapshot, self.replies = False, 1, None, []
        self._delivered_to, self._last, self._resuming = {}, 0, []
        frames = [{"type": "auth", "token": token}]
        for subscription in self.subscriptions.values():
            subscription.earlier_requests.clear()
        again = [subscription for subscription in self.subscriptions.values() if subscription.settled and self.position]
        anew = [
            subscription.unanswered_requests[-1] if subscription.unanswered_requests else subscription.body
            for subscription in self.subscriptions.values()
            if subscription not in again
        ]
        self.subscriptions = {subscription.body["id"]: subscription for subscription in again}
        if self.position:
            frames.append(self._resume(again))
        return frames + [self.subscribe(body) for body in anew if body is not None]

    def subscribe(self, body: Frame) -> Frame:
        self.subscriptions.setdefault(body["id"], ClientSubscription(body)).unanswered_requests.append(body)
        return {"type": "subscribe", **body}

    def unsubscribe(self, name: str) -> Frame:
        self.subscriptions[name].unanswered_requests.append(None)
        return {"type": "unsubscribe", "id": name}

    def resume(self, name: str) -> Frame:
        """Return the frame that replays, in place, the events after the position; only for a settled subscription."""
        self.subscriptions[name].unanswered_requests.append(self.subscriptions[name].body)
        self._resuming += [mark["offset"] for mark in self.position.values()]
        return {"type": "resume", "subscriptions": [self.subscriptions[name].body], "since": self.position}

    def refresh_token(self, token: str) -> Frame:
        """Return the frame that refreshes a token in place."""
        self._unanswered_auths += 1
        return {"type": "auth", "token": token}

    def _resume(self, again: list[ClientSubscription]) -> Frame:
        for subscription in again:
            subscription.confirmed = False
            subscription.unanswered_requests.append(subscription.body)
        return {
            "type": "resume",
            "subscriptions": [subscription.body for subscription in again],
            "since": self.position,
        }

    # Frames that it receives.

    @property
    def settled(self) -> bool:
        """True once every request is answered and every snapshot has ended."""
        complete = all(subscription.settled for subscription in self.subscriptions.values())
        return self.authenticated and not self._unanswered_auths and self._snapshot is None and complete

    def take(self, frame: Frame) -> None:
        """Take one frame; raises Breach."""
        kind = frame["type"]
        if kind in EVENTS:
            self._take_event(frame)
        elif kind not in UNREMARKABLE:
            getattr(self, f"_take_{kind}")(frame)

    def _take_event(self, event: Frame) -> None:
        if self._snapshot is not None:
            self._take_current(self._snapshot, event)
            return
        if event["offset"] <= self._last:
            raise ProtocolViolation(f"{event['id']} {event['type']} after {self._last}")
        self._last = event["offset"]
        if event["id"] in self._delivered_to:
            raise ProtocolViolation(f"{event['id']} twice on a connection")
        ready = [each for each in self.subscriptions.values() if each.confirmed and not each.awaits_snapshot]
        takers = [subscription for subscription in ready if subscription.selects(event, self.me)]
        certain = frozenset(subscription.confirmation for subscription in takers if subscription.certain)
        self._delivered_to[event["id"]] = certain | {ASSIGNED} if self._is_assigned(event) else certain
        if not takers and not self._expects(event):
            effective = {name: subscription.effective for name, subscription in self.subscriptions.items()}
            raise ProtocolViolation(f"{event['id']} {topic_of(event)} is for none of {effective}")
        for subscription in takers:
            subscription.take(event)
        if event["id"] not in self._recent:
            self.log.append(event)
        self._recent[event["id"]] = event["offset"]

    def _expects(self, event: Frame) -> bool:
        """Return whether an event that no subscription selects is allowed here."""
        if self._is_assigned(event):
            return True
        if any(subscription.was_selected(event, self.me) for subscription in self.subscriptions.values()):
            return True
        # One that needs no snapshot begins, and a new token is in force, when it was read: before it is answered.
        return self._unanswered_auths > 0 or any(
            body.get("snapshot") is False for h in self.subscriptions.values() for body in h.unanswered_requests if body
        )

    def _is_assigned(self, event: Frame) -> bool:
        return event["type"] == "job_assigned" and self.user in addressees(event)

    def _take_current(self, snapshot: SnapshotProgress, event: Frame) -> None:
        subscription = self.subscriptions[snapshot.id]
        if event["offset"] > snapshot.offset:
            raise ProtocolViolation(f"{event['id']} in a snapshot at {snapshot.offset}")
        if key_of(event) in subscription.events:
            raise ProtocolViolation(f"{key_of(event)} twice in a snapshot")
        snapshot.count += 1
        subscription.take(event)

    def _take_snapshot_begin(self, frame: Frame) -> None:
        if (
            self._snapshot is not None
            or frame["id"] not in self.subscriptions
            or not self.subscriptions[frame["id"]].confirmed
        ):
            raise ProtocolViolation(
                f"snapshot of {frame['id']} within {self._snapshot}, holding {list(self.subscriptions)}"
            )
        [position] = frame["positions"].values()
        self._snapshot = SnapshotProgress(frame["id"], position["offset"])
        self._last = max(self._last, position["offset"])
        subscription = self.subscriptions[frame["id"]]
        subscription.events, subscription.certain = {}, True
        subscription.snapshot_complete = subscription.awaits_snapshot = False

    def _take_snapshot_end(self, frame: Frame) -> None:
        if self._snapshot is None or (self._snapshot.id, self._snapshot.count) != (frame["id"], frame["count"]):
            raise ProtocolViolation(f"{frame} ends {self._snapshot}")
        self.subscriptions[frame["id"]].snapshot_complete = True
        self._snapshot = None

    def _take_subscription_confirmed(self, frame: Frame) -> None:
        subscription = self.subscriptions.get(frame["id"])
        if subscription is None or not subscription.unanswered_requests:
            raise ProtocolViolation(f"confirmed unasked: {frame}")
        if subscription.confirmed:
            subscription.earlier_requests.append((subscription.body, subscription.effective))
        body = subscription.unanswered_requests.popleft()
        if body is None:
            raise ProtocolViolation(f"confirmed what was to end: {frame}")
        subscription.body = body
        subscription.confirmed, subscription.certain, subscription.confirmation = True, False, object()
        subscription.effective = frame["effective"]
        subscription.snapshot_complete = subscription.body.get("snapshot") is False
        subscription.awaits_snapshot = not subscription.snapshot_complete
        subscription.drop_unselected(self.me)

    def _take_unsubscription_confirmed(self, frame: Frame) -> None:
        subscription = self.subscriptions[frame["id"]]
        if subscription.unanswered_requests.popleft() is not None:
            raise ProtocolViolation(f"ended what was asked for: {frame}")
        subscription.confirmed, subscription.snapshot_complete, subscription.events = False, False, {}
        if not subscription.unanswered_requests:
            del self.subscriptions[frame["id"]]

    def _take_auth_ok(self, frame: Frame) -> None:
        if self._unanswered_auths < 1:
            raise ProtocolViolation("auth_ok unasked")
        self.authenticated = True
        self.me = frozenset((frame["user_id"], *frame["roles"]))
        self._unanswered_auths -= 1

    def _take_resumed(self, frame: Frame) -> None:
        # What others in force have got does not come again; and what comes again is older than what came.
        resumed = {subscription["id"] for subscription in frame["subscriptions"]}
        others = [each for name, each in self.subscriptions.items() if name not in resumed]
        in_force = {ASSIGNED, *(each.confirmation for each in others if not each.unanswered_requests)}
        for subscription in others:
            subscription.certain = False  # where the replay ends, and they go on, is not known
        self._delivered_to = {name: takers for name, takers in self._delivered_to.items() if takers & in_force}
        self._last = 0
        del self._resuming[:1]
        [stream] = frame["streams"]
        recovered = frame["streams"][stream]["recovered"]
        if not recovered:
            self.gaps += 1
            self.position, self._recent = {}, {}
        for confirmation in frame["subscriptions"]:
            subscription = self.subscriptions[confirmation["id"]]
            subscription.confirmed, subscription.certain, subscription.confirmation = True, recovered, object()
            subscription.unanswered_requests.popleft()
            wider = not set(confirmation["effective"]) <= set(subscription.effective)
            if wider or not recovered:
                subscription.snapshot_complete = False
            subscription.awaits_snapshot = not recovered
            if wider and recovered:
                self.replies.append(self.subscribe(subscription.body))
            subscription.effective = confirmation["effective"]
            subscription.drop_unselected(self.me)

    def _take_position(self, frame: Frame) -> None:
        if self._snapshot is not None:
            raise ProtocolViolation("position within a snapshot")
        if any(
            subscription.confirmed and not subscription.snapshot_complete and not subscription.unanswered_requests
            for subscription in self.subscriptions.values()
        ):
            raise ProtocolViolation(
                f"position before the snapshots: {[(n, h.snapshot_complete) for n, h in self.subscriptions.items()]}"
            )
        self.position = frame["streams"]
        [position] = self.position.values()
        past = min((position["offset"], *self._resuming))
        self._recent = {key: offset for key, offset in self._recent.items() if offset > past}

    def _take_conflated(self, frame: Frame) -> None:
        if not frame["counts"] or any(count < 1 or kind not in LATEST_WINS for kind, count in frame["counts"].items()):
            raise ProtocolViolation(f"conflated {frame['counts']}")
        self.conflated.update(frame["counts"])

    def _take_revoked(self, frame: Frame) -> None:
        for change in self._regranted(frame):
            change.drop_unselected(self.me)

    def _take_widened(self, frame: Frame) -> None:
        for change in self._regranted(frame):
            change.snapshot_complete = False  # a snapshot of it follows

    def _regranted(self, frame: Frame) -> Iterator[ClientSubscription]:
        for subscription in frame["subscriptions"]:
            if subscription["id"] in self.subscriptions:
                self.subscriptions[subscription["id"]].effective = subscription["effective"]
                yield self.subscriptions[subscription["id"]]

    def _take_error(self, frame: Frame) -> None:
        subscription = self.subscriptions.get(frame.get("id", ""))
        if subscription is None:
            return
        if subscription.unanswered_requests:
            subscription.unanswered_requests.popleft()
        if not subscription.unanswered_requests and not subscription.confirmed:
            del self.subscriptions[frame["id"]]

    def _take_link(self, frame: Frame) -> None:
        self.link = frame

    def _take_options(self, frame: Frame) -> None:
        pass
