"""Lost rows are detected at the next start, by the lock file and the checksums."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.records import CommandRecord, MessageDigest
from bridge.domain.reports import quarantined
from bridge.journal.sqlite.errors import JournalDamaged, JournalTooNew
from bridge.journal.sqlite.lock_file import MARKER_BYTES, CommitMarker, JournalLock, read_marker
from bridge.journal.sqlite.reader import SqliteReader
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools.quarantine_writer import SqliteQuarantineWriter
from bridge.ports.journal import Batch
from tests.support.journal_samples import NOON, applied, change, event, follow, query

FILES = ("journal.db", "journal.db-wal", "journal.db.lock")


class LeftFiles(dict[str, bytes]):
    """Files by name, as a killed process leaves them; too much to print."""

    def __repr__(self) -> str:
        return f"Left({ {name: len(content) for name, content in self.items()} })"


@dataclass(frozen=True)
class FlippedByte:
    name: str
    place: float  # of its length
    by: int


FLIPS = st.builds(FlippedByte, st.sampled_from(FILES[:2]), st.floats(0, 1, exclude_max=True), st.integers(1, 255))


def filled(folder: Path, *, written_back: bool) -> LeftFiles:
    """Fill every table, and return the files as a killed process leaves them; `written_back`: with an empty -wal."""
    journal = SqliteJournal.open(folder / "journal.db", stream="main")
    for number in range(10):
        journal.commit(follow(journal, [event(f"s{number}")], [event("x", revision=number + 1)]))
    if written_back:
        change(journal.path, "PRAGMA wal_checkpoint(TRUNCATE)")
    last = journal.last_input()[0]
    command = CommandRecord(user="ann", command_id="x", outcome="applied", reason=None, event_ids=("e:1",), at=NOON)
    garbage = applied(last + 2, payload=b"garbage", disposition=quarantined("not_json"), reached_core=False)
    unknown = applied(last + 3, payload=b"unknown", disposition=quarantined("unknown_place"))
    replayed = applied(last + 4, payload=b"replayed", disposition=quarantined("unknown_place"))
    journal.commit(
        Batch(
            entries=[
                applied(last + 1, command=command, resend=MessageDigest(b"digest", has_timestamp=True)),
                garbage,
                unknown,
                replayed,
            ],
            checkpoints={"bagger-1": b"state"},
            acked_up_to=4,
            crash_digest=b"suspect",
        )
    )
    desk = SqliteQuarantineWriter.open(journal.path, stream="main")
    assert desk.request_replays([garbage.input.number, replayed.input.number])
    assert desk.drop_payloads([unknown.input.number])
    desk.close()
    journal.commit(Batch(entries=[applied(last + 5, payload=b"replayed")], quarantined_numbers=[replayed.input.number]))
    (first,) = journal.events_after(0, limit=1)
    journal.mark_published(1, retained=[(first.state_key, first.topic)])
    if written_back:
        change(journal.path, "PRAGMA wal_checkpoint(TRUNCATE)")
    files = LeftFiles({name: (folder / name).read_bytes() for name in FILES})
    journal.close()
    return files


class JournalSurvey(list[object]):
    """Everything that a journal answers; too much to print."""

    def __repr__(self) -> str:
        return f"Survey of {len(self)} answers"


def survey(path: Path) -> JournalSurvey:
    journal = SqliteJournal.open(path, stream="main")
    try:
        return JournalSurvey(
            [
                journal.position(),
                journal.last_input(),
                journal.oldest_offset(),
                journal.checkpoints(),
                journal.snapshot(),
                journal.events_after(0, limit=1_000),
                journal.inputs_after(0, limit=1_000),
                journal.dedup_window(),
                journal.crash_digests(),
                journal.command("ann", "x"),
                journal.published_offset(),
                journal.retained_topics(),
                journal.counters(),
                journal.requested_replays(10),
                query(journal.path, "SELECT * FROM epochs"),
                query(journal.path, "SELECT * FROM quarantine_decisions"),
                query(journal.path, "SELECT * FROM crash_digests"),
                query(journal.path, "SELECT * FROM hourly_positions"),
            ]
        )
    finally:
        journal.close()


def put(files: LeftFiles, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / "journal.db"


@pytest.fixture(scope="module", params=[False, True], ids=["in the -wal", "written back"])
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LeftFiles:
    return filled(tmp_path_factory.mktemp("filled"), written_back=request.param)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("copies") / "copy"


@pytest.fixture(scope="module")
def intact_survey(files: LeftFiles, folder: Path) -> JournalSurvey:
    return survey(put(files, folder))


@settings(max_examples=400)
@given(flip=FLIPS)
def test_flipped_byte_is_found_or_changes_nothing(
    files: LeftFiles, folder: Path, intact_survey: JournalSurvey, flip: FlippedByte
) -> None:
    """Anywhere in the file or its -wal. SQLite alone would continue without the commits behind a bad frame."""
    name = flip.name if files[flip.name] else FILES[0]
    content = bytearray(files[name])
    content[int(flip.place * len(content))] ^= flip.by
    path = put(LeftFiles(files | {name: bytes(content)}), folder)
    try:
        surveyed = survey(path)
    except (JournalDamaged, JournalTooNew):  # the schema number is a byte as others are
        assert (folder / name).read_bytes() == bytes(content), "a refused file is left as it was"
    else:
        assert surveyed == intact_survey


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the files of a killed process, with most commits in the -wal only."""
    filled(tmp_path / "filled", written_back=False)
    return put(filled(tmp_path / "again", written_back=False), tmp_path / "journal")


