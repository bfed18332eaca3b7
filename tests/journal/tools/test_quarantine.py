"""Decisions about quarantined inputs, made in another process while the bridge runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.domain.reports import quarantined
from bridge.journal.sqlite import batch_rows
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools.quarantine_writer import SqliteQuarantineWriter
from bridge.ports.journal import Batch
from tests.support.journal_samples import applied, query


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    """A journal in which 2 is garbage, and 3 reached the core before it was quarantined."""
    opened = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    opened.commit(
        Batch(
            entries=[
                applied(1),
                applied(2, payload=b"garbage", disposition=quarantined("not_json"), reached_core=False),
                applied(3, payload=b"no place", disposition=quarantined("unknown_place")),
            ]
        )
    )
    yield opened
    opened.close()


@pytest.fixture
def desk(journal: SqliteJournal) -> Iterator[SqliteQuarantineWriter]:
    opened = SqliteQuarantineWriter.open(journal.path, stream="main")
    yield opened
    opened.close()


def requested_replays(journal: SqliteJournal) -> list[tuple[int, bytes]]:
    return [(replay.number, replay.payload) for replay in journal.requested_replays(10)]


def test_only_quarantined_inputs_are_replayed_and_each_once(
    journal: SqliteJournal, desk: SqliteQuarantineWriter
) -> None:
    assert desk.request_replays([1, 2, 3, 4]) == [2, 3]
    assert desk.request_replays([3, 2]) == []
    assert requested_replays(journal) == [(2, b"garbage"), (3, b"no place")]
    assert len(journal.requested_replays(1)) == 1


def test_replay_is_settled_by_the_commit_that_holds_it(journal: SqliteJournal, desk: SqliteQuarantineWriter) -> None:
    desk.request_replays([2, 3])
    wrong = applied(9)
    with pytest.raises(ValueError, match="does not follow"):
        journal.commit(Batch(entries=[wrong], quarantined_numbers=[2]))
    assert len(requested_replays(journal)) == 2
    journal.commit(Batch(entries=[applied(4, payload=b"garbage")], quarantined_numbers=[2]))
    assert requested_replays(journal) == [(3, b"no place")]
    assert desk.request_replays([2]) == []


def test_dropped_payload_is_gone_and_its_account_stays(journal: SqliteJournal, desk: SqliteQuarantineWriter) -> None:
    desk.request_replays([2])
    assert desk.drop_payloads([1, 2, 3, 4]) == [2, 3]
    assert requested_replays(journal) == []
    assert desk.drop_payloads([2]) == desk.request_replays([2]) == []
    dropped, remaining = journal.inputs_after(1, limit=9)
    assert dropped.input.payload == b""
    assert remaining.input.payload == b"no place", "a restart may have to apply it again"
    assert sum(journal.counters().values()) == 3


def test_replayed_input_is_not_dropped_any_more(journal: SqliteJournal, desk: SqliteQuarantineWriter) -> None:
    desk.request_replays([2])
    journal.commit(Batch(entries=[applied(4)], quarantined_numbers=[2]))
    assert desk.drop_payloads([2]) == []


def test_asked_payload_is_not_crowded_out(
    journal: SqliteJournal, desk: SqliteQuarantineWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the asking and the replay a babbling device may send more than is kept."""
    monkeypatch.setattr(batch_rows, "QUARANTINE_INPUTS", 1)
    desk.request_replays([2])
    for number in (4, 5):
        entry = applied(number, payload=b"babble", disposition=quarantined("not_json"), reached_core=False)
        journal.commit(Batch(entries=[entry]))
    assert requested_replays(journal) == [(2, b"garbage")]
    again = applied(6, payload=b"garbage", disposition=quarantined("not_json"), reached_core=False)
    journal.commit(Batch(entries=[again], quarantined_numbers=[2]))
    assert query(journal.path, "SELECT number FROM quarantine") == [(6,)], "once replayed it makes room"


def test_cut_payload_is_never_replayed(
    journal: SqliteJournal, desk: SqliteQuarantineWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = b"x" * (batch_rows.QUARANTINE_BYTES + 1)
    bad = applied(4, payload=long, disposition=quarantined("too_long"), reached_core=False)
    monkeypatch.setattr(batch_rows, "QUARANTINE_INPUTS", 1)
    journal.commit(Batch(entries=[bad]))
    assert desk.request_replays([4]) == []
    assert desk.request_replays([2]) == [], "crowded out of the quarantine"


def test_owner_continues_after_another_process_has_written(
    journal: SqliteJournal, desk: SqliteQuarantineWriter
) -> None:
    desk.request_replays([2])
    journal.commit(Batch(entries=[applied(4)]))
    journal.close()
    again = SqliteJournal.open(journal.path, stream="main")
    assert requested_replays(again) == [(2, b"garbage")]
    again.close()
