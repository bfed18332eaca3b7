"""The contract of a journal, over every store."""

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge.domain.event_topic import EventTopic
from bridge.domain.records import CommandRecord, MessageDigest
from bridge.domain.reports import quarantined, rejected, suppressed
from bridge.ports.journal import Batch, Checkpoint, CommitFailed, Journal, JournalError, RetentionLimits
from tests.ports.journals import JOURNALS, JournalStore
from tests.support.journal_samples import NOON, applied, event, follow

DAY = 24 * 3_600_000


@pytest.fixture(params=JOURNALS, ids=lambda store: store.__name__)
def store(tmp_path: Path, request: pytest.FixtureRequest) -> JournalStore:
    made: JournalStore = request.param(tmp_path)
    return made


@pytest.fixture
def journal(store: JournalStore) -> Iterator[Journal]:
    opened = store.open()
    yield opened
    opened.close()


def reopen(journal: Journal, store: JournalStore) -> Journal:
    journal.close()
    return store.open()


def test_a_new_journal_is_empty(journal: Journal) -> None:
    assert journal.last_input() == (0, 0)
    assert journal.published_offset() == 0
    assert journal.counters() == {}
    assert journal.checkpoints() == []
    assert journal.inputs_after(0, limit=9) == []
    assert journal.requested_replays(9) == []
    assert journal.crash_digests() == frozenset()
    assert journal.dedup_window().digests == ()
    assert journal.retained_topics() == {}


def test_every_journal_has_its_own_epoch_and_keeps_it(journal: Journal, store: JournalStore, tmp_path: Path) -> None:
    other = type(store)(tmp_path / "other").open()  # type: ignore[call-arg] # every entry of JOURNALS takes a folder
    other.close()
    assert other.epoch != journal.epoch
    again = reopen(journal, store)
    assert again.epoch == journal.epoch
    again.close()


def test_a_journal_has_one_owner_at_a_time(journal: Journal, store: JournalStore) -> None:
    with pytest.raises(JournalError):
        store.open()
    journal.close()
    journal.close()
    store.open().close()


def test_a_failed_commit_changes_nothing_and_can_be_repeated(journal: Journal, store: JournalStore) -> None:
    journal.commit(follow(journal, [event("a")]))
    batch = follow(journal, *([event(f"s{n}")] for n in range(200)))
    with store.no_room(), pytest.raises(CommitFailed):
        journal.commit(batch)
    assert journal.position().offset == 1
    assert journal.last_input()[0] == 1
    assert len(journal.snapshot().events) == 1
    assert journal.counters() == {("changeover", "applied", ""): 1}
    journal.commit(batch)
    assert journal.position().offset == 201


def test_a_failed_mark_and_a_failed_prune_change_nothing(journal: Journal, store: JournalStore) -> None:
    journal.commit(dataclasses.replace(follow(journal, [event("a")], [event("a")]), checkpoints={"bagger-1": b""}))
    with store.no_room(), pytest.raises(CommitFailed):
        journal.mark_published(2, retained=[])
    assert journal.published_offset() == 0
    journal.mark_published(2, retained=[])
    with store.no_room(), pytest.raises(CommitFailed):
        journal.prune(NOON, RetentionLimits(max_bytes=1))
    assert journal.oldest_offset() == 1


def test_retention_keeps_what_is_current_unpublished_or_replayed_at_a_start(journal: Journal) -> None:
    journal.commit(follow(journal, [event("a")], [event("b")], [event("b")], [event("c")]))
    while journal.prune(NOON, RetentionLimits(max_bytes=1)):
        pass
    assert journal.oldest_offset() == 1, "nothing is published, and there is no checkpoint"
    journal.mark_published(3, retained=[])
    journal.commit(Batch(entries=[], checkpoints={"bagger-1": b""}))
    while journal.prune(NOON, RetentionLimits(max_bytes=1)):
        pass
    assert [committed.offset for committed in journal.events_after(0, limit=9)] == [4]
    assert [committed.offset for committed in journal.snapshot().events] == [1, 3, 4]
    journal.commit(follow(journal, [event("d")]))
    assert [entry.input.number for entry in journal.inputs_after(0, limit=9)][-1] == 5


