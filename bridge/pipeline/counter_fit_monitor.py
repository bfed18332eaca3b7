"""Warnings in the log about machines whose counters do not fit the plant file; each once per start."""

from collections.abc import Mapping

import structlog

from bridge.domain.line.counters.machine_counters import CounterFit

log = structlog.get_logger(__name__)

MachineKey = tuple[str, str]
"""Line and equipment."""


class CounterFitMonitor:
    """Logs each machine whose counters run faster than its max rate, once."""

    def __init__(self) -> None:
        self._too_low: frozenset[MachineKey] = frozenset()

    def log_changes(self, fits: Mapping[MachineKey, CounterFit]) -> None:
        """Log what has changed since the last call."""
        too_low = frozenset(machine for machine, fit in fits.items() if fit.max_rate_is_too_low)
        for line, equipment in sorted(too_low - self._too_low):
            fit = fits[line, equipment]
            log.warning(
                "counters.max_rate_too_low",
                line=line,
                equipment=equipment,
                seen_per_minute=round(fit.proven_rate, 1),
                max_rate_per_minute=fit.max_rate,
            )
        self._too_low |= too_low  # the plant file does not change while we run
