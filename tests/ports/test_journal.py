"""What a journal promises, held against SQLite. A second implementation joins by the `journal` fixture."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.domain.event_topic import EventTopic
from bridge.domain.events import EventType, Standing
from bridge.domain.records import CommandRecord, MessageDigest, Position
from bridge.domain.reports import quarantined, rejected, suppressed
from bridge.journal.sqlite import rows
from bridge.journal.sqlite.writer import JournalDamaged, SqliteJournal
from bridge.ports.journal import Batch, Checkpoint, CommitFailed, JournalError
from tests.support.journal_samples import NOON, applied, change, event, follow, open_connected, query

DAY = 24 * 3_600_000


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal.open(tmp_path / "folder" / "journal.db", stream="main")
    yield opened
    opened.close()


def reopen(journal: SqliteJournal) -> SqliteJournal:
    journal.close()
    return SqliteJournal.open(journal.path, stream="main")


def test_new_journal_is_empty_at_offset_zero(journal: SqliteJournal) -> None:
    assert journal.position() == Position("main", journal.epoch, 0)
    assert journal.last_input() == (0, 0)
    assert journal.snapshot().events == ()
    assert journal.oldest_offset() == 1
    assert journal.published_offset() == 0
    assert journal.counters() == {}
    assert journal.checkpoints() == []


def test_every_journal_has_an_epoch_of_its_own_and_keeps_it(journal: SqliteJournal, tmp_path: Path) -> None:
    other = SqliteJournal.open(tmp_path / "other.db", stream="main")
    other.close()
    assert other.epoch != journal.epoch
    again = reopen(journal)
    assert again.epoch == journal.epoch
    again.close()


def test_committed_events_come_back_as_they_went_in(journal: SqliteJournal) -> None:
    batch = follow(journal, [event("a"), event("b")], [], [event("c")])
    journal.commit(batch)
    went_in = [each for entry in batch.entries for each in entry.events]
    again = reopen(journal)
    assert again.events_after(0, limit=10) == went_in
    assert again.events_after(1, limit=1) == went_in[1:2]
    assert again.position().offset == 3
    assert again.last_input() == (3, NOON + 3)
    assert again.oldest_offset() == 1
    assert [(e.input, e.events) for e in again.inputs_after(0, limit=9)] == [(e.input, e.events) for e in batch.entries]
    assert [each.input.number for each in again.inputs_after(1, limit=1)] == [2]
    again.close()


def test_current_is_what_is_neither_closed_nor_history(journal: SqliteJournal) -> None:
    journal.commit(follow(journal, [event("a"), event("b"), event("c")]))
    journal.commit(follow(journal, [event("a", revision=2)], [event("b", standing=Standing.CLOSED)]))
    journal.commit(follow(journal, [event("c", standing=Standing.HISTORY), event("d", standing=Standing.HISTORY)]))
    snapshot = journal.snapshot()
    assert [(each.offset, each.state_key[5]) for each in snapshot.events] == [(3, "c"), (4, "a")]
    assert snapshot.position.offset == 7


def test_event_types_of_one_subject_share_its_state(journal: SqliteJournal) -> None:
    """A completed changeover that may still be revised takes the place of the started one."""
    completed = event("a", event_type=EventType.CHANGEOVER_COMPLETED)
    journal.commit(follow(journal, [event("a")], [completed]))
    assert [each.type for each in journal.snapshot().events] == [EventType.CHANGEOVER_COMPLETED]


def test_failed_commit_changes_nothing_and_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, connection = open_connected(tmp_path / "full.db", monkeypatch)
    journal.commit(follow(journal, [event("a")]))
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    batch = follow(journal, *([event(f"s{n}")] for n in range(200)))
    with pytest.raises(CommitFailed, match="full"):
        journal.commit(batch)
    assert journal.position().offset == 1
    assert journal.last_input()[0] == 1
    assert len(journal.snapshot().events) == 1
    assert journal.counters() == {("changeover", "applied", ""): 1}
    connection.execute("PRAGMA max_page_count = 1000000")
    journal.commit(batch)
    assert journal.position().offset == 201
    journal.close()


@pytest.mark.parametrize("first", [1, 3], ids=["repeated", "hole"])
def test_offsets_never_repeat_and_have_no_holes(journal: SqliteJournal, first: int) -> None:
    batch = follow(journal, [event("a")])
    journal.commit(batch)
    (good,) = follow(journal, [event("b")]).entries
    wrong = replace(good, events=tuple(replace(each, offset=first) for each in good.events))
    with pytest.raises(ValueError, match="does not follow"):
        journal.commit(Batch(entries=[wrong]))
    with pytest.raises(ValueError, match="does not follow"):
        journal.commit(Batch(entries=[replace(good, input=replace(good.input, number=first))]))
    assert journal.position().offset == 1
    assert journal.last_input()[0] == 1


def test_newest_checkpoint_of_each_line_counts(journal: SqliteJournal) -> None:
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


def test_command_keeps_its_first_result(journal: SqliteJournal) -> None:
    journal.commit(Batch(entries=[applied(1, command=command("x"))]))
    journal.commit(Batch(entries=[applied(2, command=command("x", outcome="rejected"))]))
    assert journal.command("ann", "x") == command("x")
    assert journal.command("bob", "x") is None
    assert journal.command("ann", "y") is None


def test_command_is_forgotten_after_a_day(journal: SqliteJournal) -> None:
    journal.commit(Batch(entries=[applied(1, command=command("old"))]))
    late = applied(2, command=command("new", at=NOON + DAY + 1))
    journal.commit(Batch(entries=[replace(late, input=replace(late.input, received_at=NOON + DAY + 1))]))
    assert journal.command("ann", "old") is None
    assert journal.command("ann", "new") is not None
    assert query(journal.path, "SELECT count(*) FROM commands") == [(1,)]


def test_counters_account_for_every_input(journal: SqliteJournal) -> None:
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


def test_quarantine_keeps_the_newest_payloads_only(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "QUARANTINE_INPUTS", 2)
    monkeypatch.setattr(rows, "QUARANTINE_BYTES", 4)
    for number in range(1, 5):
        bad = applied(number, payload=b"bad-%d" % number, disposition=quarantined("not_json"), reached_core=False)
        journal.commit(Batch(entries=[bad]))
    kept = journal.inputs_after(0, limit=9)
    assert [each.input.payload for each in kept] == [b"", b"", b"bad-", b"bad-"]
    assert {each.disposition for each in kept} == {quarantined("not_json")}
    assert not any(each.reached_core for each in kept)


def test_payload_that_reached_the_core_is_kept_whole(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay needs it, whatever the core made of it."""
    monkeypatch.setattr(rows, "QUARANTINE_BYTES", 4)
    journal.commit(Batch(entries=[applied(1, payload=b"whole payload", disposition=quarantined("unknown_place"))]))
    assert journal.inputs_after(0, limit=1)[0].input.payload == b"whole payload"


