"""A process that commits to a journal, retries failures, and prints the last durable input after each commit.

python -m tests.faults.retrying_writer JOURNAL BATCHES
"""

import contextlib
import os
import sys
from pathlib import Path

from bridge.domain.events import Standing
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.ports.journal import Batch, CommitFailed
from tests.support.journal_samples import event, follow

SUBJECTS = 40  # subjects, so that pages are written again and again


def commit_all(path: Path, batches: int) -> None:
    journal = SqliteJournal.open(path, stream="main")
    for number in range(batches):
        subject = f"c{number % SUBJECTS}"
        standing = (Standing.CURRENT, Standing.CLOSED)[number // SUBJECTS % 2]
        batch = follow(journal, [event(subject), event("always")], [], [event(subject, standing=standing)])
        commit(journal, batch)
        os.write(1, b"%d\n" % batch.entries[-1].input.number)
        with contextlib.suppress(CommitFailed):  # the publisher's mark may fail; it is moved later
            journal.mark_published(batch.entries[-1].events[-1].offset, retained=[])


def commit(journal: SqliteJournal, batch: Batch) -> None:
    while True:
        try:
            journal.commit(batch)
        except CommitFailed:
            continue
        return


if __name__ == "__main__":
    commit_all(Path(sys.argv[1]), int(sys.argv[2]))