def test_a_command_has_no_result_after_a_day(journal: Journal) -> None:
    journal.commit(Batch(entries=[applied(1, command=command("old"))]))
    late = applied(2, command=command("new", at=NOON + DAY + 1))
    journal.commit(Batch(entries=[replace(late, input=replace(late.input, received_at=NOON + DAY + 1))]))
    assert journal.command("ann", "old") is None
    assert journal.command("ann", "new") is not None


def test_published_offset_and_retained_topics_change_together_and_survive(
    journal: Journal, store: JournalStore
) -> None:
    batch = follow(journal, [event("a"), event("b")])
    journal.commit(batch)
    one, two = batch.entries[0].events
    journal.mark_published(1, retained=[(one.state_key, one.topic), (two.state_key, two.topic)])
    moved = EventTopic.parse(two.topic.text.replace("/medium/", "/high/"))
    journal.mark_published(2, retained=[(one.state_key, None), (two.state_key, moved)])
    again = reopen(journal, store)
    assert again.published_offset() == 2
    assert again.retained_topics() == {two.state_key: moved}
    again.close()


def test_the_newest_configuration_of_a_topic_is_in_force(journal: Journal, store: JournalStore) -> None:
    assert journal.config("config/plant") is None
    first, second = (applied(number, topic="config/plant", payload=b"%d" % number) for number in (1, 3))
    journal.commit(Batch(entries=[first, applied(2)]))
    journal.commit(Batch(entries=[second], checkpoints={"bagger-1": b""}))
    while journal.prune(NOON, RetentionLimits(max_bytes=1)):
        pass
    again = reopen(journal, store)
    assert again.inputs_after(0, limit=9) == [], "it outlives its input"
    assert again.config("config/plant") == second.input
    assert again.config("config/other") is None
    again.close()


def test_digests_survive(journal: Journal, store: JournalStore) -> None:
    digest = MessageDigest(b"digest", has_timestamp=True, packet_id=7)
    journal.commit(Batch(entries=[applied(1, resend=digest), applied(2)], acked_up_to=1, crash_digest=b"crash"))
    journal.commit(Batch(entries=[], crash_digest=b"crash"))
    again = reopen(journal, store)
    assert again.dedup_window().digests == ((1, digest),)
    assert again.dedup_window().acked_up_to == 1
    assert again.crash_digests() == {b"crash"}
    again.close()


def test_the_latest_arrival_counts_time_that_was_only_watched(journal: Journal) -> None:
    journal.commit(Batch(entries=[applied(1)]))
    journal.commit(Batch(entries=[], observed_until=NOON + 5_000))
    assert journal.last_input() == (1, NOON + 5_000)
    journal.commit(Batch(entries=[], observed_until=NOON))
    assert journal.last_input() == (1, NOON + 5_000)


def test_a_new_epoch_retires_keys_and_survives(journal: Journal, store: JournalStore) -> None:
    journal.commit(follow(journal, [event("a")], [event("b")]))
    before = journal.epoch
    journal.commit(Batch(entries=[], retired_keys=[EventTopic.from_event(event("a")).state_key]))
    assert journal.epoch == journal.position().epoch != before
    assert [committed.offset for committed in journal.snapshot().events] == [2]
    again = reopen(journal, store)
    assert again.epoch == journal.epoch
    again.close()


def test_threads_may_commit_and_read_at_the_same_time(journal: Journal) -> None:
    failures: list[BaseException] = []

    def mark() -> None:
        try:
            for _ in range(30):
                journal.mark_published(journal.position().offset, retained=[])
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            failures.append(error)

    marking = threading.Thread(target=mark)
    marking.start()
    for number in range(30):
        journal.commit(follow(journal, [event(f"s{number}")]))
    marking.join()
    assert failures == []
    assert journal.position().offset == 30


