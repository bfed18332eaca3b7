"""The front's reads of its journal: all that they return is of the front's epoch, also when a backup is restored."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from bridge.domain.records import CommittedEvent
from bridge.front.journal_reads import FrontJournal, JournalDetached
from bridge.journal.sqlite.reader import SqliteReader
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.journal.tools.backup import back_up
from bridge.journal.tools.restore import restore_journal
from tests.front.journal_gate import let_the_front_run
from tests.front.memory_front import memory_front
from tests.support.brokers import until
from tests.support.dashboard import PATIENCE
from tests.support.journal_samples import event, follow
from tests.support.tokens import token

READS: Final[dict[str, Callable[[FrontJournal], Coroutine[Any, Any, Any]]]] = {
    "a page of the new epoch": lambda journal: journal.page_after(3),
    "a page from before it": lambda journal: journal.page_after(0),
    "events of the new epoch": lambda journal: journal.read_events([4, 5]),
    "history": lambda journal: journal.events_after(0, limit=10),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of two epochs: events 1 and 2, and event 3 after a restore."""
    path = tmp_path / "journal.db"
    commit(path, 2)
    restore(path)
    commit(path, 1)
    return path


def commit(path: Path, count: int) -> None:
    """Commit so many events, each of a state key of its own."""
    journal = SqliteJournal.open(path, stream="main")
    after = journal.position().offset
    journal.commit(follow(journal, [event(f"c{after + number}") for number in range(1, count + 1)]))
    journal.close()


def restore(path: Path) -> None:
    """Put a backup of this moment in the journal's place, which begins a new epoch."""
    backup = path.with_name("backup.db")
    back_up(path, backup)
    restore_journal(backup, path, replace=True)
    backup.unlink()


async def front_journal(path: Path) -> tuple[FrontJournal, SqliteReader]:
    """The journal as a separate front has it open; nothing of it is in memory but what is current."""
    reader = SqliteReader.open(path, stream="main")
    journal = FrontJournal(reader, reader.position())
    await journal.current_events()
    reader.close_idle()  # as without a live writer: a restore waits for it
    return journal, reader


@pytest.mark.parametrize("read", READS)
async def test_nothing_is_read_of_a_journal_that_was_put_in_the_place_of_the_fronts(path: Path, read: str) -> None:
    journal, reader = await front_journal(path)
    restore(path)
    commit(path, 2)
    with pytest.raises(JournalDetached):
        await READS[read](journal)
    assert journal.feed.page_after(3) is None, "it is not kept for others"
    reader.close()


async def test_what_is_current_is_not_read_of_a_journal_that_was_put_in_the_place_of_the_fronts(path: Path) -> None:
    reader = SqliteReader.open(path, stream="main")
    journal = FrontJournal(reader, reader.position())
    reader.close_idle()
    restore(path)
    commit(path, 2)
    for _ in range(2):
        with pytest.raises(JournalDetached):
            await journal.current_events()
    reader.close()


async def test_events_of_earlier_epochs_are_read(path: Path) -> None:
    journal, reader = await front_journal(path)
    page = await journal.page_after(0)
    assert page is not None
    assert [committed.offset for committed in page.events] == [1, 2, 3]
    assert [committed.offset for committed in await journal.read_events([1, 3, 4])] == [1, 3]
    reader.close()


async def test_two_pages_of_history_are_read_at_a_time(tmp_path: Path) -> None:
    lock, gate = threading.Lock(), threading.Event()
    reading, most = 0, 0

    async with memory_front(tmp_path) as front:
        viewer = front.authenticate(token())
        read = front.journal.events_after

        def read_slowly(offset: int, *, limit: int) -> Sequence[CommittedEvent]:
            nonlocal reading, most
            with lock:
                reading += 1
                most = max(most, reading)
            assert gate.wait(PATIENCE)
            with lock:
                reading -= 1
            return read(offset, limit=limit)

        front.journal.events_after = read_slowly  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as tasks:
            for _ in range(6):
                tasks.create_task(front.core.read_history(viewer, None))
            await until(lambda: reading >= 2, what="two are read")
            await let_the_front_run()
            gate.set()
    assert most == 2
