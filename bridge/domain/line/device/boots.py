"""Boots of one device: the assignment of deaths and reports to the current boot or to a past one."""

from typing import Final

from bridge.domain.line.device import sequence
from bridge.domain.line.device.sequence import checksum_of
from bridge.domain.line.device.state import DeviceState, PastBoot, is_newer_boot
from bridge.domain.reports import BirthReport, DeathReport, Report
from bridge.domain.utc_time import Millis

SILENT_BOOT_MS: Final[Millis] = 60_000  # a boot silent for so long may be over, with nothing received of the next


def is_death_of_current_boot(body: DeathReport, state: DeviceState) -> bool:
    """Return whether a death ends the current boot: a late Will never ends a boot received since."""
    boot, current = body.boot_id, state.boot_id
    if boot is None or boot == current:
        return True
    if current is None:
        return not state.has_reported_live  # live reports have no boot id: this one belongs to something else
    return state.find_past_boot(boot) is None and is_newer_boot(boot, current)


def is_of_earlier_run(report: Report, state: DeviceState, *, modulus: int) -> bool:
    """Return whether a redelivered report was already accepted in a past run of the same boot id."""
    body = report.body
    if body.seq is None or body.boot_id != state.boot_id:
        return False
    checksum = checksum_of(body)
    return any(
        sequence.was_accepted_in(past.run, body.seq, checksum, modulus=modulus)
        for past in state.past_boots()
        if past.boot_id == body.boot_id and past.run is not None
    )


def is_of_overtaken_boot(report: Report, state: DeviceState) -> bool:
    """Return whether a boot never seen precedes the current one, as boot ids that have always grown show."""
    boot, current, last_live_at = report.body.boot_id, state.boot_id, state.last_live_at
    if boot is None or current is None or last_live_at is None or report.received_at - last_live_at >= SILENT_BOOT_MS:
        return False
    if not (state.has_growing_boot_ids and is_newer_boot(current, boot)):
        return False
    return all(is_newer_boot(boot, past.boot_id) for past in state.past_boots())


def is_boot_id_reused(report: Report, past: PastBoot, *, is_repeat: bool, modulus: int) -> bool:
    """Return whether a live birth reuses a boot id, unless the broker or device may have resent an old birth.

    `is_repeat`: the clock proves a resend, if the content is that of the birth before.
    """
    seq = report.body.seq
    if not isinstance(report.body, BirthReport):
        return False
    if seq is None or past.run is None:
        return True
    was_accepted = is_repeat and sequence.was_accepted_in(past.run, seq, checksum_of(report.body), modulus=modulus)
    return not (report.redelivered or was_accepted)


def is_boot_resumed(report: Report, past: PastBoot, state: DeviceState, *, modulus: int) -> bool:
    """Return whether a boot thought to be over continues where it was, while its supposed successor is silent."""
    seq, last_live_at = report.body.seq, state.last_live_at
    if report.redelivered or (last_live_at is not None and report.received_at - last_live_at < SILENT_BOOT_MS):
        return False
    return past.run is None or seq is None or sequence.is_ahead_of(past.run, seq, modulus=modulus)