def test_a_closed_journal_takes_nothing_more(journal: Journal) -> None:
    batch = follow(journal, [event()])
    journal.close()
    with pytest.raises(JournalError):
        journal.commit(batch)


def test_committed_events_are_read_as_written(journal: Journal, store: JournalStore) -> None:
    batch = follow(journal, [event("a"), event("b")], [], [event("c")])
    journal.commit(batch)
    went_in = [committed for entry in batch.entries for committed in entry.events]
    again = reopen(journal, store)
    assert again.events_after(0, limit=10) == went_in
    assert again.events_after(1, limit=1) == went_in[1:2]
    assert again.position().offset == 3
    assert again.last_input() == (3, NOON + 3)
    assert again.oldest_offset() == 1
    assert [(e.input, e.events) for e in again.inputs_after(0, limit=9)] == [(e.input, e.events) for e in batch.entries]
    assert [entry.input.number for entry in again.inputs_after(1, limit=1)] == [2]
    again.close()


@pytest.mark.parametrize("first", [1, 3], ids=["repeated", "hole"])
def test_offsets_never_repeat_and_have_no_holes(journal: Journal, first: int) -> None:
    batch = follow(journal, [event("a")])
    journal.commit(batch)
    (good,) = follow(journal, [event("b")]).entries
    wrong = replace(good, events=tuple(replace(committed, offset=first) for committed in good.events))
    with pytest.raises(ValueError, match="does not follow"):
        journal.commit(Batch(entries=[wrong]))
    with pytest.raises(ValueError, match="does not follow"):
        journal.commit(Batch(entries=[replace(good, input=replace(good.input, number=first))]))
    assert journal.position().offset == 1
    assert journal.last_input()[0] == 1


def test_newest_checkpoint_of_each_line_counts(journal: Journal) -> None:
    journal.commit(Batch(entries=[applied(1)], checkpoints={"l1": b"one", "l2": b"two"}))
    journal.commit(Batch(entries=[applied(2), applied(3)], checkpoints={"l1": b"three"}))
    journal.commit(Batch(entries=[], checkpoints={"l3": b"four"}))
    assert journal.checkpoints() == [
        Checkpoint("l1", 3, b"three"),
        Checkpoint("l2", 1, b"two"),
        Checkpoint("l3", 3, b"four"),
    ]


def command(command_id: str, *, at: int = NOON, outcome: str = "applied") -> CommandRecord:
    return CommandRecord(
        user="ann", command_id=command_id, outcome=outcome, reason=None, event_ids=("main:e:1", "main:e:2"), at=at
    )


def test_command_keeps_its_first_result(journal: Journal) -> None:
    journal.commit(Batch(entries=[applied(1, command=command("x"))]))
    journal.commit(Batch(entries=[applied(2, command=command("x", outcome="rejected"))]))
    assert journal.command("ann", "x") == command("x")
    assert journal.command("bob", "x") is None
    assert journal.command("ann", "y") is None


def test_counters_account_for_every_input(journal: Journal) -> None:
    entries = [
        applied(1),
        applied(2, topic="report/a/b/c/d/counts", disposition=suppressed("duplicate")),
        applied(3, topic="command/a/b/c/d/andon", disposition=rejected("not_open")),
        applied(4, topic="report/a/b/c/d/<script>", disposition=quarantined("unknown_kind")),
        applied(5, topic=""),
        applied(6, topic="no/where", disposition=quarantined("bad_topic")),
    ]
    journal.commit(Batch(entries=entries[:3]))
    journal.commit(Batch(entries=entries[3:]))
    journal.commit(Batch(entries=[applied(7)]))
    assert journal.counters() == {
        ("changeover", "applied", ""): 2,
        ("counts", "suppressed", "duplicate"): 1,
        ("command/andon", "suppressed", "not_open"): 1,
        ("other", "quarantined", "unknown_kind"): 1,
        ("tick", "applied", ""): 1,
        ("other", "quarantined", "bad_topic"): 1,
    }
    assert sum(journal.counters().values()) == journal.last_input()[0]
