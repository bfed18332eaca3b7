"""Frames that wait for a dashboard that does not read, or for a batch, when another frame or event follows."""

import asyncio
from pathlib import Path

import pytest

from bridge.front import journal_reads as front_journal
from tests.front.journal_gate import andon, let_the_front_run
from tests.front.memory_front import call, memory_front, status


async def test_events_waiting_for_an_ended_subscription_are_dropped(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        for line in ("L1", "L2"):
            await board.ask(andon(line), "subscription_confirmed", snapshot=False)
        await board.receive("position")
        board.stop_reading()
        front.commit(call("C1", line="L2"))
        await let_the_front_run()
        front.commit(call("C2", line="L1"), call("C3", line="L2"))
        await board.send("unsubscribe", id="L1")
        await let_the_front_run()
        front.commit(call("C4", line="L1"), call("C5", line="L2"))
        board.read_on()
        await board.receive("andon_event", subject="C5")
        assert board.live_offsets == [1, 3, 5]
        assert front.core.statistics()["ledger"]["sent"] == {"andon_event": 3}


async def test_an_ending_does_not_wait_for_all_that_waits(tmp_path: Path) -> None:
    async with memory_front(tmp_path, max_frame_bytes=1_024) as front:
        board = await front.join()
        await board.send(andon("L1"), snapshot=False)
        await board.receive("subscription_confirmed")
        await board.receive("position")
        board.stop_reading()
        for number in range(50):
            front.commit(call(f"C{number}"))
        await board.send_text("x" * 2000)
        await let_the_front_run()
        board.read_on()
        assert (await board.closed())[0] == 1009
        assert len(board.live_offsets) < 5


async def test_with_batching_a_state_waits_for_company_and_an_alarm_does_not(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.send("subscribe", subscription_type="line", snapshot=False)
        await board.send("options", batch=True, batch_ms=1_000)
        await board.receive("options")
        await board.receive("position")
        front.commit(status("L1"))
        await let_the_front_run()
        front.commit(status("L2"))
        await let_the_front_run()
        assert board.live_offsets == []
        loop = asyncio.get_running_loop()
        before = loop.time()
        front.commit(call())
        await board.receive("andon_event")
        assert loop.time() - before < 0.9
        assert board.live_offsets == [1, 2, 3]
        [array] = [text for text in board.texts if "andon_event" in text]
        assert "line_status_update" in array
        front.commit(status("L3"))
        await board.receive("line_status_update", offset=4)


async def test_a_dashboard_behind_the_retained_journal_is_asked_to_reconnect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_journal, "PAGES_BYTES", 0)
    async with memory_front(tmp_path) as front:
        front.commit(call("C1"), call("C2"), call("C3"))
        since = {"main": {"epoch": front.journal.epoch, "offset": 0}}
        first = await front.join()
        await first.send("resume", subscriptions=[andon("L1")], since=since)
        assert (await first.receive("resumed"))["streams"] == {"main": {"recovered": True}}
        await first.receive("andon_event", subject="C3")
        events_after = front.journal.events_after
        monkeypatch.setattr(front.journal, "events_after", lambda _offset, *, limit: events_after(1, limit=limit))
        monkeypatch.setattr(front.journal, "oldest_offset", lambda: 2)
        late = await front.join()
        await late.send("resume", subscriptions=[andon("L1")], since=since)
        assert (await late.closed())[0] == 4008
        assert late.live_offsets == []
        again = await front.join()
        await again.send("resume", subscriptions=[andon("L1")], since=since)
        assert (await again.receive("resumed"))["streams"] == {"main": {"recovered": False}}


async def test_a_gap_is_followed_by_the_snapshot(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.send(andon("L1"), snapshot=False)
        await board.receive("subscription_confirmed")
        await board.receive("position")
        board.stop_reading()
        for number in range(5):
            front.commit(call(f"C{number}"))
            await let_the_front_run()
        await board.send("resume", subscriptions=[andon("L1")], since={"main": {"epoch": "other", "offset": 1}})
        await let_the_front_run()
        board.read_on()
        await board.receive("snapshot_end")
        resumed = board.types.index("resumed")
        assert board.types[resumed + 1] == "snapshot_begin"
