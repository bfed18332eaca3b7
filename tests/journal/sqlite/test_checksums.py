"""Checksums of the small tables: no byte of their rows changes unseen, and no reader uses a changed one."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bridge.domain.dedup import digest_message
from bridge.journal.sqlite.errors import JournalDamaged
from bridge.journal.sqlite.reader import SqliteReader
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools.backup import VerificationFailed, back_up
from bridge.journal.tools.export import ExportGap, ExportRange, export_inputs
from bridge.journal.tools.quarantine_reader import QuarantineReader
from bridge.journal.tools.quarantine_writer import SqliteQuarantineWriter
from bridge.journal.tools.restore import restore_journal
from bridge.journal.tools.stats import read_stats
from bridge.journal.tools.verify import verify_journal
from bridge.ports.journal import Batch
from tests.support.full_journal import full_journal
from tests.support.journal_samples import applied

LEAF_TABLE, LEAF_INDEX = 0x0D, 0x0A  # the one page of a small table, and of one WITHOUT ROWID
FAULT_MESSAGES = {
    "epochs": r"epoch .* does not match its checksum",
    "quarantine_decisions": r"the decision about input \d+ does not match its checksum",
    "crash_digests": r"crashing message \d+ does not match its checksum",
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A closed journal with two epochs, inputs 6 (asked), 7 (replayed) and 15 (dropped), and two crashing messages."""
    path = tmp_path_factory.mktemp("sample") / "journal.db"
    full_journal(path, rounds=2)
    journal = SqliteJournal.open(path, stream="main")
    desk = SqliteQuarantineWriter.open(path, stream="main")
    assert desk.request_replays([7]) == [7]
    desk.close()
    last, _ = journal.last_input()
    for number, crash in enumerate((b"crash", b"another"), start=last + 1):
        again = [applied(number)]
        journal.commit(Batch(entries=again, quarantined_numbers=[7], crash_digest=digest_message("report", crash)))
    journal.close()
    assert verify_journal(path).is_intact
    return path


@pytest.fixture
def path(tmp_path: Path, sample: Path) -> Path:
    """A copy with its owner's mark."""
    for suffix in ("", ".lock"):
        shutil.copy(sample.with_name(f"journal.db{suffix}"), tmp_path / f"journal.db{suffix}")
    return tmp_path / "journal.db"


def varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of SQLite's file format of at most two bytes, and where it ends."""
    return (data[at], at + 1) if data[at] < 0x80 else ((data[at] & 0x7F) << 7 | data[at + 1], at + 2)


