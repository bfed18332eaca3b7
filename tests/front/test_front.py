"""The front over a real journal: who gets what, once, in order, and only while they may."""

from pathlib import Path

from tests.front.memory_front import assignment, call, floor, status


async def test_a_subscriber_gets_the_snapshot_then_what_is_committed_later(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        shop.commit(call("C1"), call("C2", line="L2"), status())
        board = await shop.join()
        board.say({"type": "subscribe", "subscription_type": "andon", "target_id": "L1"})
        await board.hears("snapshot_end", count=1)
        shop.commit(call("C3"), status(), call("C4", line="L2"))
        await board.hears("andon_event", subject="C3")
        assert board.types() == [
            "auth_ok", "subscription_confirmed", "snapshot_begin", "andon_event", "snapshot_end", "andon_event",
        ]  # fmt: skip
        assert board.events() == [1, 4]
        assert board.frames[-1]["stream"] == "main"


async def test_an_event_goes_as_journalled_and_once_however_many_subscriptions_match(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        board = await shop.join()
        for kind in ("andon", "line"):
            board.say({"type": "subscribe", "subscription_type": kind, "target_id": "L1", "snapshot": False})
        await board.hears("subscription_confirmed", count=2)
        [entry] = shop.commit(call("C1"))
        shop.commit(call("C2"))
        await board.hears("andon_event", subject="C2")
        assert board.live() == [1, 2]
        assert entry.events[0].body.decode() in board.texts


async def test_what_is_committed_while_the_snapshot_is_read_comes_once(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        board = await shop.join()
        for number in range(20):
            board.say({"type": "subscribe", "id": f"s{number}", "subscription_type": "andon", "target_id": "L1"})
            shop.commit(call(f"C{number}"))
            await board.hears("subscription_confirmed", count=number + 1)
            shop.commit(call(f"D{number}"))
        await board.hears("snapshot_end", id="s19")
        shop.commit(call("last"))
        await board.hears("andon_event", subject="last")
        assert len(board.live()) == len(set(board.live()))
        for number in range(20):
            begin = next(
                at for at, each in enumerate(board.frames) if each.get("id") == f"s{number}" and "positions" in each
            )
            position = board.frames[begin]["positions"]["main"]["offset"]
            later = [each["offset"] for each in board.frames[begin:] if "offset" in each]
            assert set(range(position + 1, 42)) <= set(later)


async def test_a_dashboard_gets_only_what_its_grants_cover(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        shop.commit(call("C1", line="L1"), call("C2", line="L2"))
        board = await shop.join(user="otto", roles=["operator"], lines=["L2"])
        board.say({"type": "subscribe", "id": "all", "subscription_type": "andon"})
        confirmed = await board.hears("subscription_confirmed")
        assert confirmed["narrowed"] is True
        assert confirmed["effective"] == ["+/+/L2/+/andon/#"]
        await board.hears("snapshot_end")
        shop.commit(call("C3", line="L1"), call("C4", line="L2"))
        await board.hears("andon_event", subject="C4")
        assert board.events() == [2, 4]
        board.say({"type": "subscribe", "id": "no", "subscription_type": "andon", "target_id": "L1"})
        refused = await board.hears("error", id="no")
        assert refused["code"] == "FORBIDDEN"
        assert "/L1/" in refused["detail"]["witness"]


async def test_an_assignment_reaches_its_assignee_without_a_subscription(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        eva = await shop.join(user="eva", roles=["operator"], lines=["L1"])
        otto = await shop.join(user="otto", roles=["operator"], lines=["L1"])
        shop.commit(assignment("J1", line="L2"), assignment("J2", line="L1"))
        await eva.hears("job_assigned", subject="J2")
        shop.commit(assignment("J3", to="otto"))
        await otto.hears("job_assigned", subject="J3")
        assert eva.events() == [2]
        assert otto.events() == [3]


async def test_unsubscribing_ends_delivery(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        board = await shop.join()
        board.say({"type": "subscribe", "subscription_type": "andon", "target_id": "L1"})
        board.say({"type": "subscribe", "subscription_type": "andon", "target_id": "L2"})
        await board.hears("snapshot_end", count=2)
        shop.commit(call("C1", line="L1"), call("C2", line="L2"))
        await board.hears("andon_event", offset=2)
        board.say({"type": "unsubscribe", "subscription_type": "andon", "target_id": "L1"})
        ended = await board.hears("unsubscription_confirmed")
        assert ended["target_id"] == "L1"
        shop.commit(call("C1", line="L1"), call("C2", line="L2"))
        await board.hears("andon_event", offset=4)
        assert board.live() == [1, 2, 4]


async def test_masks_narrow_beside_the_filter(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        board = await shop.join()
        masks = {"event_types": ["line_status_update"]}
        board.say({"type": "subscribe", "subscription_type": "line", "target_id": "L1", "filters": masks})
        await board.hears("snapshot_end")
        shop.commit(call(), status())
        await board.hears("line_status_update")
        assert board.live() == [2]


async def test_batches_are_arrays_and_a_lossless_event_flushes_what_is_ahead_of_it(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        board = await shop.join()
        board.say({"type": "options", "batch": True, "batch_ms": 1_000})
        options = await board.hears("options")
        assert (options["batch"], options["batch_ms"]) == (True, 1_000)
        assert board.texts[-1].startswith("{")
        board.say({"type": "subscribe", "subscription_type": "line", "target_id": "all"})
        await board.hears("snapshot_end")
        sent = len(board.texts)
        shop.commit(status("L1"))
        shop.commit(status("L2"))
        shop.commit(call())
        await board.hears("andon_event")
        arrays = [text for text in board.texts[sent:] if "status" in text]
        assert len(arrays) == 1
        assert arrays[0].startswith("[")
        assert board.live() == [1, 2, 3]


async def test_position_follows_a_flush_and_link_follows_authentication(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        shop.front.set_link_state(broker_connected=True, stream_live=True, last_seen=None)
        board = await shop.join()
        link = await board.hears("link")
        assert link["broker"] is True
        assert link["streams"]["main"] == {"live": True, "last_seen": None, "offset": 0}
        board.say({"type": "subscribe", "subscription_type": "andon"})
        await board.hears("snapshot_end")
        shop.commit(call())
        position = await board.hears("position", streams={"main": {"epoch": shop.journal.epoch, "offset": 1}})
        assert board.frames.index(position) > board.frames.index(await board.hears("andon_event"))
        shop.front.set_link_state(broker_connected=False, stream_live=True, last_seen=None)
        gone = await board.hears("link", broker=False)
        assert gone["streams"]["main"]["live"] is False


async def test_ready_tells_what_is_missing(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        assert shop.front.readiness() == (False, "no connection to the broker")
        shop.front.set_link_state(broker_connected=True, stream_live=False, last_seen=None)
        assert shop.front.readiness() == (False, "the pipeline is silent")
        shop.front.set_link_state(broker_connected=True, stream_live=True, last_seen=None)
        assert shop.front.readiness() == (True, "ready")


async def test_statistics_count_connections_and_subscriptions(tmp_path: Path) -> None:
    async with floor(tmp_path) as shop:
        board = await shop.join()
        board.say({"type": "subscribe", "subscription_type": "andon"})
        board.say({"type": "subscribe", "mqtt_filter": "S1/#"})
        await board.hears("snapshot_end", count=2)
        shop.commit(call())
        await board.hears("andon_event")
        numbers = shop.front.statistics()
        assert (numbers["connections"], numbers["authenticated"], numbers["users"]) == (1, 1, 1)
        assert numbers["subscriptions"] == {"andon": 1, "filter": 1}
        assert numbers["ledger"]["matched"] == {"andon_event": 1}
        assert numbers["balanced"] is True
