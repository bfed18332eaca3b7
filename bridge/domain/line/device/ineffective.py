"""Ineffective devices: their reports arrive, but none has had an effect for a minute.

On a dashboard such a device looks like a quiet one, so its status, the log and the metrics report it.
"""

from typing import Final

from msgspec import Struct

from bridge.domain.reports import Disposition, Effect
from bridge.domain.utc_time import Millis

INEFFECTIVE_MS: Final = 60_000
SPREAD_MS: Final = 5_000  # arrivals within less are one burst: a broker that redelivers after a reconnect
PAUSE_MS: Final = 600_000  # after this long without a report the run restarts

INEFFECTIVE_REASONS: Final = frozenset({"duplicate", "out_of_order", "bad_quality"})
"""Suppressions that make a device ineffective if none of its reports has an effect; so does every quarantine."""
NEUTRAL_REASONS: Final = frozenset({"retained", "historical", "duplicate_command"})
"""Suppressions that show nothing about the device's current state."""


class IneffectiveRun(Struct, rename={"emitted": "shown"}):
    """A run of reports without effect. Checkpointed."""

    since: Millis
    latest: Millis
    reason: str  # of the latest
    due: Millis | None = None  # when the device becomes ineffective
    emitted: bool = False

    def set_forward(self, by: Millis) -> None:
        """Shift the run by a forward jump of the host's clock: the skipped time does not count."""
        self.since += by
        self.latest += by
        self.due = None if self.due is None else self.due + by


def has_no_effect(disposition: Disposition) -> bool:
    """Return whether a report with this disposition had no effect, and that was not intended."""
    if disposition.effect is Effect.QUARANTINED:
        return True
    return disposition.effect is Effect.SUPPRESSED and disposition.reason in INEFFECTIVE_REASONS


def is_effective(disposition: Disposition) -> bool:
    """Return whether the device is understood: its report was applied, or had nothing to change."""
    if disposition.effect is Effect.SUPPRESSED:
        return disposition.reason not in INEFFECTIVE_REASONS | NEUTRAL_REASONS
    return disposition.effect is Effect.APPLIED


def extend_run(
    run: IneffectiveRun | None, disposition: Disposition, *, now: Millis, at: Millis
) -> IneffectiveRun | None:
    """Return the run after a report with this disposition; `at`: the line's time, before which nothing can be due."""
    if not has_no_effect(disposition):
        return run
    reason = str(disposition.reason)
    if run is None or (now - run.latest > PAUSE_MS and not run.emitted):
        return IneffectiveRun(since=now, latest=now, reason=reason)
    run.latest, run.reason = now, reason
    if run.due is None and not run.emitted and now - run.since >= SPREAD_MS:
        run.due = max(run.since + INEFFECTIVE_MS, now, at)
    return run
