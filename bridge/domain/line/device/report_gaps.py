"""Gaps before a report: missing reports of its device, as far as the sequence shows."""

from bridge.domain.line.device.device import Device
from bridge.domain.line.device.sequence import Placement, SequenceRun
from bridge.domain.reports import DeathReport, Report


def is_gapless(report: Report, device: Device, placement: Placement, *, run_before: SequenceRun | None) -> bool:
    """Return whether none of the device's reports is missing before this one, as far as its sequence shows.

    Reports from before a restart of the sequence may be missing, even if the boot id is repeated. A death proves
    nothing: its number is that of the connect, when the Will was written.
    """
    if isinstance(report.body, DeathReport):
        return False
    follows = placement.kind == "new" and placement.gap == 0 and placement.is_certain and not report.retained
    return follows and device.state.run is run_before


def has_gap(device: Device, placement: Placement, *, run_before: SequenceRun | None) -> bool:
    """Return whether some of the device's reports are missing before this one, as far as its sequence shows."""
    return placement.gap > 0 or device.state.run is not run_before