def test_published_mark_and_retained_topics_move_together(journal: SqliteJournal) -> None:
    batch = follow(journal, [event("a"), event("b")])
    journal.commit(batch)
    one, two = batch.entries[0].events
    journal.mark_published(1, retained=[(one.state_key, one.topic), (two.state_key, two.topic)])
    moved = EventTopic.parse(two.topic.text.replace("/medium/", "/high/"))
    journal.mark_published(2, retained=[(one.state_key, None), (two.state_key, moved)])
    again = reopen(journal)
    assert again.published_offset() == 2
    assert again.retained_topics() == {two.state_key: moved}
    again.close()


def test_configuration_that_holds_outlives_its_input(journal: SqliteJournal) -> None:
    assert journal.config("config/plant") is None
    first, second = (applied(number, topic="config/plant", payload=b"%d" % number) for number in (1, 3))
    journal.commit(Batch(entries=[first, applied(2)]))
    journal.commit(Batch(entries=[second]))
    assert journal.config("config/plant") == second.input
    assert journal.config("config/other") is None
    assert journal.counters()["config", "applied", ""] == 2
    change(journal.path, "DELETE FROM inputs")
    assert journal.config("config/plant") == second.input


def test_configuration_that_does_not_match_its_seal_is_damage(journal: SqliteJournal) -> None:
    journal.commit(Batch(entries=[applied(1, topic="config/plant", payload=b"one")]))
    change(journal.path, "UPDATE config SET payload = ?", b"two")
    with pytest.raises(JournalDamaged, match="config/plant"):
        journal.config("config/plant")


def test_resends_are_known_within_their_window(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "DEDUP_INPUTS", 2)
    for number in range(1, 5):
        resend = MessageDigest(b"%d" % number, has_timestamp=number % 2 == 0)
        journal.commit(Batch(entries=[applied(number, resend=resend)], acked_up_to=number - 1))
    journal.commit(Batch(entries=[]))
    known = journal.dedup_window()
    assert known.digests == (
        (3, MessageDigest(b"3", has_timestamp=False)),
        (4, MessageDigest(b"4", has_timestamp=True)),
    )
    assert known.acked_up_to == 3


def test_suspects_are_known_again(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "MAX_CRASH_DIGESTS", 2)
    for digest in (b"a", b"b", b"b", b"c"):
        journal.commit(Batch(entries=[], crash_digest=digest))
    assert journal.crash_digests() == {b"b", b"c"}


def test_readers_see_whole_batches_while_the_writer_writes(journal: SqliteJournal) -> None:
    """A snapshot is one transaction: in every one of them both subjects stand at the same revision."""
    seen: list[tuple[int, ...]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            snapshot = journal.snapshot()
            offsets = [each.offset for each in snapshot.events]
            assert snapshot.position.offset == max(offsets, default=0)
            seen.append(tuple(offsets))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for revision in range(1, 60):
        journal.commit(follow(journal, [event("a", revision=revision), event("b", revision=revision)]))
    done.set()
    for reader in readers:
        reader.join()
    assert {len(offsets) for offsets in seen} <= {0, 2}
    assert all(not offsets or offsets[1] == offsets[0] + 1 for offsets in seen)


def test_closed_journal_takes_nothing_more(journal: SqliteJournal) -> None:
    batch = follow(journal, [event()])
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.commit(batch)
