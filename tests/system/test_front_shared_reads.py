"""Many dashboards that want the same cost one read: the latest events, pages of the journal, snapshots."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.dashboard.outbox import EVENT_BESIDE
from bridge.front import journal as front_journal
from bridge.front.recent import Page, Pages, RecentEvents
from tests.core.dashboard.test_outbox import event
from tests.system.front_floor import Floor, Frame, call, floor, status

EVENT_BYTES = EVENT_BESIDE + len(event(1).body)
SETS: tuple[tuple[Frame, Frame], ...] = (
    ({"subscription_type": "andon", "target_id": "L1"}, {"lines": ["L1", "L2"]}),
    ({"subscription_type": "andon", "target_id": "L1"}, {"lines": ["L1"]}),  # the same, of another bearer
    ({"subscription_type": "line", "target_id": "all"}, {"lines": ["L1"]}),
    ({"subscription_type": "line", "target_id": "L1"}, {"lines": ["L1"]}),  # the same, asked otherwise
    ({"subscription_type": "line", "target_id": "all", "filters": {"priorities": ["high"]}}, {"lines": ["L1"]}),
)


@given(start=st.integers(1, 30), count=st.integers(0, 40), keep=st.integers(0, 12), offset=st.integers(0, 80))
def test_the_latest_events_are_held_without_a_hole(start: int, count: int, keep: int, offset: int) -> None:
    all_events = [event(each) for each in range(start, start + count)]
    recent = RecentEvents(max_bytes=keep * EVENT_BYTES)
    for each in all_events:
        recent.add(each)
    held = all_events[max(0, count - keep) :]
    expected = [each for each in held if each.offset > offset][:5] if any(e.offset == offset + 1 for e in held) else []
    assert list(recent.after(offset, limit=5)) == expected


def test_after_a_hole_the_latest_events_begin_anew() -> None:
    recent = RecentEvents(max_bytes=100_000)
    for offset in (1, 2, 4, 5):
        recent.add(event(offset))
    assert [each.offset for each in recent.after(3, limit=9)] == [4, 5]
    assert not recent.after(1, limit=9)


def test_a_page_begins_behind_the_last_hole() -> None:
    page = Page.of([event(offset) for offset in (2, 5, 7, 8, 9)])
    assert [each.offset for each in page.after(6)] == [7, 8, 9]
    assert [each.offset for each in page.after(8)] == [9]
    assert not page.after(9)
    assert not page.after(4)
    assert not Page.of([]).after(0)


def test_the_pages_used_last_are_kept() -> None:
    pages = Pages(max_bytes=2 * EVENT_BYTES)
    for number in (0, 1):
        pages.put(number, Page.of([event(number + 1)]))
    assert pages.get(0) is not None
    pages.put(2, Page.of([event(3)]))
    assert [pages.get(number) is not None for number in range(3)] == [True, False, True]


async def test_dashboards_that_return_at_once_read_each_page_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_journal, "RECENT_BYTES", 0)
    monkeypatch.setattr(front_journal, "PAGE_EVENTS", 10)
    async with floor(tmp_path) as shop:
        shop.commit(*(call(f"C{number}") for number in range(95)))
        reads = _counted(shop)
        boards = [await shop.join() for _ in range(20)]
        for board in boards:
            since = {"main": {"epoch": shop.journal.epoch, "offset": 0}}
            body = {"id": "all", "subscription_type": "andon"}
            board.say({"type": "resume", "subscriptions": [body], "since": since})
        for board in boards:
            await board.hears("andon_event", subject="C94")
            assert board.live() == list(range(1, 96))
        assert sorted(reads) == [10 * number for number in range(10)]


async def test_who_is_a_little_behind_reads_nothing_from_disk(tmp_path: Path) -> None:
    async with floor(tmp_path, outbox_events=10) as shop:
        reads = _counted(shop)
        board = await shop.join()
        board.say({"type": "subscribe", "subscription_type": "andon", "snapshot": False})
        await board.hears("subscription_confirmed")
        board.stop_reading()
        shop.commit(*(call(f"C{number}") for number in range(95)))
        assert shop.front.statistics()["left_to_journal"] > 0
        board.read_on()
        await board.hears("andon_event", subject="C94")
        assert board.live() == list(range(1, 96))
        assert reads == []


async def test_each_distinct_filter_set_costs_one_snapshot_build(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        shop.commit(call("C1"), call("C2", line="L2"), status("L1"), status("L2"))
        boards = []
        for subscription, claims in SETS * 4:
            board = await shop.join(roles=["operator"], **claims)
            boards.append(board)
            board.say({"type": "subscribe", **subscription})
        ends = [await board.hears("snapshot_end") for board in boards]
        assert shop.front.statistics()["snapshot_builds"] == 3
        assert [each["count"] for each in ends] == [1, 1, 2, 2, 1] * 4
        shop.commit(call("C3"))
        board = await shop.join()
        board.say({"type": "subscribe", "subscription_type": "andon", "target_id": "L1"})
        assert (await board.hears("snapshot_end"))["count"] == 2, "another position, another build"


def _counted(shop: Floor) -> list[int]:
    """The offsets after which events are read from disk, from now on."""
    reads: list[int] = []
    read: Any = shop.journal.events_after

    def counted(offset: int, *, limit: int) -> Any:
        reads.append(offset)
        return read(offset, limit=limit)

    shop.journal.events_after = counted  # type: ignore[method-assign]
    return reads
