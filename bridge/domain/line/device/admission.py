"""Admission of decoded reports: which of them may have an effect, and what is missing before them.

The checks, in order: retained reports, repeats and late arrivals, historical data, bad source quality. Source:
domain.md, «Reports».
"""

from collections.abc import Iterable, Sequence
from typing import Final

from bridge.domain.line.device.device import Device
from bridge.domain.line.device.sequence import Placement, SequenceRun
from bridge.domain.line.device.timestamps import TRUSTED_CLOCKS, ClockUsed
from bridge.domain.line.equipment.machine import Machine
from bridge.domain.place import LINE_LEVEL
from bridge.domain.reports import (
    APPLIED,
    AndonReport,
    BirthReport,
    CountsReport,
    DeathReport,
    Disposition,
    Moment,
    QualityReport,
    Report,
    StateReport,
    quarantined,
    rejected,
    suppressed,
)
from bridge.domain.utc_time import Millis

RETAINABLE_KINDS = (StateReport, CountsReport, BirthReport, DeathReport)
"""Kinds that report a state, not an action: a retained one may still be true."""

UNNUMBERED: Final = Placement("new")


def place_in_sequence(report: Report, device: Device, machine: Machine | None) -> Placement | Disposition:
    """Return the report's place in its device's sequence, or why it has no effect.

    Commands belong to no device; the pipeline detects their repeats. A retained report leaves no trace in the sequence:
    the broker may have the same one queued for the bridge.
    """
    if report.actor is not None:
        return UNNUMBERED
    if report.retained:
        return UNNUMBERED if _may_be_current(report, device, machine) else suppressed("retained")
    return device.place_in_sequence(report)


def _may_be_current(report: Report, device: Device, machine: Machine | None) -> bool:
    """Return whether a retained report may be current: no live report was received, or this one is provably newer."""
    body = report.body
    if not isinstance(body, RETAINABLE_KINDS) and not _is_latching_level(report, machine):
        return False  # a press happened when it was sent, not when somebody subscribes
    if isinstance(body, DeathReport):
        return not device.state.has_reported_live  # its seq is that of the connect, so nothing proves it newer
    newer = device.is_newer_than_known(report)
    if isinstance(body, CountsReport):
        return newer
    if isinstance(body, BirthReport) and machine is not None and machine.state.reported is not None:
        return newer and not machine.state.reported.estimated  # a retained state may have come first
    return newer or not device.state.has_reported_live


def _is_latching_level(report: Report, machine: Machine | None) -> bool:
    body = report.body
    has_level = isinstance(body, AndonReport) and body.input is not None and body.action is None
    return has_level and machine is not None and machine.spec.input == "latching"


def affected_machines(report: Report, machine: Machine | None, machines: Iterable[Machine]) -> list[Machine]:
    """Return the machines that a report applies to.

    A birth or death of the line itself applies to all its equipment: one source may report for many machines. A
    retained one does not apply to a machine that has reported itself.
    """
    if machine is not None:
        return [machine]
    if not isinstance(report.body, BirthReport | DeathReport):
        return []
    return [candidate for candidate in machines if not report.retained or _has_never_reported(candidate, report.body)]


def _has_never_reported(machine: Machine, body: BirthReport | DeathReport) -> bool:
    if machine.device.state.has_reported_live:
        return False
    return isinstance(body, DeathReport) or machine.state.reported is None


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


def moment_of(
    report: Report, device: Device, placement: Placement, *, at: Millis, dated: Millis, clock: ClockUsed
) -> Moment:
    """Return the time and cause of the step that a report makes."""
    return Moment(
        at=at,
        received_at=report.received_at,
        dated=dated if clock in TRUSTED_CLOCKS else None,
        caused_by=(report.cause,),
        clock=clock,
        gap=device.add_unreported(placement.gap),
        latest=placement.kind == "new" and placement.is_certain and is_live_and_sequenced(report),
        late=placement.kind == "late",
        unplaced=not placement.is_certain,
        device_time=device.read_clock(report) if isinstance(report.body, AndonReport) else None,
        identified=device.has_identity(report),
        actor=report.actor,
        operator=report.body.operator,
    )


def is_live_and_sequenced(report: Report) -> bool:
    return report.actor is None and not report.retained and report.body.is_sequenced


def record_sign_of_life(report: Report, device: Device, *, now: Millis) -> None:
    """Record that a live report shows the device online; a retained one only starts the wait for a sign of life.

    After a death the device is online again, but its state stays unknown until it reports it.
    """
    state = device.state
    if report.actor is not None or isinstance(report.body, DeathReport):
        return
    if report.retained:
        state.live = state.has_reported_live
        state.last_seen_at = now if state.last_seen_at is None else state.last_seen_at
        return
    state.last_seen_at, state.live, state.offline = now, True, None


def find_refusal(report: Report, machine: Machine | None) -> Disposition | None:
    """Return why a new report has no effect, or None if it may have one."""
    body = report.body
    if not _is_granted(report):
        return rejected("not_granted")
    if machine is None and isinstance(body, StateReport | CountsReport):
        return quarantined("needs_equipment")
    if body.historical:
        return suppressed("historical")  # kept among the inputs; it never becomes current state
    if body.source_quality == "bad":
        if machine is not None:
            machine.state.stale = True
        return suppressed("bad_quality")
    return machine.validate_state(body) if machine is not None and isinstance(body, StateReport) else None


def _is_granted(report: Report) -> bool:
    """Return whether a command is granted where it acts; one on a call or an alert is compared with that."""
    match report.actor, report.body:
        case None, _:
            return True
        case _, QualityReport():
            return True
        case actor, AndonReport(action=None | "raise"):
            return actor.may_act_at(report.place.levels()[3])
        case _, AndonReport():
            return True
        case actor, _:
            return actor.may_act_at(LINE_LEVEL)


def apply_birth_or_death(report: Report, body: BirthReport | DeathReport, machines: Sequence[Machine]) -> Disposition:
    """Apply a birth or death to `machines`; a retained one that applies to none has no effect."""
    for machine in machines:
        machine.apply_birth_or_death(body)
    return APPLIED if machines or not report.retained else suppressed("retained")
