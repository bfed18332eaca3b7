"""The journal in SQLite: its bounds, and damage found by reads."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge.domain.records import CommandRecord, MessageDigest
from bridge.domain.reports import quarantined
from bridge.journal.sqlite import batch_rows
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch
from tests.support.journal_samples import NOON, applied, change, event, follow, query

DAY = 24 * 3_600_000


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    opened = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    yield opened
    opened.close()


def test_quarantine_keeps_the_newest_payloads_only(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_rows, "QUARANTINE_INPUTS", 2)
    monkeypatch.setattr(batch_rows, "QUARANTINE_BYTES", 4)
    for number in range(1, 5):
        bad = applied(number, payload=b"bad-%d" % number, disposition=quarantined("not_json"), reached_core=False)
        journal.commit(Batch(entries=[bad]))
    inputs = journal.inputs_after(0, limit=9)
    assert [entry.input.payload for entry in inputs] == [b"", b"", b"bad-", b"bad-"]
    assert {entry.disposition for entry in inputs} == {quarantined("not_json")}
    assert not any(entry.reached_core for entry in inputs)


def test_payload_that_reached_the_core_is_kept_whole(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay needs it, with any disposition."""
    monkeypatch.setattr(batch_rows, "QUARANTINE_BYTES", 4)
    journal.commit(Batch(entries=[applied(1, payload=b"whole payload", disposition=quarantined("unknown_place"))]))
    assert journal.inputs_after(0, limit=1)[0].input.payload == b"whole payload"


def test_configuration_that_does_not_match_its_checksum_is_damage(journal: SqliteJournal) -> None:
    journal.commit(Batch(entries=[applied(1, topic="config/plant", payload=b"one")]))
    change(journal.path, "UPDATE config SET payload = ?", b"two")
    with pytest.raises(JournalDamaged, match="config/plant"):
        journal.config("config/plant")


def test_resends_are_known_within_their_window(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_rows, "DEDUP_INPUTS", 2)
    for number in range(1, 5):
        resend = MessageDigest(b"%d" % number, has_timestamp=number % 2 == 0)
        journal.commit(Batch(entries=[applied(number, resend=resend)], acked_up_to=number - 1))
    journal.commit(Batch(entries=[]))
    window = journal.dedup_window()
    assert window.digests == (
        (3, MessageDigest(b"3", has_timestamp=False)),
        (4, MessageDigest(b"4", has_timestamp=True)),
    )
    assert window.acked_up_to == 3


def test_suspects_are_known_again(journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_rows, "MAX_CRASH_DIGESTS", 2)
    for digest in (b"a", b"b", b"b", b"c"):
        journal.commit(Batch(entries=[], crash_digest=digest))
    assert journal.crash_digests() == {b"b", b"c"}


def test_a_commit_takes_few_statements_however_many_rows_it_writes(journal: SqliteJournal) -> None:
    """After each, its thread waits for the event loop."""

    def count(*subjects: str) -> int:
        batch = follow(journal, *([event(subject)] for subject in subjects))
        statements: list[str] = []
        journal._writer.set_trace_callback(statements.append)  # noqa: SLF001 - no other way to count them
        journal.commit(batch)
        journal._writer.set_trace_callback(None)  # noqa: SLF001
        return len(statements)

    few, many = count("first"), count(*map(str, range(1_000)))
    assert journal.position().offset == 1_001
    assert many - few < 3 * (1_000 // batch_rows.MAX_ROWS + 6), "of inputs, events and what is current"


def test_results_of_commands_are_deleted_after_a_day(journal: SqliteJournal) -> None:
    for number, at in ((1, NOON), (2, NOON + DAY + 1)):
        result = CommandRecord(user="ann", command_id=str(number), outcome="applied", reason=None, event_ids=(), at=at)
        entry = applied(number, command=result)
        journal.commit(Batch(entries=[replace(entry, input=replace(entry.input, received_at=at))]))
    assert query(journal.path, "SELECT command_id FROM commands") == [("2",)]
