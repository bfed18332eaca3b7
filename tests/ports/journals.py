"""Implementations of the journal's ports. A new store adds itself to `JOURNALS`, and what reads one to `READABLE`."""

import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from bridge.domain.event_topic import EventTopic
from bridge.domain.events import Event, Standing
from bridge.domain.records import CommittedEvent
from bridge.journal.sqlite.reader import SqliteReader
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch, Journal, ReadableJournal, RetentionLimits
from tests.support.journal_samples import NOON, event, follow
from tests.support.memory_journal import MemoryJournal

STREAM: Final = "main"


class JournalStore(Protocol):
    """A store that holds one journal, closed and opened again as restarts do."""

    def open(self) -> Journal:
        """Create the journal, or open the one that is there."""

    @contextmanager
    def no_room(self) -> Iterator[None]:
        """Let every commit in the block fail as on a full disk."""


class SqliteStore:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "folder" / "journal.db"

    def open(self) -> SqliteJournal:
        return SqliteJournal.open(self.path, stream=STREAM)

    @contextmanager
    def no_room(self) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))  # no file may grow; Python ignores SIGXFSZ
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)


JOURNALS: Final[Sequence[Callable[[Path], JournalStore]]] = (SqliteStore,)


class ReadableStore(Protocol):
    """A journal as its readers see it, and what its owner does meanwhile."""

    @property
    def journal(self) -> ReadableJournal: ...

    def append(self, *inputs: Sequence[Event]) -> list[CommittedEvent]:
        """Commit one input for each sequence of events; return the committed events."""

    def prune(self) -> None:
        """Remove every event that is not current."""

    def renew(self) -> None:
        """Begin a new epoch."""

    def close(self) -> None: ...


class OwnedStore:
    """A journal that is read by its owner."""

    def __init__(self, folder: Path, store: Callable[[Path], JournalStore] = SqliteStore) -> None:
        self.owner = store(folder).open()

    @property
    def journal(self) -> ReadableJournal:
        return self.owner

    def append(self, *inputs: Sequence[Event]) -> list[CommittedEvent]:
        batch = follow(self.owner, *inputs)
        self.owner.commit(batch)
        return [committed for entry in batch.entries for committed in entry.events]

    def prune(self) -> None:
        self.owner.commit(Batch(entries=[], checkpoints={"bagger-1": b""}))
        self.owner.mark_published(self.owner.position().offset, retained=[])
        while self.owner.prune(NOON, RetentionLimits(max_bytes=1)):
            pass

    def renew(self) -> None:
        self.owner.commit(Batch(entries=[], retired_keys=[EventTopic.from_event(event("never")).state_key]))

    def close(self) -> None:
        self.owner.close()


class SqliteReaderStore(OwnedStore):
    """A journal in SQLite that is read over another object's connections, as by a front in a separate process."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._reader = SqliteReader.open(SqliteStore(folder).path, stream=STREAM)

    @property
    def journal(self) -> SqliteReader:
        return self._reader

    def close(self) -> None:
        self._reader.close()
        super().close()


class MemoryStore:
    def __init__(self, _folder: Path) -> None:
        self.journal = MemoryJournal()

    def append(self, *inputs: Sequence[Event]) -> list[CommittedEvent]:
        return self.journal.append([event for events in inputs for event in events])

    def prune(self) -> None:
        self.journal.retain(self.journal.end + 1)

    def renew(self) -> None:
        self.journal.renew()

    def close(self) -> None:
        pass


READABLE: Final[Sequence[Callable[[Path], ReadableStore]]] = (OwnedStore, SqliteReaderStore, MemoryStore)


def closed(subject: str) -> Event:
    """Return the event that ends a subject."""
    return event(subject, standing=Standing.CLOSED)
