"""Commits reported as durable survive a loss of power, also after failed syncs that dropped pages.

A machine that loses power cannot be had in a test; what its disk may hold then can be worked out from the writes and
syncs that the journal makes. docs/decisions/013-after-a-failed-sync.md states why it holds.
"""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.journal.sqlite.writer import SqliteJournal
from tests.faults.failing_disk import cannot_trace
from tests.faults.power_loss import STDOUT, Disk, syscalls
from tests.support import run_record
from tests.support.bridge_process import ROOT
from tests.support.rounds import rounds

LOSSES = 40  # of power, in each run
TRACED = "pwrite64,fdatasync,fsync,write,ftruncate"
FAULTS = {
    "no fault": (),
    "every 4th sync fails": ("fdatasync,fsync:error=EIO:when=4+4",),
    "every 7th sync and every 41st write fail": ("fdatasync,fsync:error=EIO:when=7+7", "pwrite64:error=EIO:when=41+41"),
}


@pytest.mark.parametrize("fault", FAULTS)
@rounds(60, faults=400, proof=600)
def test_committed_rows_survive_a_loss_of_power(tmp_path: Path, fault: str, rounds: int) -> None:
    path, log = tmp_path / "journal.db", tmp_path / "strace.log"
    SqliteJournal.open(path, stream="main").close()
    disk = Disk({path.name: bytearray(path.read_bytes()) for path in tmp_path.iterdir()})
    commit_under_strace(path, rounds, FAULTS[fault], log=log)
    recorded = list(syscalls(log))
    chance = random.Random(13)
    cut = set(chance.sample(range(len(recorded)), LOSSES))
    committed = 0
    for index, call in enumerate(recorded):
        assert call.name != "ftruncate", "the disk of this test does not know it"
        if call.fd == STDOUT:
            committed = int(call.data)
        disk.take(call)
        if index in cut:
            assert numbers_after_power_loss(disk, tmp_path / f"loss-{index}", chance) >= committed
    assert committed == 3 * rounds
    assert bool(disk.lost) is bool(FAULTS[fault])
    run_record.note(
        f"{LOSSES} losses of power, {fault}",
        f"{rounds} commits, {len(recorded):,} writes and syncs, {disk.lost:,} bytes lost; wrong: nothing",
    )


def numbers_after_power_loss(disk: Disk, folder: Path, chance: random.Random) -> int:
    """Open the journal that is left, see that it is whole, and return its last input."""
    folder.mkdir()
    disk.lose_power(folder, chance)
    journal = SqliteJournal.open(folder / "journal.db", stream="main")
    try:
        last, _ = journal.last_input()
        inputs = journal.inputs_after(0, limit=last + 1)
        assert [entry.input.number for entry in inputs] == list(range(1, last + 1))
        assert len(journal.events_after(0, limit=2 * last)) == journal.position().offset
        return last
    finally:
        journal.close()
        shutil.rmtree(folder)


def commit_under_strace(path: Path, batches: int, faults: tuple[str, ...], *, log: Path) -> None:
    strace = shutil.which("strace")
    assert strace is not None, "no strace found: install the package `strace`"
    options = [option for fault in faults for option in ("-e", f"inject={fault}")]
    done = subprocess.run(
        [
            *(strace, "-y", "-xx", "-s", "100000", "-o", str(log), "-e", f"trace={TRACED}", *options),
            *(sys.executable, "-m", "tests.faults.retrying_writer", str(path), str(batches)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "ptrace" in done.stderr or "Operation not permitted" in done.stderr:
        cannot_trace(done.stderr)
    assert done.returncode == 0, done.stderr
