"""Devices that are alive and without effect: their reports arrive, and none of them changes anything for a minute.

Such a device looks like a quiet one on every board, so its status says it, and the log and the metrics do.
"""

from typing import Final

from msgspec import Struct

from bridge.domain.events import Millis
from bridge.domain.reports import Disposition, Effect

INEFFECTIVE_MS: Final = 60_000
SPREAD_MS: Final = 5_000  # what arrives within less is one burst: a broker that sends again after a reconnect
PAUSE_MS: Final = 600_000  # after so long without a report the count begins anew

INEFFECTIVE_REASONS: Final = frozenset({"duplicate", "out_of_order", "bad_quality"})
"""Suppressions that make a device futile where nothing else comes of it; so does every quarantine."""
NEUTRAL_REASONS: Final = frozenset({"retained", "historical", "duplicate_command"})
"""Suppressions that say nothing about the device's state now."""


class IneffectiveRun(Struct):
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


def has_no_effect(disposition: Disposition) -> bool:
    """Say whether a report with this disposition had no effect, and not because that was wanted."""
    if disposition.effect is Effect.QUARANTINED:
        return True
    return disposition.effect is Effect.SUPPRESSED and disposition.reason in INEFFECTIVE_REASONS


def is_effective(disposition: Disposition) -> bool:
    """Say whether the device is understood: its report was applied, or wanted nothing new."""
    if disposition.effect is Effect.SUPPRESSED:
        return disposition.reason not in INEFFECTIVE_REASONS | NEUTRAL_REASONS
    return disposition.effect is Effect.APPLIED


def extend_run(run: IneffectiveRun | None, reason: str, *, now: Millis, at: Millis) -> IneffectiveRun:
    """Return the run with one report more; `at`: the line's time, before which nothing can be due."""
    if run is None or (now - run.latest > PAUSE_MS and not run.shown):
        return IneffectiveRun(since=now, latest=now, reason=reason)
    run.latest, run.reason = now, reason
    if run.due is None and not run.shown and now - run.since >= SPREAD_MS:
        run.due = max(run.since + INEFFECTIVE_MS, now, at)
    return run
