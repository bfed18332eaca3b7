"""A process that edits a list of revocations, killed at each system call that Python audits.

Run as `python -m tests.adapters.killed_edit PATH`. It prints what each list holds that a kill has left.
"""

import os
import signal
import sys
from pathlib import Path

from bridge.adapters import revocation_file
from bridge.domain.access.revocations import UserEntry

AT = "2026-11-29T15:00:00.000Z"


def edit(path: Path, *, killed_at: int) -> bool:
    """Add one user in a process that is killed at its nth audited call; return whether it has ended by itself."""
    child = os.fork()
    if child == 0:
        count = 0

        def audit(*_: object) -> None:
            nonlocal count
            count += 1
            if count > killed_at:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(audit)
        with revocation_file.edit(path) as entries:
            entries.append(UserEntry(subject=f"user{len(entries)}", revoked_at=AT))
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def main() -> None:
    path, killed_at = Path(sys.argv[1]), 0
    revocation_file.create(path)
    while not edit(path, killed_at=killed_at):
        sys.stdout.write(f"{len(revocation_file.read(path))}\n")
        killed_at += 1
    sys.stdout.write(f"ended {len(revocation_file.read(path))}\n")


if __name__ == "__main__":
    main()
