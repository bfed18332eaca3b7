"""States of the small world as bytes: with equal bytes the same may follow. Loading them is the way back to a state.

What differs and can make no difference later is not saved: counts that were checked, and what was computed once.
"""

import copyreg
import io
import pickle
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommittedEvent, Position
from bridge.protocol.cohort import Batching
from bridge.protocol.event_feed import EventPage
from bridge.protocol.event_selectors import Interval
from bridge.protocol.ledger import Ledger
from tests.protocol.delivery import samples
from tests.protocol.delivery.oracle import PromiseBroken
from tests.protocol.delivery.small_front import EndingDashboard, SmallFront, short_lived_arguments, short_lived_viewer
from tests.protocol.delivery.world import EXPIRY


def _viewer(viewer: Viewer) -> tuple[object, ...]:
    if viewer.expires_at == EXPIRY:
        return short_lived_viewer, short_lived_arguments(viewer)
    return samples.viewer, samples.viewer_arguments(viewer)


def _empty_counter() -> Counter[Any]:
    return Counter.__new__(Counter)


_REDUCERS: Final[dict[type, Any]] = {
    # What is built once is not copied with each state.
    CommittedEvent: lambda event: (samples.event, samples.event_arguments(event)),
    Viewer: _viewer,
    Subscription: lambda subscription: (samples.admitted, samples.admitted_arguments(subscription)),
    # What is sent was compared with the oracle; nothing depends on it.
    Ledger: lambda ledger: (Ledger, (Counter(), ledger.conflated)),
    # The matches of a page are found again.
    EventPage: lambda page: (EventPage, (page.events,)),
    # As pickle would, and faster.
    Position: lambda position: (Position, (position.stream, position.epoch, position.offset)),
    Batching: lambda batching: (Batching, (batching.arrays, batching.window_ms)),
    Interval: lambda interval: (Interval, (interval.id, interval.selector, interval.until)),
    Counter: lambda counts: (_empty_counter, (), None, None, iter([pair for pair in counts.items() if pair[1]])),
}


def _classes() -> Iterator[type]:
    for name, module in sorted(sys.modules.items()):
        if name.startswith(("bridge.", "tests.protocol.delivery.")):
            yield from (cls for cls in vars(module).values() if isinstance(cls, type) and cls.__module__ == name)


for _code, _class in enumerate(dict.fromkeys(_classes()), start=10_000):  # a number instead of a name to look up
    copyreg.add_extension(_class.__module__, _class.__qualname__, _code)


def save(front: SmallFront, *, may_resume: bool) -> bytes:
    """Return the state; `may_resume`: a client may still go back to what it has got."""
    for dashboard in front.dashboards:
        _settle(dashboard, may_resume=may_resume)
    for cohort in front.broadcaster.fan_out.cohorts:
        for membership in cohort.members:
            membership.seen_flushes -= cohort.flushes  # only whether there was a flush since
            membership.seen_flushes = max(membership.seen_flushes, -1)
        cohort.flushes = 0
    _forget_caches(front)
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=5)
    pickler.dispatch_table = _REDUCERS
    pickler.dump(front)
    return buffer.getvalue()


def load(saved: bytes) -> SmallFront:
    loaded: SmallFront = pickle.loads(saved)
    return loaded


def _forget_caches(front: SmallFront) -> None:
    """Have computed again what the next move needs; the random runs keep it."""
    fan_out = front.broadcaster.fan_out
    fan_out._remove_unused_filters()  # noqa: SLF001 - who joins adds them again
    fan_out._index._probes.clear()  # noqa: SLF001 - by kind of topic
    fan_out.ledger.conflated.clear()  # the sum of the others'
    outside = [dashboard for dashboard in front.dashboards if dashboard in fan_out.outside]
    fan_out.outside.clear()
    fan_out.outside |= dict.fromkeys(outside)  # in one order
    for dashboard in front.dashboards:
        dashboard.former_ledger.conflated.clear()
        dashboard.delivery.cursor._reader.reached = 0  # noqa: SLF001 - set by each reading
        dashboard.delivery.cursor.table.drop_indexes()


def _settle(dashboard: EndingDashboard, *, may_resume: bool) -> None:
    oracle = dashboard.oracle
    stated = {kind.value: count for kind, count in dashboard.ledger.sent.items() if count}
    if not dashboard.is_ended and stated != dict(oracle.sent):
        raise PromiseBroken(f"sent {stated}, in truth {oracle.sent}")
    oracle.sent.clear()
    dashboard.frames = oracle.snapshots = 0
    oracle.frames = min(oracle.frames, 1)
    if may_resume or any(kind == "resumed" for kind, _ in oracle.unanswered):
        oracle.taken = {offset: [held for held in helds if held.in_force] for offset, helds in oracle.taken.items()}
    else:
        oracle.taken = {offset: [] for offset in oracle.taken if offset > oracle.floor}
        dashboard.position = None
        dashboard.whole.clear()
        dashboard.unanswered.clear()
        dashboard.delivery.cursor.table.past.clear()
