"""Verification finds every damage that changes the content of a journal, and disturbs no running bridge."""

import shutil
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge.journal.sqlite.errors import JournalTooNew, JournalTooOld
from bridge.journal.sqlite.lock_file import lock_path
from bridge.journal.sqlite.writer import HOUR_MS, SqliteJournal
from bridge.journal.tools import row_reader
from bridge.journal.tools.read_only import NoJournal, open_read_only
from bridge.journal.tools.verify import verify_journal
from bridge.journal.tools.verify_sequences import MAX_LISTED_FAULTS
from bridge.ports.journal import Batch, RetentionLimits
from tests.journal.tools.verification import change, faults
from tests.support.full_journal import fill, journal_rows
from tests.support.journal_samples import NOON, applied, event, follow, forge_meta


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the journal of a killed bridge, all of it in the -wal."""
    path = tmp_path_factory.mktemp("running") / "journal.db"
    crashed = tmp_path_factory.mktemp("crashed") / "journal.db"
    journal = SqliteJournal.open(path, stream="main")
    fill(journal)
    for suffix in ("", "-wal", ".lock"):
        shutil.copy(path.with_name(path.name + suffix), crashed.with_name(crashed.name + suffix))
    journal.close()
    return crashed


@pytest.fixture
def path(tmp_path: Path, sample: Path) -> Path:
    """A copy that no bridge has run."""
    return Path(shutil.copy(sample, tmp_path / "copy.db"))


def test_a_whole_journal_is_found_whole(sample: Path) -> None:
    verdict = verify_journal(sample)
    assert verdict.is_intact, faults(verdict)
    assert verdict.summary is not None
    assert [epoch.reason for epoch in verdict.summary.epochs] == ["created", "plant"]
    looked_at = {part.name: part.scope for part in verdict.parts}
    assert looked_at["events"] == "35 held, 1 to 35"
    assert looked_at["counters"] == "101 inputs received"


def test_a_copy_is_verified_without_a_trace(path: Path) -> None:
    path.chmod(0o400)
    before = path.read_bytes()
    assert verify_journal(path).is_intact
    assert [file.name for file in path.parent.iterdir()] == ["copy.db"]
    assert path.read_bytes() == before


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_a_flipped_byte_is_found_or_changes_nothing(sample: Path, path: Path, where: float, bits: int) -> None:
    data = bytearray(sample.read_bytes())
    at = int(where * len(data))
    data[at] ^= bits
    path.write_bytes(data)
    try:
        is_damaged = not verify_journal(path).is_intact
    except (NoJournal, JournalTooNew, JournalTooOld):
        is_damaged = True
    assert is_damaged or journal_rows(path) == journal_rows(sample), f"byte {at}"


def test_a_lost_page_is_reported_in_bounded_lines(sample: Path, path: Path) -> None:
    data = bytearray(sample.read_bytes())
    for page in range(len(data) // 4096 * 3 // 4, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = bytes(64)
    path.write_bytes(data)
    verdict = verify_journal(path)
    assert not verdict.is_intact
    assert all(len(part.faults) <= MAX_LISTED_FAULTS for part in verdict.parts)
    assert "cannot be read" in faults(verdict)


def test_rows_removed_by_retention_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal.open(path, stream="main")
    fill(journal)
    journal.close()
    change(
        path,
        "DELETE FROM events WHERE offset < 20 AND offset NOT IN (SELECT offset FROM current_events)",
        "DELETE FROM inputs WHERE number < 40",
    )
    forge_meta(path, oldest_offset=20, oldest_number=40)
    verdict = verify_journal(path)
    assert verdict.is_intact, faults(verdict)
    change(path, "DELETE FROM events WHERE offset = 21")
    assert "event 21 missing" in faults(verify_journal(path))


@pytest.mark.parametrize("page", [7, 2_000])
def test_retention_may_continue_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(row_reader, "PAGE", page)
    path = tmp_path / "journal.db"
    journal = SqliteJournal.open(path, stream="main")
    fill(journal, rounds=30)
    journal.mark_published(journal.position().offset, retained=[])
    last, _ = journal.last_input()
    late = applied(last + 1)
    late = replace(late, input=replace(late.input, received_at=NOON + 10 * HOUR_MS))
    journal.commit(Batch(entries=[late], checkpoints={"bagger-1": b"state"}))
    findings = 0

    def progress(_part: str, _done: int, _of: int) -> None:
        nonlocal findings
        findings += 1
        if findings == (5 if page == 7 else 1):
            while journal.prune(NOON + 10 * HOUR_MS, RetentionLimits(events_ms=HOUR_MS, inputs_ms=HOUR_MS)):
                pass

    verdict = verify_journal(path, progress=progress)
    assert verdict.is_intact, faults(verdict)
    assert journal.oldest_offset() > 50
    assert verify_journal(path).is_intact
    journal.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_a_flipped_byte_of_a_wal_is_found_or_changes_nothing(
    crashed: Path, tmp_path: Path, where: float, bits: int
) -> None:
    path = tmp_path / "crashed.db"
    for suffix in ("", "-wal", ".lock"):
        shutil.copy(crashed.with_name(crashed.name + suffix), path.with_name(path.name + suffix))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    wal = path.with_name(path.name + "-wal")
    data = bytearray(wal.read_bytes())
    data[int(where * len(data))] ^= bits
    wal.write_bytes(data)
    is_damaged = not verify_journal(path).is_intact
    with closing(open_read_only(path)) as connection:
        assert is_damaged or connection.execute("SELECT max(offset) FROM events").fetchone() == (31,)


def test_a_lost_wal_is_found_by_the_mark(tmp_path: Path, sample: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal.open(path, stream="main")
    before = path.read_bytes()
    fill(journal, rounds=2)
    journal.close()
    assert verify_journal(path).is_intact
    path.write_bytes(before)
    assert "its -wal is lost or damaged" in faults(verify_journal(path))
    shutil.copy(sample, path)
    assert "another file has taken its place" in faults(verify_journal(path))
    lock_path(path).unlink()
    assert verify_journal(path).is_intact


def test_a_running_owner_is_neither_waited_for_nor_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    journal = SqliteJournal.open(path, stream="main")
    fill(journal)
    stop = threading.Event()
    committed = threading.Condition()

    def own() -> None:
        while not stop.is_set():
            journal.commit(follow(journal, [event("a"), event("b")], []))
            with committed:
                committed.notify_all()

    def progress(_part: str, _done: int, _of: int) -> None:
        with committed:
            assert committed.wait(20), "the owner goes on in the middle of it"

    owner = threading.Thread(target=own)
    owner.start()
    try:
        verdict = verify_journal(path, progress=progress)
    finally:
        stop.set()
        owner.join()
        journal.close()
    assert verdict.is_intact, faults(verdict)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _path: None, "no such file"),
        (lambda path: path.mkdir(), "is not a file"),
    ],
    ids=["nothing", "a folder"],
)
def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, make: Callable[[Path], None], message: str) -> None:
    make(tmp_path / "there")
    with pytest.raises(NoJournal, match=message):
        verify_journal(tmp_path / "there")