def wal_deleted(path: Path) -> None:
    path.with_name("journal.db-wal").unlink()


def wal_cut(path: Path) -> None:
    wal = path.with_name("journal.db-wal")
    wal.write_bytes(wal.read_bytes()[:-1])


def older_copy(path: Path) -> None:
    shutil.copy(path, path.with_name("older"))
    journal = SqliteJournal.open(path, stream="main")
    journal.commit(follow(journal, [event("later")]))
    journal.close()
    path.with_name("older").replace(path)


def other_journal(path: Path) -> None:
    other = SqliteJournal.open(path.with_name("other.db"), stream="main")
    for _ in range(100):
        other.commit(follow(other, [event()]))
    other.close()
    path.with_name("journal.db-wal").unlink()
    other.path.replace(path)


@pytest.mark.parametrize("lose", [wal_deleted, wal_cut, older_copy, other_journal])
def test_lost_commits_are_refused(path: Path, lose: Callable[[Path], None]) -> None:
    lose(path)
    before = path.read_bytes()
    for opening in (SqliteReader.open, SqliteJournal.open):
        with pytest.raises(JournalDamaged, match=r"its \.lock knows of"):
            opening(path, stream="main")
    assert path.read_bytes() == before


def test_damaged_schema_is_refused_and_the_wal_beside_it_left(path: Path) -> None:
    """The writer reads the schema before anything else; a close there would fold the -wal into the damaged file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for number in range(100):  # until it has a page of its own, which no frame of the -wal stands in for
            connection.execute(f"CREATE TABLE more_{number} (more INTEGER NOT NULL) STRICT")
    journal = SqliteJournal.open(path, stream="main")
    journal.commit(follow(journal, [event("later")]))
    files = {name: path.with_name(name).read_bytes() for name in FILES}
    journal.close()
    put(LeftFiles(files | {FILES[0]: files[FILES[0]].replace(b"(more INTEGER", b"(more INTEGES")}), path.parent)
    before = path.read_bytes()
    with pytest.raises(JournalDamaged, match="malformed database schema"):
        SqliteJournal.open(path, stream="main")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        ("hourly_positions", "number", "numbes"),
        ("retained_topics", "topic TEXT", "topib TEXT"),
        ("dedup_digests", "packet_id", "packet_ie"),
        ("meta", "latest_arrival", "latest_arrivam"),
    ],
)
def test_changed_column_is_refused_by_the_opening(path: Path, table: str, old: str, new: str) -> None:
    """Not at its first use: a journal that was opened writes its -wal back when it is closed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ?", (old, new, table))
    for opening in (SqliteReader.open, SqliteJournal.open):
        with pytest.raises(JournalDamaged, match=f"{table}: not the columns of schema"):
            opening(path, stream="main")


def test_a_lost_file_is_not_created_again(path: Path) -> None:
    path.unlink()
    path.with_name("journal.db-wal").unlink()
    with pytest.raises(JournalDamaged, match="the file is missing"):
        SqliteJournal.open(path, stream="main")
    assert not path.exists()
    path.with_name("journal.db.lock").unlink()
    SqliteJournal.open(path, stream="main").close()


@pytest.mark.parametrize("mark", [b"", bytes(MARKER_BYTES), b"a mark half written"])
def test_mark_that_a_power_loss_took_back_is_no_alarm(path: Path, mark: bytes) -> None:
    path.with_name("journal.db.lock").write_bytes(mark)
    SqliteJournal.open(path, stream="main").close()


def test_without_its_mark_a_journal_is_whole_and_begins_a_new_epoch(path: Path) -> None:
    """As docs/journal.md describes for an image of the machine: the `.lock` is deleted before the start."""
    before = SqliteReader.open(path, stream="main")
    position = before.position()
    before.close()
    path.with_name("journal.db.lock").unlink()
    journal = SqliteJournal.open(path, stream="main")
    assert journal.position() == replace(position, epoch=journal.epoch) != position
    assert read_marker(path) is not None
    journal.close()


def test_older_mark_is_no_alarm(path: Path) -> None:
    older = path.with_name("journal.db.lock").read_bytes()
    journal = SqliteJournal.open(path, stream="main")
    journal.commit(Batch(entries=[], retired_keys=()))
    journal.commit(follow(journal, [event("later")]))
    journal.close()
    path.with_name("journal.db.lock").write_bytes(older)
    SqliteJournal.open(path, stream="main").close()


def test_every_commit_of_the_owner_is_marked(path: Path) -> None:
    journal = SqliteJournal.open(path, stream="main")
    before = read_marker(path)
    assert before is not None
    journal.commit(follow(journal, [event()]))
    journal.mark_published(1, retained=[])
    journal.commit(Batch(entries=[], retired_keys=()))
    assert read_marker(path) == CommitMarker(journal.epoch, before.commits + 3)
    with pytest.raises(ValueError, match="does not follow"):
        journal.commit(Batch(entries=[applied(1_000)]))
    assert read_marker(path) == CommitMarker(journal.epoch, before.commits + 3)
    journal.close()


def test_forgotten_mark_lets_a_backup_take_the_place(path: Path, tmp_path: Path) -> None:
    backup = SqliteJournal.open(tmp_path / "backup.db", stream="main")
    backup.close()
    ownership = JournalLock.acquire(path)
    ownership.force_marker(None)
    path.with_name("journal.db-wal").unlink()
    backup.path.replace(path)
    ownership.close()
    SqliteJournal.open(path, stream="main").close()
