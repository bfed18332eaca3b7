"""Promise P1 at the journal: a reported commit survives SIGKILL, and no commit is half there."""

import random
import subprocess
import sys
import threading
from pathlib import Path

from bridge.domain.event_topic import StateKey
from bridge.domain.events import Standing
from bridge.journal.sqlite.writer import SqliteJournal
from tests.support.rounds import rounds

ROOT = Path(__file__).parents[3]


@rounds(8, faults=40)
def test_commits_survive_sigkill_at_any_moment(tmp_path: Path, rounds: int) -> None:
    path = tmp_path / "journal.db"
    chance = random.Random(7)
    committed = 0
    for _ in range(rounds):
        committed = max(
            committed, committed_until_killed(path, lines=chance.randint(0, 25), seconds=chance.uniform(0, 0.01))
        )
        check(path, at_least=committed)
    assert committed > rounds


@rounds(5, faults=20)
def test_everything_an_owner_does_survives_sigkill_at_any_moment(tmp_path: Path, rounds: int) -> None:
    """Retention and new epochs too: rows stay contiguous, and no loss is suspected."""
    path = tmp_path / "journal.db"
    chance = random.Random(8)
    committed = 0
    for _ in range(rounds):
        lines, seconds = chance.randint(1, 12), chance.uniform(0, 0.01)
        committed = max(committed, committed_until_killed(path, lines=lines, seconds=seconds, way="prune"))
        journal = SqliteJournal.open(path, stream="main")
        last = journal.position().offset
        assert last >= committed
        offsets = [event.offset for event in journal.events_after(0, limit=1_000_000)]
        assert offsets == list(range(journal.oldest_offset(), last + 1))
        assert all(event.offset <= last for event in journal.snapshot().events)
        assert journal.published_offset() <= last
        assert journal.oldest_offset() > committed - 3
        journal.close()


def committed_until_killed(path: Path, *, lines: int, seconds: float, way: str = "commit") -> int:
    """Let a child commit until it printed `lines` offsets and `seconds` have passed; return the last offset printed."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.journal_samples", str(path), way],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        last = 0
        for _ in range(lines):
            last = int(child.stdout.readline())
        timer = threading.Timer(seconds, child.kill)
        timer.start()
        for line in child.stdout:
            if line.endswith("\n"):
                last = int(line)
        timer.join()
    return last


def check(path: Path, *, at_least: int) -> None:
    journal = SqliteJournal.open(path, stream="main")
    events = journal.events_after(0, limit=1_000_000)
    last = journal.position().offset
    assert last >= at_least
    assert last % 3 == 0, "a batch of three events is there whole or not at all"
    assert [event.offset for event in events] == list(range(1, last + 1))
    assert journal.last_input()[0] == last, "three inputs a batch"
    current = dict[StateKey, int]()
    for event in events:
        if event.standing is Standing.CURRENT:
            current[event.state_key] = event.offset
        else:
            current.pop(event.state_key, None)
    assert [event.offset for event in journal.snapshot().events] == sorted(current.values())
    journal.close()
