"""Changes of what is granted of a dashboard's subscriptions, and the frames that report them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.steps import Steps
from bridge.domain.topics import TopicFilter
from bridge.protocol.server_frames import Effective, Revoked, Widened


@dataclass(frozen=True, slots=True)
class GrantChange:
    """What is granted of the subscription with this id, None: nothing; and the filters that it gains and loses."""

    name: str
    granted: Subscription | None
    gained: tuple[TopicFilter, ...]
    lost: tuple[TopicFilter, ...]


def compare_grants(name: str, former: Subscription | None, latter: Subscription | None) -> Steps[GrantChange]:
    """Return the change from one admission of a request to another."""
    gained = () if latter is None else (yield from latter.lost_to(former))
    lost = () if former is None else (yield from former.lost_to(latter))
    return GrantChange(name, latter, gained, lost)


def widened_frame(changes: Sequence[GrantChange]) -> Widened | None:
    """Return the report of what is granted since; None if there is nothing."""
    widened = [change for change in changes if change.gained]
    return (
        Widened(filters=_texts(change.gained for change in widened), subscriptions=_rest(widened)) if widened else None
    )


def revoked_frame(changes: Sequence[GrantChange]) -> Revoked | None:
    """Return the report of what is no longer granted; None if there is nothing."""
    revoked = [change for change in changes if change.lost]
    return Revoked(filters=_texts(change.lost for change in revoked), subscriptions=_rest(revoked)) if revoked else None


def _texts(changed: Iterable[tuple[TopicFilter, ...]]) -> list[str]:
    return list(dict.fromkeys(str(topic_filter) for filters in changed for topic_filter in filters))


def _rest(changes: Sequence[GrantChange]) -> list[Effective]:
    return [
        Effective(change.name, [] if change.granted is None else list(map(str, change.granted.effective)))
        for change in changes
    ]
