"""Effects of a new token on the subscriptions of an open connection (protocol.md, «Authentication»)."""

from bridge.domain.access.subscription_request import SubscriptionRequest
from bridge.domain.access.subscriptions import Subscription, admit_subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.topics import TopicFilter
from bridge.protocol.actions import Action, Send, SendSnapshot, UpdateGrants
from bridge.protocol.server_frames import Effective, Revoked, Widened

SubscriptionTable = dict[str, tuple[SubscriptionRequest, Subscription | None]]


def update_grants(subscriptions: SubscriptionTable, viewer: Viewer) -> list[Action]:
    """Decide every subscription again, in place, and return the actions that apply and report the changes.

    A subscription of which nothing is granted is kept without effect: a later token may restore it.
    A widened one gets its whole snapshot: `snapshot_begin` clears all that the client held for it.
    """
    lost: dict[str, list[TopicFilter]] = {}
    gained: dict[str, list[TopicFilter]] = {}
    for name, (request, former) in subscriptions.items():
        decision = admit_subscription(request, viewer)
        updated = decision if isinstance(decision, Subscription) else None
        subscriptions[name] = (request, updated)
        before, after = _effective(former), _effective(updated)
        lost[name] = _uncovered(before, by=after)
        gained[name] = _uncovered(after, by=before)
    actions: list[Action] = [UpdateGrants(viewer, {name: updated for name, (_, updated) in subscriptions.items()})]
    # `widened` comes first: a client disconnected after it knows that a snapshot is still missing.
    if any(gained.values()):
        actions.append(Send(Widened(filters=_texts(gained), subscriptions=_remaining(subscriptions, gained))))
    if any(lost.values()):
        actions.append(Send(Revoked(filters=_texts(lost), subscriptions=_remaining(subscriptions, lost))))
    actions.extend(SendSnapshot(name) for name, filters in gained.items() if filters)
    return actions


def _effective(subscription: Subscription | None) -> tuple[TopicFilter, ...]:
    return () if subscription is None else subscription.effective


def _uncovered(filters: tuple[TopicFilter, ...], *, by: tuple[TopicFilter, ...]) -> list[TopicFilter]:
    return [topic_filter for topic_filter in filters if not any(other.covers(topic_filter) for other in by)]


def _texts(changes: dict[str, list[TopicFilter]]) -> list[str]:
    return list(dict.fromkeys(str(topic_filter) for filters in changes.values() for topic_filter in filters))


def _remaining(subscriptions: SubscriptionTable, changes: dict[str, list[TopicFilter]]) -> list[Effective]:
    return [
        Effective(name, [str(topic_filter) for topic_filter in _effective(subscriptions[name][1])])
        for name, filters in changes.items()
        if filters
    ]
