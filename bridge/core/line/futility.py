"""Devices that are alive and without effect: their reports arrive, and none of them changes anything for a minute.

Such a device looks like a quiet one on every board, so its status says it, and the log and the metrics do.
"""

from typing import Final

from msgspec import Struct

from bridge.core.events import Millis
from bridge.core.reports import Disposition, Effect

FUTILE_MS: Final = 60_000
SPREAD_MS: Final = 5_000  # what arrives within less is one burst: a broker that sends again after a reconnect
PAUSE_MS: Final = 600_000  # after so long without a report the count begins anew

FUTILE: Final = frozenset({"duplicate", "out_of_order", "bad_quality"})
"""Suppressions that make a device futile where nothing else comes of it; so does every quarantine."""
NEUTRAL: Final = frozenset({"retained", "historical", "duplicate_command"})
"""Suppressions that say nothing about the device's state now."""


class Futile(Struct):
    """A run of reports without effect. Checkpointed."""

    since: Millis
    latest: Millis
    reason: str  # of the latest
    due: Millis | None = None  # when the device is called ineffective
    shown: bool = False

    def set_forward(self, by: Millis) -> None:
        """The host's clock was set forward: nothing was without effect for longer."""
        self.since += by
        self.latest += by
        self.due = None if self.due is None else self.due + by


def is_futile(disposition: Disposition) -> bool:
    """Say whether a report with this disposition had no effect, and not because that was wanted."""
    if disposition.effect is Effect.QUARANTINED:
        return True
    return disposition.effect is Effect.SUPPRESSED and disposition.reason in FUTILE


def is_effective(disposition: Disposition) -> bool:
    """Say whether the device is understood: its report was applied, or wanted nothing new."""
    if disposition.effect is Effect.SUPPRESSED:
        return disposition.reason not in FUTILE | NEUTRAL
    return disposition.effect is Effect.APPLIED


def add(before: Futile | None, reason: str, *, now: Millis, at: Millis) -> Futile:
    """Return the run with one report more; `at`: the line's time, before which nothing can be due."""
    if before is None or (now - before.latest > PAUSE_MS and not before.shown):
        return Futile(since=now, latest=now, reason=reason)
    before.latest, before.reason = now, reason
    if before.due is None and not before.shown and now - before.since >= SPREAD_MS:
        before.due = max(before.since + FUTILE_MS, now, at)
    return before
