"""A dashboard's memory as protocol.md demands it, without IO: frames in, state and log out, and what to ask on return.

Written from the documents alone: it knows no code of the bridge. It is strict: a frame that protocol.md does not allow
at this place raises Breach. Where protocol.md leaves it to the client, it does the careful thing:

- a subscription is resumed only when its last snapshot has ended; one that is not whole is subscribed to again;
- after `recovered: false` the position is void;
- one that comes back with more than it had, or whose new token got no answer, is subscribed to again.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.reference_subscription import Frame, Held, addressees, key_of, topic_of

LATEST_WINS = frozenset({"line_status_update", "production_update", "oee_update"})
EVENTS = LATEST_WINS | {
    "andon_event", "escalation_update", "downtime_event", "quality_alert", "changeover_started", "changeover_completed",
    "job_assigned", "job_started", "job_completed", "job_cancelled",
}  # fmt: skip
UNREMARKABLE = frozenset({"pong", "expiring", "command_result", "explained"})


class Breach(AssertionError):
    """The server sent a frame that protocol.md does not allow here."""


@dataclass
class Reading:
    """A snapshot on its way."""

    id: str
    offset: int
    count: int = 0


class ReferenceDashboard:
    """One user's dashboard over all its connections."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.me = frozenset((user,))  # with the roles that the server sees
        self.held: dict[str, Held] = {}
        self.position: dict[str, Frame] = {}
        self.log: list[Frame] = []  # events outside snapshots, repeats dropped, as they came
        self.gaps = 0  # how often a stream was not recovered
        self.conflated: Counter[str] = Counter()
        self.link: Frame | None = None
        self.replies: list[Frame] = []  # sent as soon as possible
        self.proven = False  # on this connection
        self._recent: dict[str, int] = {}  # ids after the position
        self._resuming: list[int] = []  # offsets that it resumes from in place, unanswered: what follows may come again
        self._snapshot: Reading | None = None
        self._told: dict[str, frozenset[str]] = {}  # id -> what it was for, on this connection
        self._snapshot_at = 0  # of this connection's newest snapshot: what comes after it is newer
        self._last: dict[object, int] = {}  # the newest offset on this connection, of a state key and of the lossless
        self._proofs = 0  # auth frames unanswered

    # Frames that it sends.

    def returns(self, token: str) -> list[Frame]:
        """Say this on a new connection."""
        if self._proofs > 1 or (self._proofs and self.proven):
            for client_subscription in self.held.values():
                client_subscription.whole = False  # perhaps it was served under other grants than it knows of
        self.proven, self._proofs, self._snapshot, self.replies = False, 1, None, []
        self._told, self._last, self._snapshot_at, self._resuming = {}, {}, 0, []
        frames = [{"type": "auth", "token": token}]
        for client_subscription in self.held.values():
            client_subscription.former.clear()
        again = [subscription for subscription in self.held.values() if subscription.settled and self.position]
        anew = [
            subscription.asked[-1] if subscription.asked else subscription.body
            for subscription in self.held.values()
            if subscription not in again
        ]
        self.held = {subscription.body["id"]: subscription for subscription in again}
        if self.position:
            frames.append(self._resume(again))
        return frames + [self.subscribes(body) for body in anew if body is not None]

    def subscribes(self, body: Frame) -> Frame:
        self.held.setdefault(body["id"], Held(body)).asked.append(body)
        return {"type": "subscribe", **body}

    def unsubscribes(self, name: str) -> Frame:
        self.held[name].asked.append(None)
        return {"type": "unsubscribe", "id": name}

    def resumes(self, name: str) -> Frame:
        """Say this to hear again, in place, what came after the position; only of one that is settled."""
        self.held[name].asked.append(self.held[name].body)
        self._resuming += [mark["offset"] for mark in self.position.values()]
        return {"type": "resume", "subscriptions": [self.held[name].body], "since": self.position}

    def proves(self, token: str) -> Frame:
        """Say this to refresh a token in place."""
        self._proofs += 1
        return {"type": "auth", "token": token}

    def _resume(self, again: list[Held]) -> Frame:
        for client_subscription in again:
            client_subscription.confirmed = False
            client_subscription.asked.append(client_subscription.body)
        return {
            "type": "resume",
            "subscriptions": [subscription.body for subscription in again],
            "since": self.position,
        }

    # Frames that it receives.

    @property
    def settled(self) -> bool:
        """Whether all it asked for was answered, and every snapshot has ended."""
        complete = all(subscription.settled for subscription in self.held.values())
        return self.proven and not self._proofs and self._snapshot is None and complete

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
        lane = "lossless" if event["type"] not in LATEST_WINS else key_of(event)
        for sequence in (lane, key_of(event)):
            if event["offset"] < self._last.get(sequence, 0):
                raise Breach(f"{event['id']} {event['type']} after {self._last[sequence]} of {sequence}")
        self._last[lane] = self._last[key_of(event)] = event["offset"]
        if event["id"] in self._told:
            raise Breach(f"{event['id']} twice on a connection")
        if event["offset"] <= self._snapshot_at:
            raise Breach(f"{event['id']} after a snapshot at {self._snapshot_at}")
        ready = [
            subscription for subscription in self.held.values() if subscription.confirmed and not subscription.awaits
        ]
        takers = [subscription for subscription in ready if subscription.wants(event, self.me)]
        self._told[event["id"]] = frozenset(subscription.body["id"] for subscription in takers)
        if not takers and not self._expects(event):
            effective = {name: client_subscription.effective for name, client_subscription in self.held.items()}
            raise Breach(f"{event['id']} {topic_of(event)} is for none of {effective}")
        for client_subscription in takers:
            client_subscription.take(event)
        if event["id"] not in self._recent:
            self.log.append(event)
        self._recent[event["id"]] = event["offset"]

    def _expects(self, event: Frame) -> bool:
        """Whether an event that no subscription takes is none the less in its place."""
        if event["type"] == "job_assigned" and self.user in addressees(event):
            return True
        if any(subscription.wanted(event, self.me) for subscription in self.held.values()):
            return True
        # One that needs no snapshot begins, and a new token is in force, when it was read: before it is answered.
        return self._proofs > 0 or any(
            body.get("snapshot") is False for h in self.held.values() for body in h.asked if body
        )

    def _take_current(self, snapshot: Reading, event: Frame) -> None:
        subscription = self.held[snapshot.id]
        if event["offset"] > snapshot.offset:
            raise Breach(f"{event['id']} in a snapshot at {snapshot.offset}")
        if key_of(event) in subscription.events:
            raise Breach(f"{key_of(event)} twice in a snapshot")
        snapshot.count += 1
        subscription.take(event)

    def _take_snapshot_begin(self, frame: Frame) -> None:
        if self._snapshot is not None or frame["id"] not in self.held or not self.held[frame["id"]].confirmed:
            raise Breach(f"snapshot of {frame['id']} within {self._snapshot}, holding {list(self.held)}")
        [position] = frame["positions"].values()
        self._snapshot = Reading(frame["id"], position["offset"])
        self._snapshot_at = max(self._snapshot_at, position["offset"])
        self.held[frame["id"]].events = {}
        self.held[frame["id"]].whole = self.held[frame["id"]].awaits = False

    def _take_snapshot_end(self, frame: Frame) -> None:
        if self._snapshot is None or (self._snapshot.id, self._snapshot.count) != (frame["id"], frame["count"]):
            raise Breach(f"{frame} ends {self._snapshot}")
        self.held[frame["id"]].whole = True
        self._snapshot = None

    def _take_subscription_confirmed(self, frame: Frame) -> None:
        subscription = self.held.get(frame["id"])
        if subscription is None or not subscription.asked:
            raise Breach(f"confirmed unasked: {frame}")
        if subscription.confirmed:
            subscription.former.append((subscription.body, subscription.effective))
        body = subscription.asked.popleft()
        if body is None:
            raise Breach(f"confirmed what was to end: {frame}")
        subscription.body = body
        subscription.confirmed = True
        subscription.effective = frame["effective"]
        subscription.whole = subscription.body.get("snapshot") is False
        subscription.awaits = not subscription.whole
        subscription.sift(self.me)

    def _take_unsubscription_confirmed(self, frame: Frame) -> None:
        subscription = self.held[frame["id"]]
        if subscription.asked.popleft() is not None:
            raise Breach(f"ended what was asked for: {frame}")
        subscription.confirmed, subscription.whole, subscription.events = False, False, {}
        if not subscription.asked:
            del self.held[frame["id"]]

    def _take_auth_ok(self, frame: Frame) -> None:
        if self._proofs < 1:
            raise Breach("auth_ok unasked")
        self.proven = True
        self.me = frozenset((frame["user_id"], *frame["roles"]))
        self._proofs -= 1

    def _take_resumed(self, frame: Frame) -> None:
        # Only what is resumed may be reported again; and what comes again is older than what came.
        resumed = {subscription["id"] for subscription in frame["subscriptions"]}
        self._told = {name: takers for name, takers in self._told.items() if not takers & resumed}
        self._last, self._snapshot_at = {}, 0
        del self._resuming[:1]
        [stream] = frame["streams"]
        recovered = frame["streams"][stream]["recovered"]
        if not recovered:
            self.gaps += 1
            self.position, self._recent = {}, {}
        for confirmation in frame["subscriptions"]:
            client_subscription = self.held[confirmation["id"]]
            client_subscription.confirmed = True
            client_subscription.asked.popleft()
            wider = not set(confirmation["effective"]) <= set(client_subscription.effective)
            if wider or not recovered:
                client_subscription.whole = False
            client_subscription.awaits = not recovered
            if wider and recovered:
                self.replies.append(self.subscribes(client_subscription.body))
            client_subscription.effective = confirmation["effective"]
            client_subscription.sift(self.me)

    def _take_position(self, frame: Frame) -> None:
        if self._snapshot is not None:
            raise Breach("position within a snapshot")
        if any(
            subscription.confirmed and not subscription.whole and not subscription.asked
            for subscription in self.held.values()
        ):
            raise Breach(f"position before the snapshots: {[(n, h.whole) for n, h in self.held.items()]}")
        self.position = frame["streams"]
        [position] = self.position.values()
        past = min((position["offset"], *self._resuming))
        self._recent = {key: offset for key, offset in self._recent.items() if offset > past}

    def _take_conflated(self, frame: Frame) -> None:
        if not frame["counts"] or any(count < 1 or kind not in LATEST_WINS for kind, count in frame["counts"].items()):
            raise Breach(f"conflated {frame['counts']}")
        self.conflated.update(frame["counts"])

    def _take_revoked(self, frame: Frame) -> None:
        for change in self._regranted(frame):
            change.sift(self.me)

    def _take_widened(self, frame: Frame) -> None:
        for change in self._regranted(frame):
            change.whole = False  # a snapshot of it follows

    def _regranted(self, frame: Frame) -> Iterator[Held]:
        for subscription in frame["subscriptions"]:
            if subscription["id"] in self.held:
                self.held[subscription["id"]].effective = subscription["effective"]
                yield self.held[subscription["id"]]

    def _take_error(self, frame: Frame) -> None:
        subscription = self.held.get(frame.get("id", ""))
        if subscription is None:
            return
        if subscription.asked:
            subscription.asked.popleft()
        if not subscription.asked and not subscription.confirmed:
            del self.held[frame["id"]]

    def _take_link(self, frame: Frame) -> None:
        self.link = frame

    def _take_options(self, frame: Frame) -> None:
        pass
