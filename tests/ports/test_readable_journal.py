"""The contract of what a front reads of a journal, over every implementation."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.domain.events import EventType, Standing
from bridge.domain.records import Position
from tests.ports.journals import READABLE, STREAM, ReadableStore, closed
from tests.support.journal_samples import event


@pytest.fixture(params=READABLE, ids=lambda store: store.__name__)
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ReadableStore]:
    opened: ReadableStore = request.param(tmp_path)
    yield opened
    opened.close()


def test_a_new_journal_is_empty_at_offset_zero(store: ReadableStore) -> None:
    position = store.journal.position()
    assert (position.stream, position.offset) == (STREAM, 0)
    assert store.journal.snapshot().events == ()
    assert store.journal.oldest_offset() == 1
    assert store.journal.events_after(0, limit=10) == []


def test_events_are_read_as_they_were_committed_in_order_from_any_offset(store: ReadableStore) -> None:
    committed = store.append([event("a"), event("b")], [], [event("c")])
    assert [stored.offset for stored in committed] == [1, 2, 3]
    for offset in range(4):
        assert list(store.journal.events_after(offset, limit=10)) == committed[offset:]
    assert list(store.journal.events_after(1, limit=1)) == committed[1:2]
    assert [store.journal.event(stored.offset) for stored in committed] == committed
    assert store.journal.event(4) is None
    assert store.journal.position().offset == 3


def test_a_snapshot_holds_the_newest_current_event_of_each_state_key_oldest_first(store: ReadableStore) -> None:
    store.append([event("a"), event("b"), event("c")])
    store.append([event("a", revision=2)], [closed("b")])
    store.append([event("c", standing=Standing.HISTORY), event("d", standing=Standing.HISTORY)])
    snapshot = store.journal.snapshot()
    assert [committed.offset for committed in snapshot.events] == [3, 4]
    assert snapshot.position == store.journal.position()


def test_event_types_of_one_subject_share_a_state_key(store: ReadableStore) -> None:
    store.append([event("a")], [event("a", event_type=EventType.CHANGEOVER_COMPLETED)])
    assert [committed.type for committed in store.journal.snapshot().events] == [EventType.CHANGEOVER_COMPLETED]


def test_after_retention_events_begin_at_the_oldest_offset_and_current_ones_stay_readable(store: ReadableStore) -> None:
    committed = store.append([event("a")], [event("b")], [closed("b")], [event("c")], [closed("c")])
    store.prune()
    oldest = store.journal.oldest_offset()
    assert oldest == 6
    assert list(store.journal.events_after(0, limit=10)) == []
    assert store.journal.event(1) == committed[0], "it is current"
    assert [store.journal.event(offset) for offset in (2, 3, 4, 5)] == [None] * 4
    assert list(store.journal.snapshot().events) == committed[:1]
    (later,) = store.append([event("d")])
    assert list(store.journal.events_after(0, limit=10)) == [later]


def test_offsets_continue_in_a_new_epoch(store: ReadableStore) -> None:
    (before,) = store.append([event("a")])
    first = store.journal.position()
    store.renew()
    assert store.journal.position().epoch != first.epoch
    (after,) = store.append([event("b")])
    assert store.journal.position() == Position(STREAM, store.journal.position().epoch, 2)
    assert [committed.offset for committed in store.journal.events_after(0, limit=9)] == [1, 2]
    assert before.id.split(":")[1] != after.id.split(":")[1]


def test_an_unknown_command_has_no_result(store: ReadableStore) -> None:
    assert store.journal.command("ann", "x") is None


def test_readers_see_complete_batches_while_the_owner_writes(store: ReadableStore) -> None:
    snapshots: list[list[int]] = []
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            while not done.is_set():
                snapshot = store.journal.snapshot()
                offsets = [event.offset for event in snapshot.events]
                assert snapshot.position.offset == max(offsets, default=0)
                snapshots.append(offsets)
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for revision in range(1, 60):
        store.append([event("a", revision=revision), event("b", revision=revision)])
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert {len(offsets) for offsets in snapshots} <= {0, 2}
    assert all(not offsets or offsets[1] == offsets[0] + 1 for offsets in snapshots)
