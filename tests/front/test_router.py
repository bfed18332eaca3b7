"""The router's cache of routes is bounded, and its answers do not depend on it."""

import pytest

from bridge.domain.envelope import position_event
from bridge.domain.records import CommittedEvent
from bridge.front import router as router_module
from bridge.front.router import Router
from bridge.protocol.active_subscriptions import ActiveSubscription
from bridge.protocol.session import admit_body
from tests.support import journal_samples
from tests.support.viewers import viewer


class Recorder:
    def offer(self, event: CommittedEvent) -> None:
        raise AssertionError(f"a router only finds recipients: {event}")


def test_routes_of_ever_new_subjects_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_module, "MAX_ROUTES", 4)
    router, recipient = Router(), Recorder()
    subscription = admit_body({"subscription_type": "changeover"}, viewer())
    router.add(ActiveSubscription("a", subscription, 0), recipient)
    counts = []
    for offset in range(1, 20):
        event = position_event(journal_samples.event(f"c{offset}"), stream="main", epoch="e", offset=offset)
        assert list(router.recipients(event)) == [recipient]
        counts.append(router.cached_routes)
    assert max(counts) == 4
