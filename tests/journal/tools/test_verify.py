"""Verification finds every damage that changes what a journal says, and disturbs nobody."""

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.journal.sqlite.lock_file import lock_path
from bridge.journal.sqlite.schema import row_checksum
from bridge.journal.sqlite.writer import HOUR_MS, JournalTooNew, JournalTooOld, SqliteJournal
from bridge.journal.tools import row_reader
from bridge.journal.tools.read_only import NoJournal, open_read_only
from bridge.journal.tools.verify import VerificationResult, verify_journal
from bridge.journal.tools.verify_sequences import MAX_LISTED_FAULTS
from bridge.ports.journal import Batch, RetentionLimits
from tests.support.full_journal import fill, held, whole_journal
from tests.support.journal_samples import NOON, applied, event, follow, forge_meta


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "journal.db"
    whole_journal(path)
    return path


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a killed bridge leaves: all of it in its -wal."""
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


def faults(verdict: VerificationResult) -> str:
    return "\n".join(f"{part.name}: {fault}" for part in verdict.parts for fault in part.faults)


def test_a_whole_journal_is_found_whole(sample: Path) -> None:
    verdict = verify_journal(sample)
    assert verdict.is_intact, faults(verdict)
    assert verdict.summary is not None
    assert [each.reason for each in verdict.summary.epochs] == ["created", "plant"]
    looked_at = {part.name: part.scope for part in verdict.parts}
    assert looked_at["events"] == "35 held, 1 to 35"
    assert looked_at["counters"] == "101 inputs received"


def test_a_copy_is_verified_without_a_trace(path: Path) -> None:
    path.chmod(0o400)
    before = path.read_bytes()
    assert verify_journal(path).is_intact
    assert [each.name for each in path.parent.iterdir()] == ["copy.db"]
    assert path.read_bytes() == before


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_a_flipped_byte_is_found_or_changes_nothing(sample: Path, path: Path, where: float, bits: int) -> None:
    data = bytearray(sample.read_bytes())
    at = int(where * len(data))
    data[at] ^= bits
    path.write_bytes(data)
    try:
        found = not verify_journal(path).is_intact
    except (NoJournal, JournalTooNew, JournalTooOld):
        found = True
    assert found or held(path) == held(sample), f"byte {at}"


def test_a_lost_page_is_told_in_bounds(sample: Path, path: Path) -> None:
    data = bytearray(sample.read_bytes())
    for page in range(len(data) // 4096 * 3 // 4, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = bytes(64)
    path.write_bytes(data)
    verdict = verify_journal(path)
    assert not verdict.is_intact
    assert all(len(part.faults) <= MAX_LISTED_FAULTS for part in verdict.parts)
    assert "cannot be read" in faults(verdict)


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.create_function("checksum", -1, row_checksum)
        for statement in statements:
            connection.execute(statement)


RECHECKSUM_INPUTS = (
    "UPDATE inputs SET checksum = checksum(number, topic, payload, received_at, retained, redelivered, effect, reason, "
    "rejected, reached_core, first_offset, event_count)"
)
WRONG = {
    "an event is missing": (("DELETE FROM events WHERE offset = 7",), "events: event 7 missing"),
    "events are missing": (("DELETE FROM events WHERE offset IN (7, 8)",), "events: events 7 to 8 missing"),
    "the last event is missing": (
        ("DELETE FROM current_events WHERE offset = 35", "DELETE FROM events WHERE offset = 35"),
        "events: event 35 missing",
    ),
    "an input is missing": (("DELETE FROM inputs WHERE number = 9",), "inputs: input 9 missing"),
    "an id of another epoch": (
        (
            "UPDATE events SET id = replace(id, 'main:', 'other:') WHERE offset = 5",
            "UPDATE events SET checksum = checksum(offset, id, topic, standing, timestamp, audience, body)",
        ),
        "events: event 5 has the id other:",
    ),
    "an input with another's events": (
        (
            "UPDATE inputs SET first_offset = 2 WHERE number = 1",
            RECHECKSUM_INPUTS,
        ),
        "inputs: the events of input 1 begin at 2, not at 1",
    ),
    "a count of one too many": (
        (
            "UPDATE counters SET count = count + 1 WHERE kind = 'counts'",
            "UPDATE counters SET checksum = checksum(kind, effect, reason, count)",
        ),
        "counters: 1",
    ),
    "two counts that only together are right": (
        (
            "UPDATE counters SET count = count + 1 WHERE kind = 'counts'",
            "UPDATE counters SET count = count - 1 WHERE kind = 'tick'",
            "UPDATE counters SET checksum = checksum(kind, effect, reason, count)",
        ),
        "counters: tick/applied is counted 10 times, and 11 are held",
    ),
    "a count without its checksum": (
        ("UPDATE counters SET count = 3 WHERE kind = 'tick'",),
        "does not match its checksum",
    ),
    "current of nothing": (
        ("INSERT INTO current_events VALUES ('a/b/c/d/e/f', 99, checksum('a/b/c/d/e/f', 99))",),
        "current: a/b/c/d/e/f points to event 99, which is not held",
    ),
    "current of another": (
        ("UPDATE current_events SET offset = 1, checksum = checksum(state_key, 1) WHERE state_key LIKE '%/same'",),
        "which is another's or not current",
    ),
    "current that is lost": (
        ("DELETE FROM current_events WHERE state_key LIKE '%/s0'",),
        "s0 is not current, and event",
    ),
    "current that was closed": (
        (
            "INSERT INTO current_events VALUES ('plant/packing/bagger-1/_/changeover/s1', 4, 0)",
            "UPDATE current_events SET checksum = checksum(state_key, offset)",
        ),
        "/s1 points to event 4, and the last one is closed",
    ),
    "a payload aside of what is not quarantined": (
        ("INSERT INTO quarantine VALUES (1, x'00', checksum(1, x'00'))",),
        "quarantine: a quarantined payload is held of input 1",
    ),
    "a checkpoint ahead": (
        ("UPDATE checkpoints SET number = 999", "UPDATE checkpoints SET checksum = checksum(line, number, state)"),
        "checkpoints: the checkpoint of line bagger-1 is after input 999",
    ),
    "a digest of another": (
        ("UPDATE dedup_digests SET number = 5 WHERE number = (SELECT min(number) FROM dedup_digests)",
         "UPDATE dedup_digests SET checksum = checksum(number, digest, has_timestamp, packet_id)"),
        "dedup_digests: the digest of input 5 is not that of its content",
    ),
    "retained for another": (
        (
            "UPDATE retained_topics SET state_key = 'a/b/c/d/e/f'",
            "UPDATE retained_topics SET checksum = checksum(state_key, topic)",
        ),
        "is noted as retained for a/b/c/d/e/f",
    ),
    "a decision about an applied input": (
        (f"INSERT INTO quarantine_decisions VALUES (1, 'dropped', {NOON}, checksum(1, 'dropped', {NOON}))",),
        "quarantine_decisions: input 1 was decided about",
    ),
    "a decision of another time": (
        ("UPDATE quarantine_decisions SET decided_at = decided_at + 1 WHERE number = 6",),
        "quarantine_decisions: the decision about input 6 does not match its checksum",
    ),
    "an epoch of another time": (
        ("UPDATE epochs SET began_at = began_at + 1 WHERE reason = 'plant'",),
        "does not match its checksum",
    ),
    "a crashing message that is another": (
        ("INSERT INTO crash_digests VALUES (1, zeroblob(16), 0)",),
        "crash_digests: crashing message 1 does not match its checksum",
    ),
    "an epoch that is not the last": (
        (
            "UPDATE epochs SET first_offset = 99 WHERE reason = 'created'",
            "UPDATE epochs SET checksum = checksum(epoch, first_offset, began_at, reason)",
        ),
        "is not the last of its epochs",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "said"), WRONG.values(), ids=WRONG)
def test_what_does_not_agree_is_named(path: Path, statements: tuple[str, ...], said: str) -> None:
    change(path, *statements)
    assert said in faults(verify_journal(path))


def test_what_retention_took_is_not_missed(tmp_path: Path) -> None:
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
def test_retention_may_go_on_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int) -> None:
    monkeypatch.setattr(row_reader, "PAGE", page)
    path = tmp_path / "journal.db"
    journal = SqliteJournal.open(path, stream="main")
    fill(journal, rounds=30)
    journal.mark_published(journal.position().offset, retained=[])
    last, _ = journal.last_input()
    late = applied(last + 1)
    late = replace(late, input=replace(late.input, received_at=NOON + 10 * HOUR_MS))
    journal.commit(Batch(entries=[late], checkpoints={"bagger-1": b"state"}))
    told = 0

    def progress(_part: str, _done: int, _of: int) -> None:
        nonlocal told
        told += 1
        if told == (5 if page == 7 else 1):
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
    found = not verify_journal(path).is_intact
    with closing(open_read_only(path)) as connection:
        assert found or connection.execute("SELECT max(offset) FROM events").fetchone() == (31,)


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
    ("make", "said"),
    [
        (lambda _path: None, "no such file"),
        (lambda path: path.mkdir(), "is not a file"),
    ],
    ids=["nothing", "a folder"],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    make(tmp_path / "there")
    with pytest.raises(NoJournal, match=said):
        verify_journal(tmp_path / "there")
