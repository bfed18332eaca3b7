"""The front over a real journal: who gets what, once, in order, and only while they may."""

import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.front.metric_samples import front_samples
from bridge.ports.metrics import Metric
from bridge.protocol.delivery import Delivery
from tests.front.memory_front import MemoryFront, assignment, call, memory_front, status
from tests.support.tokens import token


async def test_a_subscriber_gets_the_snapshot_then_what_is_committed_later(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1"), call("C2", line="L2"), status())
        board = await front.join()
        await board.send("subscribe", subscription_type="andon", target_id="L1")
        await board.receive("snapshot_end")
        front.commit(call("C3"), status(), call("C4", line="L2"))
        await board.receive("andon_event", subject="C3")
        assert board.types == [
            "auth_ok", "subscription_confirmed", "snapshot_begin", "andon_event", "snapshot_end", "andon_event",
        ]  # fmt: skip
        assert board.offsets == [1, 4]
        assert board.frames[-1]["stream"] == "main"


async def test_an_event_goes_as_journalled_and_once_however_many_subscriptions_match(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        for kind in ("andon", "line"):
            body = {"subscription_type": kind, "target_id": "L1", "snapshot": False}
            await board.ask("subscribe", "subscription_confirmed", **body)
        [entry] = front.commit(call("C1"))
        front.commit(call("C2"))
        await board.receive("andon_event", subject="C2")
        assert board.live_offsets == [1, 2]
        assert entry.events[0].body.decode() in board.texts


async def test_events_committed_while_the_snapshot_is_read_are_sent_once(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        for number in range(20):
            await board.send("subscribe", id=f"s{number}", subscription_type="andon", target_id="L1")
            front.commit(call(f"C{number}"))
            await board.receive("subscription_confirmed")
            front.commit(call(f"D{number}"))
        await board.receive("snapshot_end", id="s19")
        front.commit(call("last"))
        await board.receive("andon_event", subject="last")
        assert len(board.live_offsets) == len(set(board.live_offsets))
        for number in range(20):
            begin = next(
                at for at, frame in enumerate(board.frames) if frame.get("id") == f"s{number}" and "positions" in frame
            )
            position = board.frames[begin]["positions"]["main"]["offset"]
            later = [frame["offset"] for frame in board.frames[begin:] if "offset" in frame]
            assert set(range(position + 1, 42)) <= set(later)


async def test_a_dashboard_gets_only_what_its_grants_cover(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.commit(call("C1", line="L1"), call("C2", line="L2"))
        board = await front.join(user="otto", roles=["operator"], lines=["L2"])
        await board.send("subscribe", id="all", subscription_type="andon")
        confirmed = await board.receive("subscription_confirmed")
        assert confirmed["narrowed"] is True
        assert confirmed["effective"] == ["+/+/L2/+/andon/#"]
        await board.receive("snapshot_end")
        front.commit(call("C3", line="L1"), call("C4", line="L2"))
        await board.receive("andon_event", subject="C4")
        assert board.offsets == [2, 4]
        await board.send("subscribe", id="no", subscription_type="andon", target_id="L1")
        refused = await board.receive("error", id="no")
        assert refused["code"] == "FORBIDDEN"
        assert "/L1/" in refused["detail"]["witness"]


async def test_an_assignment_reaches_its_assignee_without_a_subscription(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        eva = await front.join(user="eva", roles=["operator"], lines=["L1"])
        otto = await front.join(user="otto", roles=["operator"], lines=["L1"])
        front.commit(assignment("J1", line="L2"), assignment("J2", line="L1"))
        await eva.receive("job_assigned", subject="J2")
        front.commit(assignment("J3", to="otto"))
        await otto.receive("job_assigned", subject="J3")
        assert eva.offsets == [2]
        assert otto.offsets == [3]


async def test_unsubscribing_ends_delivery(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.send("subscribe", subscription_type="andon", target_id="L1")
        await board.send("subscribe", subscription_type="andon", target_id="L2")
        await board.until(lambda: board.types.count("snapshot_end") == 2)
        front.commit(call("C1", line="L1"), call("C2", line="L2"))
        await board.receive("andon_event", offset=2)
        await board.send("unsubscribe", subscription_type="andon", target_id="L1")
        ended = await board.receive("unsubscription_confirmed")
        assert ended["target_id"] == "L1"
        front.commit(call("C1", line="L1"), call("C2", line="L2"))
        await board.receive("andon_event", offset=4)
        assert board.live_offsets == [1, 2, 4]


async def test_masks_narrow_beside_the_filter(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        masks = {"event_types": ["line_status_update"]}
        await board.send("subscribe", subscription_type="line", target_id="L1", filters=masks)
        await board.receive("snapshot_end")
        front.commit(call(), status())
        await board.receive("line_status_update")
        assert board.live_offsets == [2]


async def test_batches_are_arrays_and_a_lossless_event_flushes_what_is_ahead_of_it(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.send("options", batch=True, batch_ms=1_000)
        options = await board.receive("options")
        assert (options["batch"], options["batch_ms"]) == (True, 1_000)
        assert board.texts[-1].startswith("{")
        await board.send("subscribe", subscription_type="line", target_id="all")
        await board.receive("snapshot_end")
        sent = len(board.texts)
        front.commit(status("L1"))
        front.commit(status("L2"))
        front.commit(call())
        await board.receive("andon_event")
        arrays = [text for text in board.texts[sent:] if "status" in text]
        assert len(arrays) == 1
        assert arrays[0].startswith("[")
        assert board.live_offsets == [1, 2, 3]


async def test_position_follows_a_flush_and_link_follows_authentication(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        front.core.set_link_state(broker_connected=True, stream_live=True, last_seen=None)
        board = await front.join()
        link = await board.receive("link")
        assert link["broker"] is True
        assert link["streams"]["main"] == {"live": True, "last_seen": None, "offset": 0}
        await board.send("subscribe", subscription_type="andon")
        await board.receive("snapshot_end")
        front.commit(call())
        position = await board.receive("position", streams={"main": {"epoch": front.journal.epoch, "offset": 1}})
        assert board.frames.index(position) > board.frames.index(board.first("andon_event"))
        front.core.set_link_state(broker_connected=False, stream_live=True, last_seen=None)
        offline = await board.receive("link", broker=False)
        assert offline["streams"]["main"]["live"] is False


async def test_readiness_names_the_missing_part(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        assert front.core.readiness() == (False, "no connection to the broker")
        front.core.set_link_state(broker_connected=True, stream_live=False, last_seen=None)
        assert front.core.readiness() == (False, "the pipeline is silent")
        front.core.set_link_state(broker_connected=True, stream_live=True, last_seen=None)
        assert front.core.readiness() == (True, "ready")


async def test_statistics_count_connections_and_subscriptions(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        await board.send("subscribe", subscription_type="andon")
        await board.send("subscribe", mqtt_filter="S1/#")
        await board.until(lambda: board.types.count("snapshot_end") == 2)
        front.commit(call())
        await board.receive("andon_event")
        numbers = front.core.statistics()
        assert (numbers["connections"], numbers["authenticated"], numbers["users"]) == (1, 1, 1)
        assert numbers["subscriptions"] == {"andon": 1, "filter": 1}
        assert numbers["ledger"] == {"matched": {"andon_event": 1}, "sent": {"andon_event": 1}, "conflated": {}}
        assert (numbers["cohorts"], numbers["events_behind"], numbers["catching_up"]) == (1, 0, 0)


async def test_statistics_follow_every_change_of_the_subscriptions(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board, other = await front.join(), await front.join(user="otto")

        def counted() -> dict[str, int]:
            return dict(front.core.statistics()["subscriptions"])

        for member in (board, other):
            await member.ask("subscribe", "subscription_confirmed", id="a", subscription_type="andon")
            await member.ask("subscribe", "subscription_confirmed", id="b", mqtt_filter="S1/#")
        assert counted() == {"andon": 2, "filter": 2}
        await board.ask("subscribe", "subscription_confirmed", id="a", mqtt_filter="S1/A1/#")
        assert counted() == {"andon": 1, "filter": 3}
        await board.ask("unsubscribe", "unsubscription_confirmed", id="a")
        assert counted() == {"andon": 1, "filter": 2}
        await other.disconnect()
        assert counted() == {"filter": 1}
        front.core.switch_journal(front.journal, front.journal.position())
        assert counted() == {}


def calls_of_statistics(front: MemoryFront) -> int:
    events: list[str] = []
    sys.setprofile(lambda _frame, event, _argument: events.append(event))
    try:
        front.core.statistics()
    finally:
        sys.setprofile(None)
    return len(events)


async def test_statistics_take_no_longer_with_more_subscriptions(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        board = await front.join()
        costs = []
        for count in (1, 50):
            for number in range(count):
                await board.ask("subscribe", "subscription_confirmed", id=f"{number}", mqtt_filter=f"S1/A1/L{number}/#")
            assert front.core.statistics()["subscriptions"] == {"filter": count}
            costs.append(calls_of_statistics(front))
        assert costs[0] == costs[1]


async def test_statistics_take_no_longer_with_more_dashboards(tmp_path: Path) -> None:
    async with memory_front(tmp_path) as front:
        costs = []
        for count in (1, 20):
            boards = [await front.join(user=f"user {count} {number}") for number in range(count)]
            for number, board in enumerate(boards):
                await board.ask("subscribe", "snapshot_end", mqtt_filter=f"S1/A1/L{number}/#")
            costs.append(calls_of_statistics(front))
        assert costs[0] == costs[1]
        assert front.core.statistics()["connections"] == 21


async def test_a_fault_at_one_dashboard_is_logged_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with memory_front(tmp_path) as front:
        board, other = await front.join(), await front.join(user="otto")
        fault = LookupError("test")

        def write(_frames: bytes) -> None:
            raise fault

        monkeypatch.setattr(board.socket, "write", write)
        with capture_logs() as logs:
            await board.send("ping")
        assert (await board.closed())[0] == 1012
        assert logs == [
            {
                "event": "front.dashboard_failed",
                "log_level": "error",
                "peer": "test:1",
                "exc_info": fault,
                "left_out": 0,
            },
        ]
        assert {sample.metric: sample.value for sample in front_samples(front.core)}[Metric.DASHBOARD_FAULTS] == 1
        await other.ask("ping", "pong")


@pytest.mark.parametrize("in_handshake", [False, True], ids=["frame", "handshake"])
async def test_a_fault_while_a_token_is_taken_ends_that_dashboard_and_frees_its_slots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, in_handshake: bool
) -> None:
    async with memory_front(tmp_path, max_connections_per_user=1) as front:
        with monkeypatch.context() as patch, capture_logs() as logs:

            def fail(*_: object) -> None:
                raise LookupError("test")

            patch.setattr(Delivery, "authenticate", fail)
            board = front.connect(offered_token=token() if in_handshake else None)
            if not in_handshake:
                await board.send("auth", token=token())
            assert (await board.closed())[0] == 1012
        assert [entry["event"] for entry in logs] == ["front.dashboard_failed"]
        numbers = front.core.statistics()
        assert (numbers["connections"], numbers["users"], numbers["faults"]) == (0, 0, 1)
        await front.join()
        full = front.connect()
        await full.send("auth", token=token())
        assert (await full.closed())[0] == 4429
