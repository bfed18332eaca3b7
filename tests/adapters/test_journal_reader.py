"""A reader beside the owner: what another process asks of a journal that goes on without it."""

import subprocess
import sys
from pathlib import Path

import pytest

from bridge.adapters.journal import SqliteJournal
from bridge.adapters.journal_reading import SqliteReader
from bridge.core.records import JournalUnavailable
from tests.journal_samples import event, follow


def test_reader_stays_with_no_file_that_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    former = SqliteJournal.open(path, stream="main")
    former.commit(follow(former, [event("a")]))
    reader = SqliteReader.open(path, stream="main")
    with reader._reading() as lent:  # while somebody reads, another file comes in its place
        assert lent.execute("SELECT last_offset FROM meta").fetchone() == (1,)
        assert reader.position() == former.position()
        former.close()
        for each in sorted(tmp_path.glob("journal.db*")):
            each.rename(each.with_name(f"aside.{each.name}"))
        with pytest.raises(JournalUnavailable):
            reader.position()
        present = SqliteJournal.open(path, stream="main")
        assert reader.position() == present.position()
    assert reader.position() == present.position()
    assert reader.position().epoch != former.epoch
    present.commit(follow(present, [event("b")], [event("c")]))
    assert [each.offset for each in reader.events_after(0, limit=9)] == [1, 2]
    reader.close()
    present.close()


def test_the_last_reader_to_leave_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    wal = tmp_path / "journal.db-wal"
    command = [sys.executable, "-m", "tests.journal_samples", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        durable = [int(killed.stdout.readline()) for _ in range(3)][-1]
        killed.kill()
    before = path.read_bytes(), wal.read_bytes()
    reader = SqliteReader.open(path, stream="main")
    assert reader.position().offset >= durable
    reader.close()
    assert (path.read_bytes(), wal.read_bytes()) == before
