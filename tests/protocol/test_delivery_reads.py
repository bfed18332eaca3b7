"""Results of the reads that a delivery asks for: what is missing in the journal, and what is no answer to the read."""

from collections.abc import Callable
from typing import Final

import pytest

from bridge.protocol.close_codes import CloseCode
from bridge.protocol.event_feed import (
    CheckResume,
    EventPage,
    Read,
    ReadEvents,
    ReadPage,
    ReadResult,
    ReadSnapshot,
    SnapshotOffsets,
)
from bridge.protocol.server_frames import Close
from tests.protocol.dashboard import ANDON, Dashboard, joined
from tests.protocol.delivery.samples import event

EVENTS: Final = [event(1, "call"), event(2, "call")]
RESULTS: Final[dict[str, ReadResult]] = {
    "page": EventPage(EVENTS),
    "offsets": SnapshotOffsets(Dashboard().feed.position, [1, 2]),
    "events": EVENTS,
    "an offset": 0,
    "none": None,
}


def reading_snapshot() -> Dashboard:
    dashboard = joined()
    dashboard.ask(ANDON)
    return dashboard


def reading_events() -> Dashboard:
    dashboard = reading_snapshot()
    dashboard.delivery.read_done(RESULTS["offsets"])
    dashboard.frames()
    return dashboard


def checking_resume() -> Dashboard:
    dashboard = joined()
    dashboard.ask({"type": "resume", "subscriptions": [ANDON], "since": {}})
    return dashboard


def reading_page() -> Dashboard:
    dashboard = checking_resume()
    dashboard.feed.advance(EVENTS[0])
    dashboard.delivery.read_done(0)
    dashboard.frames()
    return dashboard


AWAITING: Final[dict[type[Read], tuple[Callable[[], Dashboard], set[str]]]] = {
    ReadPage: (reading_page, {"page", "none"}),
    ReadSnapshot: (reading_snapshot, {"offsets"}),
    ReadEvents: (reading_events, {"events"}),
    CheckResume: (checking_resume, {"an offset", "none"}),
}
"""A dashboard that awaits the read, and the results that answer it."""


@pytest.mark.parametrize("read", AWAITING)
@pytest.mark.parametrize("result", RESULTS)
def test_a_result_of_another_read_is_a_fault_of_the_bridge(read: type[Read], result: str) -> None:
    await_read, answers = AWAITING[read]
    dashboard = await_read()
    assert isinstance(dashboard.output, read)
    if result in answers:
        dashboard.delivery.read_done(RESULTS[result])
    else:
        with pytest.raises(AssertionError):
            dashboard.delivery.read_done(RESULTS[result])


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_without_a_read_is_a_fault_of_the_bridge(result: str) -> None:
    with pytest.raises(AssertionError):
        joined().delivery.read_done(RESULTS[result])


@pytest.mark.parametrize(("await_read", "missing"), [(reading_page, None), (reading_events, EVENTS[:1])])
def test_what_the_journal_does_not_hold_any_more_closes_with_4008(
    await_read: Callable[[], Dashboard], missing: ReadResult
) -> None:
    close = await_read().delivery.read_done(missing)
    assert isinstance(close, Close)
    assert close.code is CloseCode.STALLED