def cells(path: Path, table: str) -> list[range]:
    """Return where in the file the rows of a table lie that has one page (sqlite.org/fileformat.html, 1.6)."""
    with closing(sqlite3.connect(path)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    data, page = path.read_bytes(), (root - 1) * size
    assert data[page] in {LEAF_TABLE, LEAF_INDEX}
    ranges = []
    for number in range(int.from_bytes(data[page + 3 : page + 5])):
        pointer = page + 8 + 2 * number
        begin = page + int.from_bytes(data[pointer : pointer + 2])
        length, content = varint(data, begin)
        if data[page] == LEAF_TABLE:
            _, content = varint(data, content)  # the rowid
        ranges.append(range(begin, content + length))
    return ranges


def opened(path: Path) -> None:
    SqliteJournal.open(path, stream="main").close()


def read(path: Path) -> None:
    SqliteReader.open(path, stream="main").close()


def verified(path: Path) -> None:
    faults = "; ".join(fault for part in verify_journal(path).parts for fault in part.faults)
    if faults:
        raise JournalDamaged(path, faults)


@pytest.mark.parametrize("look", [opened, read, verified])
@pytest.mark.parametrize("table", FAULT_MESSAGES)
def test_flip_of_any_byte_is_found(path: Path, table: str, look: Callable[[Path], None]) -> None:
    intact = path.read_bytes()
    rows = cells(path, table)
    assert len(rows) >= 2
    missed = []
    for at in (at for row in rows for at in row):
        for flip in (0x01, 0x10, 0x80, 0xFF):
            data = bytearray(intact)
            data[at] ^= flip
            path.write_bytes(data)
            try:
                look(path)
            except JournalDamaged:
                assert path.read_bytes() == bytes(data), "a refused file is left as it was"
            else:
                missed.append((at, flip))
    assert missed == []


CHANGES = {
    "an epoch's beginning": ("epochs", "UPDATE epochs SET began_at = began_at + 1 WHERE reason = 'created'"),
    "an epoch's reason": ("epochs", "UPDATE epochs SET reason = 'restored' WHERE reason = 'plant'"),
    "a decision's time": (
        "quarantine_decisions",
        "UPDATE quarantine_decisions SET decided_at = decided_at + 1 WHERE number = 6",
    ),
    "what was decided": (
        "quarantine_decisions",
        "UPDATE quarantine_decisions SET decision = 'asked' WHERE number = 15",
    ),
    "about which input": ("quarantine_decisions", "UPDATE quarantine_decisions SET number = 5 WHERE number = 6"),
    "a crashing message": ("crash_digests", "UPDATE crash_digests SET digest = zeroblob(16) WHERE number = 1"),
    "its number": ("crash_digests", "UPDATE crash_digests SET number = 9 WHERE number = 1"),
}
"""Each leaves SQLite's own structures whole, as a flip does that only a checksum finds."""


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount == 1


@pytest.fixture(params=list(CHANGES.values()), ids=list(CHANGES))
def changed(path: Path, request: pytest.FixtureRequest) -> tuple[Path, str]:
    """A journal in which one column changed, and the fault reported for it."""
    table, statement = request.param
    change(path, statement)
    return path, FAULT_MESSAGES[table]


@pytest.mark.parametrize("look", [opened, read, verified])
def test_change_is_named(changed: tuple[Path, str], look: Callable[[Path], None]) -> None:
    path, message = changed
    with pytest.raises(JournalDamaged, match=message):
        look(path)


def test_change_makes_no_backup_and_is_not_restored(changed: tuple[Path, str], tmp_path: Path) -> None:
    path, message = changed
    with pytest.raises(VerificationFailed, match=message):
        back_up(path, tmp_path / "backup.db")
    with pytest.raises(VerificationFailed, match=message):
        restore_journal(path, tmp_path / "elsewhere" / "journal.db")
    assert not (tmp_path / "elsewhere" / "journal.db").exists()


DECIDED = [statement for table, statement in CHANGES.values() if table == "quarantine_decisions"]


@pytest.mark.parametrize("statement", DECIDED)
def test_changed_decision_is_refused_by_the_tools_of_the_quarantine(path: Path, statement: str) -> None:
    change(path, statement)
    for look in (QuarantineReader, read_stats, lambda path: SqliteQuarantineWriter.open(path, stream="main")):
        with pytest.raises(JournalDamaged, match=FAULT_MESSAGES["quarantine_decisions"]):
            look(path)


@pytest.fixture
def running(path: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal.open(path, stream="main")
    yield journal
    journal.close()


def test_decision_that_changes_meanwhile_is_not_gone_by(running: SqliteJournal) -> None:
    """The file may be damaged after everything was opened."""
    desk = SqliteQuarantineWriter.open(running.path, stream="main")
    aside = QuarantineReader(running.path)
    change(running.path, "UPDATE quarantine_decisions SET decided_at = decided_at + 1 WHERE number = 6")
    number, _ = running.last_input()
    refused: list[Callable[[], object]] = [
        lambda: running.requested_replays(9),
        lambda: running.commit(Batch(entries=[applied(number + 1)], quarantined_numbers=[6])),
        lambda: desk.request_replays([6]),
        lambda: desk.drop_payloads([6]),
        lambda: list(aside.list_inputs()),
        lambda: aside.find_input(6),
    ]
    for error in refused:
        with pytest.raises(JournalDamaged, match=FAULT_MESSAGES["quarantine_decisions"]):
            error()
    desk.close()
    assert running.last_input()[0] == number


def test_crashing_message_that_changes_meanwhile_is_not_gone_by(running: SqliteJournal) -> None:
    assert len(running.crash_digests()) == 2
    change(running.path, "UPDATE crash_digests SET digest = zeroblob(16) WHERE number = 1")
    with pytest.raises(JournalDamaged, match=FAULT_MESSAGES["crash_digests"]):
        running.crash_digests()


def test_crashing_message_is_noted_once(running: SqliteJournal) -> None:
    before = running.crash_digests()
    running.commit(Batch(entries=[], crash_digest=digest_message("report", b"crash")))
    assert running.crash_digests() == before


def test_export_names_what_is_missing_beside_a_damaged_epoch(path: Path) -> None:
    """The first input of a journal does not depend on the beginning of an epoch."""
    change(path, "DELETE FROM inputs WHERE number = 1")
    change(path, CHANGES["an epoch's beginning"][1])
    assert next(export_inputs(path, ExportRange())) == ExportGap("input", 1, 1, "missing")
