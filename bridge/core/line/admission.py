"""Whether a decoded report may have an effect at all, before it is looked at: DOMAIN, «Reports» and DESIGN's retained.

In this order: repeats and late arrivals, history, bad source quality, what the broker only retained.
"""

from bridge.core.events import Millis
from bridge.core.line.device import Device
from bridge.core.line.equipment import Machine
from bridge.core.reports import (
    AndonReport,
    BirthReport,
    CountsReport,
    DeathReport,
    Disposition,
    Report,
    StateReport,
    quarantined,
    suppressed,
)

STATES = (StateReport, CountsReport, BirthReport, DeathReport)
"""Kinds that say what is, not what somebody did: a retained one is still true."""


def place_in_sequence(report: Report, device: Device) -> int | Disposition:
    """Return how many of the device's reports are missing before this one, or why it has no effect.

    Commands are no device's reports: the pipeline knows their repeats.
    """
    return 0 if report.actor is not None else device.place_in_sequence(report)


def note_life(report: Report, device: Device, *, now: Millis) -> None:
    """A live report shows that the device is there; a retained one only starts the wait for a sign of life.

    After a death the device is back, but its state stays unknown until it says it.
    """
    state = device.state
    if report.actor is not None or isinstance(report.body, DeathReport):
        return
    if report.retained and state.seen_at is not None:
        return
    state.seen_at = now
    if not report.retained:
        state.offline = None


def refuse(report: Report, machine: Machine | None) -> Disposition | None:
    """Return why a report that is new has no effect; None: it may have one."""
    body = report.body
    if machine is None and isinstance(body, StateReport | CountsReport):
        return quarantined("needs_equipment")
    if body.historical:
        return suppressed("historical")  # kept among the inputs; it never becomes current state
    if body.source_quality == "bad":
        if machine is not None:
            machine.state.stale = True
        return suppressed("bad_quality")
    if report.retained and not isinstance(body, STATES):
        level = isinstance(body, AndonReport) and body.input is not None and body.action is None
        if not (level and machine is not None and machine.spec.input == "latching"):
            return suppressed("retained")  # a deed happened when it was sent, not when somebody subscribes
    return None
