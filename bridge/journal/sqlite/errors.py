"""What may be wrong with a journal's file, each with the facts and with what to do about it."""

from pathlib import Path

from bridge.ports.journal import JournalError


class JournalDamaged(JournalError):
    """The file is not whole. It is never repaired or begun anew by itself: that would lose events without a word."""

    def __init__(self, path: Path, finding: str) -> None:
        super().__init__(
            f"{path}: the journal is damaged ({finding}). Nothing was changed. Keep the file with its -wal and -shm, "
            "then restore a backup; or move them and the .lock away to begin anew, with a new epoch and without history"
        )
        self.path = path
        self.finding = finding


class JournalTooNew(JournalError):
    def __init__(self, path: Path, *, found: int, known: int) -> None:
        super().__init__(
            f"{path}: schema {found} is newer than {known}, which this version knows; run the newer version"
        )
        self.path = path
        self.found = found
        self.known = known


class JournalTooOld(JournalError):
    """Only the owner may bring a journal up to date; a reader of an older one has nothing to read by."""

    def __init__(self, path: Path, *, found: int, known: int) -> None:
        super().__init__(
            f"{path}: schema {found} is older than {known}; start the bridge once, which brings it up to date"
        )
        self.path = path
        self.found = found
        self.known = known


class JournalInUse(JournalError):
    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: another process has this journal: stop it first, a stream has one owner")
        self.path = path


class StreamMismatch(JournalError):
    def __init__(self, path: Path, *, expected: str, found: str) -> None:
        super().__init__(f"{path}: holds stream {found!r}, the settings say {expected!r}")
        self.path = path
        self.expected = expected
        self.found = found
