"""Retention: rows that a journal deletes by age and by size, and rows that it never deletes."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge.domain.events import Event, Standing
from bridge.domain.reports import quarantined
from bridge.journal.sqlite import batch_rows, retention
from bridge.journal.sqlite.retention import measure_used_bytes
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools.quarantine_writer import SqliteQuarantineWriter
from bridge.ports.journal import Batch, RetentionLimits
from tests.support.journal_samples import NOON, applied, event, follow, query

HOUR = 3_600_000
DAY = 24 * HOUR
ALL = 1_000_000
HISTORY = Standing.HISTORY


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    yield opened
    opened.close()


def arrive(journal: SqliteJournal, at: int, *inputs: Sequence[Event]) -> None:
    """Commit inputs that arrived at an instant."""
    entries = [replace(e, input=replace(e.input, received_at=at)) for e in follow(journal, *inputs).entries]
    journal.commit(Batch(entries=entries))


def settle(journal: SqliteJournal) -> None:
    """Publish everything and take a checkpoint, so that all past rows may be pruned."""
    journal.mark_published(journal.position().offset, retained=[])
    journal.commit(Batch(entries=[], checkpoints={"bagger-1": b"state"}))


def a_week(journal: SqliteJournal, *, day: int = 10) -> None:
    """One input with one event every hour of seven days."""
    for hour in range(7 * 24):
        arrive(journal, NOON + hour * HOUR, [event(f"s{hour % day}", standing=HISTORY)])
    settle(journal)


def prune(journal: SqliteJournal, keep: RetentionLimits, *, now: int = NOON + 7 * DAY) -> None:
    while journal.prune(now, keep):
        pass


def offsets(journal: SqliteJournal) -> list[int]:
    return [event.offset for event in journal.events_after(0, limit=ALL)]


def numbers(journal: SqliteJournal) -> list[int]:
    return [entry.input.number for entry in journal.inputs_after(0, limit=ALL)]


def test_events_and_inputs_go_by_their_own_age(journal: SqliteJournal) -> None:
    a_week(journal)
    prune(journal, RetentionLimits(events_ms=3 * DAY, inputs_ms=DAY))
    assert offsets(journal) == list(range(97, 169)), "three days of 24 hours"
    assert numbers(journal) == list(range(145, 169))
    assert journal.oldest_offset() == 97
    assert journal.last_input()[0] == sum(journal.counters().values()) == 168


def test_nothing_goes_without_a_bound(journal: SqliteJournal) -> None:
    a_week(journal)
    assert journal.prune(NOON + 1_000 * DAY, RetentionLimits()) == 0
    assert len(offsets(journal)) == len(numbers(journal)) == 168


def test_events_lost_to_retention_show_as_a_gap(journal: SqliteJournal) -> None:
    """Also where single events before it are still held because they are current."""
    arrive(journal, NOON, [event("open")])
    a_week(journal)
    prune(journal, RetentionLimits(events_ms=DAY, inputs_ms=DAY))
    assert journal.event(1) is not None
    assert journal.events_after(0, limit=1)[0].offset == journal.oldest_offset() > 100
    assert journal.inputs_after(0, limit=1)[0].input.number > 100


def test_current_event_stays_however_old_and_goes_when_it_is_no_longer(journal: SqliteJournal) -> None:
    arrive(journal, NOON, [event("open"), event("revised"), event("closed")])
    a_week(journal)
    keep = RetentionLimits(events_ms=DAY)
    prune(journal, keep)
    assert [committed.offset for committed in journal.snapshot().events] == [1, 2, 3]
    later = NOON + 9 * DAY
    arrive(journal, later, [event("revised", revision=2), event("closed", standing=Standing.CLOSED)])
    settle(journal)
    prune(journal, keep, now=later)
    assert [committed.offset for committed in journal.snapshot().events] == [1, 172]
    assert [journal.event(offset) is None for offset in (1, 2, 3)] == [False, True, True]
    assert offsets(journal) == [172, 173]


def test_unpublished_event_stays(journal: SqliteJournal) -> None:
    a_week(journal)
    journal.mark_published(10, retained=[])
    prune(journal, RetentionLimits(events_ms=HOUR), now=NOON + 1_000 * DAY)
    assert journal.oldest_offset() == 11


def test_retention_keeps_replayable_inputs_with_their_events(journal: SqliteJournal) -> None:
    for hour in range(10):
        arrive(journal, NOON + hour * HOUR, [event(standing=HISTORY), event(standing=HISTORY)])
        if hour in (2, 5):
            line = {2: "idle", 5: "bagger-1"}[hour]
            journal.commit(Batch(entries=[], checkpoints={line: b"state"}))
    journal.mark_published(20, retained=[])
    prune(journal, RetentionLimits(events_ms=HOUR, inputs_ms=HOUR), now=NOON + DAY)
    assert numbers(journal) == [7, 8, 9, 10], "the newest round counts: an idle line would hold them for ever"
    assert offsets(journal) == list(range(13, 21))
    assert all(len(entry.events) == 2 for entry in journal.inputs_after(6, limit=ALL))


def test_nothing_goes_before_the_first_checkpoint(journal: SqliteJournal) -> None:
    for hour in range(10):
        arrive(journal, NOON + hour * HOUR, [event(standing=HISTORY)])
    journal.mark_published(10, retained=[])
    assert journal.prune(NOON + DAY, RetentionLimits(events_ms=HOUR, inputs_ms=HOUR)) == 0


def test_quarantine_stays_within_its_own_bound(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_rows, "QUARANTINE_INPUTS", 1)
    garbage = {
        number: applied(number, payload=b"%d" % number, disposition=quarantined("not_json"), reached_core=False)
        for number in (1, 2, 172)
    }
    unknown = applied(3, payload=b"unknown", disposition=quarantined("unknown_place"))
    journal.commit(Batch(entries=[garbage[1], garbage[2], unknown]))
    desk = SqliteQuarantineWriter.open(journal.path, stream="main")
    assert desk.request_replays([3]) == [3]
    a_week(journal)
    keep = RetentionLimits(inputs_ms=DAY)
    prune(journal, keep)
    assert query(journal.path, "SELECT number FROM inputs WHERE number < 100") == [(2,), (3,)]
    assert [replay.payload for replay in journal.requested_replays(9)] == [b"unknown"]
    assert desk.request_replays([2]) == [2], "its payload is held, and so is what it was"
    journal.commit(Batch(entries=[garbage[172]], quarantined_numbers=[2, 3]))
    arrive(journal, NOON + 9 * DAY, [])
    settle(journal)
    prune(journal, keep, now=NOON + 9 * DAY)
    assert query(journal.path, "SELECT number FROM inputs ORDER BY number") == [(172,), (173,)]
    assert query(journal.path, "SELECT number FROM quarantine_decisions") == []
    desk.close()


def used_bytes(journal: SqliteJournal) -> int:
    with closing(sqlite3.connect(journal.path)) as connection:
        return measure_used_bytes(connection)


def test_over_its_size_the_oldest_of_both_goes_first(journal: SqliteJournal) -> None:
    a_week(journal)
    prune(journal, RetentionLimits(inputs_ms=2 * DAY))
    bound = used_bytes(journal) - 40_000
    prune(journal, RetentionLimits(max_bytes=bound))
    assert used_bytes(journal) <= bound
    assert 1 < journal.oldest_offset() < 120, "five days of events are older than every input"
    assert len(numbers(journal)) == 48
    prune(journal, RetentionLimits(max_bytes=1))
    assert (offsets(journal), numbers(journal)) == ([], [])
    assert journal.oldest_offset() == 169


def test_rows_that_must_stay_do_not_protect_others_from_the_size_limit(journal: SqliteJournal) -> None:
    """A broker that is down holds the events; the inputs still go."""
    a_week(journal)
    journal.mark_published(0, retained=[])
    prune(journal, RetentionLimits(max_bytes=1))
    assert len(offsets(journal)) == 168
    assert numbers(journal) == []


def test_a_piece_is_bounded(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PRUNE_CHUNK", 10)
    a_week(journal)
    keep = RetentionLimits(events_ms=DAY, inputs_ms=DAY)
    assert journal.prune(NOON + 7 * DAY, keep) == 20
    assert (offsets(journal)[0], numbers(journal)[0]) == (11, 11)
    prune(journal, keep)
    assert len(offsets(journal)) == len(numbers(journal)) == 24


def test_pages_are_used_again(journal: SqliteJournal) -> None:
    """A journal at its bound stays as large as it is."""
    keep = RetentionLimits(events_ms=DAY, inputs_ms=DAY)
    sizes = []
    for week in range(3):
        for hour in range(7 * 24):
            arrive(journal, NOON + week * 7 * DAY + hour * HOUR, [event(standing=HISTORY)])
        settle(journal)
        sizes.append(query(journal.path, "PRAGMA page_count")[0][0])
        prune(journal, keep, now=NOON + (week + 1) * 7 * DAY)
    assert sizes[2] <= sizes[1] + 1  # a checksum takes up to six bytes, by chance: a page may be full a row earlier


def test_pruned_journal_opens_and_continues(journal: SqliteJournal) -> None:
    arrive(journal, NOON, [event("open")])
    a_week(journal)
    prune(journal, RetentionLimits(events_ms=0, inputs_ms=0), now=NOON + 100 * DAY)
    journal.close()
    again = SqliteJournal.open(journal.path, stream="main")
    assert (again.position().offset, again.last_input()[0]) == (169, 169)
    arrive(again, NOON + 100 * DAY, [event("x")])
    assert (offsets(again)[-1], numbers(again)[-1]) == (170, 170)
    assert [committed.offset for committed in again.snapshot().events] == [1, 170]
    again.close()
