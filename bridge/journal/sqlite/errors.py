"""Errors about a journal's file; each message names the facts and the way out."""

from pathlib import Path

from bridge.ports.journal import JournalError


class JournalDamaged(JournalError):
    """The file is damaged. It is never repaired or recreated automatically: that would lose events silently."""

    def __init__(self, path: Path, finding: str) -> None:
        super().__init__(
            f"{path}: the journal is damaged ({finding}). Nothing was changed. Keep the file with its -wal and -shm, "
            "then restore a backup; or move them and the .lock away to begin anew, with a new epoch and without history"
        )
        self.path = path
        self.finding = finding


class JournalTooNew(JournalError):
    """A newer version wrote or migrated the journal; this one changes nothing."""

    def __init__(self, path: Path, *, found: int, known: int) -> None:
        super().__init__(
            f"{path}: schema {found} is newer than {known}, which this version knows; run the newer version"
        )
        self.path = path
        self.found = found
        self.known = known


class JournalTooOld(JournalError):
    """The journal has an older schema. Only its owner may migrate it; every reader refuses it."""

    def __init__(self, path: Path, *, found: int, known: int) -> None:
        super().__init__(
            f"{path}: schema {found}, but this version needs schema {known}. Start the bridge once (`floor run`): that "
            "migrates its journal; `floor journal restore` migrates a backup. Or use the version that wrote it"
        )
        self.path = path
        self.found = found
        self.known = known


class NoRoomToMigrate(JournalError):
    """The disk filled up during a migration, which was rolled back."""

    def __init__(self, path: Path, *, found: int, known: int) -> None:
        super().__init__(
            f"{path}: no room on the disk to migrate from schema {found} to {known}: while it does, the -wal needs as "
            "much as the journal's inputs take. Nothing was changed; make room and start again"
        )
        self.path = path


class JournalInUse(JournalError):
    """Another process has locked the journal: a running bridge, or a restore."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: another process has this journal: stop it first, a stream has one owner")
        self.path = path


class StreamMismatch(JournalError):
    """The journal belongs to another stream than the one of the settings."""

    def __init__(self, path: Path, *, expected: str, found: str) -> None:
        super().__init__(f"{path}: holds stream {found!r}, the settings say {expected!r}")
        self.path = path
        self.expected = expected
        self.found = found
