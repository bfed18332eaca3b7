"""Pieces made, computed from a device's counter: each sample is judged against the register before it. Pure.

A sample that the table explains counts at once. Any other is held until the next sample decides. If that is back at the
old level, the held one is refused. If it continues from the new level, the held one gets the table's verdict. If
neither, the newest sample is held instead, and the third in a row becomes the new level. Held pieces are always
released or refused, never dropped.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.line.counters.counter_table import CounterTable, RegisterChange, RegisterLimits
from bridge.domain.line.counters.registers import (
    MIN_SPELLS,
    SHORTEST_MS,
    SUSTAINED_MS,
    ChangeKind,
    Register,
    RegisterSample,
    SuspectSample,
    elapsed_ms,
    hidden_until,
    is_dated_before,
    lag_after,
    may_have_reset,
    production_interval,
    rate_of,
)
from bridge.domain.utc_time import Millis

MAX_UNCONFIRMED_SAMPLES: Final = 3  # samples in a row, none of which confirms another


class CounterDelta(Struct, frozen=True, kw_only=True):
    """Result of one sample: `delta` pieces made in [since, until], and the outcome of the pieces held before it."""

    register: Register
    delta: int
    kind: ChangeKind
    since: Millis
    until: Millis
    estimated: bool = False
    released: int = 0
    refused: int = 0
    hidden: int = 0  # pieces of `delta` certainly made by the time of the suspect sample before
    hidden_until: Millis | None = None  # when that sample was received; None: there was none


def judge_sample(register: Register | None, sample: RegisterSample, *, limits: RegisterLimits) -> CounterDelta:
    """Judge a sample against the register before it, without changing `register`."""
    if limits.modulus is not None:
        sample = replace(sample, value=limits.normalize(sample.value))
        register = None if register is None else replace(register, value=limits.normalize(register.value))
    if register is None:
        first = Register(sample.value, sample.at, sample.dated, sample.boot_id)
        return CounterDelta(register=first, delta=0, kind="baseline", since=sample.at, until=sample.at)
    table = CounterTable(limits, register.usual_rate, register.pace)
    if _is_superseded(register, sample, table):
        return CounterDelta(register=register, delta=0, kind="history", since=sample.at, until=sample.at)
    if register.suspect is not None:
        return _resolve_suspect(register, register.suspect, sample, table)
    may_be_reset = may_have_reset(register, sample, interrupted=register.interrupted)
    step = table.explain(register, sample, may_be_reset=may_be_reset)
    if step is None:
        return _hold(register, table.make_suspect(register, sample, may_be_reset=may_be_reset))
    if step.kind == "dip":
        register = replace(register, may_hide_until=hidden_until(register, sample))
    return _count(register, sample, step, table)


def _is_superseded(register: Register, sample: RegisterSample, table: CounterTable) -> bool:
    """Return whether a sample predates the latest one, so that its pieces are counted already.

    A sample explained as a rise does not: an earlier one cannot be above the latest.
    """
    latest = register if register.suspect is None else register.suspect
    if not is_dated_before(sample, latest):
        return False
    step = table.explain(latest, sample, may_be_reset=False)
    return step is None or step.pieces == 0


def _resolve_suspect(
    register: Register, suspect: SuspectSample, sample: RegisterSample, table: CounterTable
) -> CounterDelta:
    may_be_reset = may_have_reset(register, sample, interrupted=suspect.interrupted or register.interrupted)
    if sample.value == suspect.value and suspect.verdict == "reset" and not suspect.pieces:
        return _hold(register, _extend_zero_suspect(suspect, sample, may_be_reset=may_be_reset, table=table))
    from_old = table.explain(register, sample, may_be_reset=may_be_reset)
    from_new = table.explain(
        suspect, sample, may_be_reset=may_have_reset(suspect, sample, interrupted=register.interrupted)
    )
    if from_old is not None and (from_new is None or _prefers_old_level(suspect, from_old)):
        return _refute(_count(register, sample, from_old, table), suspect, also_new=from_new is not None)
    from_new = from_new or table.step_at_same_rate(suspect, sample)
    if from_new is not None:
        return _confirm(register, suspect, sample, from_new, table)
    return _hold_instead(
        register, suspect, table.make_suspect(register, sample, may_be_reset=may_be_reset, last=suspect)
    )


def _extend_zero_suspect(
    suspect: SuspectSample, sample: RegisterSample, *, may_be_reset: bool, table: CounterTable
) -> SuspectSample:
    """Extend a suspect that shows 0: an unread register may show 0 for long, as may a reset one. A piece decides."""
    lag_ms = lag_after(suspect, sample, 0, per_minute=table.limits.max_rate_per_minute)
    return replace(
        suspect,
        at=sample.at,
        dated=sample.dated,
        boot_id=sample.boot_id,
        lag_ms=lag_ms,
        interrupted=may_be_reset,
        estimated=suspect.estimated or may_be_reset,
        occurrences=suspect.occurrences + 1,
    )


def _prefers_old_level(suspect: SuspectSample, from_old: RegisterChange) -> bool:
    """Return whether the old level wins if both explain a sample: not for a dip, nor if a reset is likely."""
    return from_old.kind != "dip" and not (
        suspect.verdict == "reset" and (suspect.interrupted or suspect.occurrences > 1)
    )


def _count(register: Register, sample: RegisterSample, step: RegisterChange, table: CounterTable) -> CounterDelta:
    since, until = production_interval(register, sample, step.pieces, per_minute=table.likely_rate)
    return CounterDelta(
        register=_advance(register, register, sample, step, table),
        delta=step.pieces,
        kind=step.kind,
        since=since,
        until=until,
        estimated=step.estimated,
        hidden_until=register.may_hide_until,
    )


def _hold(register: Register, suspect: SuspectSample, *, refused: int = 0) -> CounterDelta:
    return CounterDelta(
        register=replace(register, suspect=suspect, interrupted=False, may_hide_until=hidden_until(register, suspect)),
        delta=0,
        kind="held",
        since=suspect.at,
        until=suspect.at,
        estimated=refused > 0,
        refused=refused,
    )


def _refute(counted: CounterDelta, suspect: SuspectSample, *, also_new: bool) -> CounterDelta:
    """Return to the old level and refuse the suspect; release it if the new level explains the sample too."""
    if also_new and suspect.verdict in ("released", "rollover"):
        return replace(counted, kind=suspect.verdict, released=suspect.pieces)
    unsure = also_new and suspect.verdict == "reset"
    return replace(counted, kind="glitch", refused=suspect.pieces, estimated=counted.estimated or unsure)


def _confirm(
    register: Register, suspect: SuspectSample, sample: RegisterSample, step: RegisterChange, table: CounterTable
) -> CounterDelta:
    counted = 0 if suspect.verdict == "rebase" else suspect.pieces
    start = register if counted else suspect
    since, until = production_interval(start, sample, counted + step.pieces, per_minute=table.likely_rate)
    after = _advance(register, suspect, sample, step, table)
    if step.kind == "released":  # two steps in a row at the same high rate
        proven = min(suspect.rate, after.pace)
        after = replace(after, refuted_limit=max(after.refuted_limit, proven), fastest=max(after.fastest, proven))
    return CounterDelta(
        register=after,
        delta=counted + step.pieces,
        kind=suspect.verdict,
        since=since,
        until=until,
        estimated=suspect.estimated or step.estimated,
        released=counted,
        refused=suspect.pieces - counted,
        hidden=counted,
        hidden_until=register.may_hide_until,
    )


def _hold_instead(register: Register, suspect: SuspectSample, newest_suspect: SuspectSample) -> CounterDelta:
    """Hold the newest sample, which neither level explains; the third in a row becomes the register's value."""
    if suspect.tries + 1 < MAX_UNCONFIRMED_SAMPLES:
        newest_suspect = replace(newest_suspect, tries=suspect.tries + 1)
        return _hold(register, newest_suspect, refused=max(suspect.pieces - newest_suspect.pieces, 0))
    return CounterDelta(
        register=_move_to(register, newest_suspect, lag_ms=0),
        delta=0,
        kind="rebase",
        since=newest_suspect.at,
        until=newest_suspect.at,
        estimated=True,
        refused=max(suspect.pieces, newest_suspect.pieces),
    )


def _advance(
    register: Register, before: RegisterSample, sample: RegisterSample, step: RegisterChange, table: CounterTable
) -> Register:
    """Return the register at the sample, which is `step` after the sample `before`; a dip keeps its value."""
    if step.kind == "dip":
        dipped = _move_to(register, replace(before, boot_id=sample.boot_id), lag_ms=before.lag_ms)
        return replace(dipped, may_hide_until=register.may_hide_until)
    elapsed = elapsed_ms(before, sample)
    after = _move_to(
        register, sample, lag_ms=lag_after(before, sample, step.pieces, per_minute=table.limits.max_rate_per_minute)
    )
    pace = 0.0
    if table.is_above_max_rate(step.pieces, elapsed) and elapsed >= SHORTEST_MS:
        pace = rate_of(step.pieces, elapsed)
    if pace != after.pace:
        after = replace(after, pace=pace)
    if pace and step.kind != "released":
        after = replace(after, refuted_limit=max(after.refuted_limit, pace))
    return _measure(after, before, sample, step.pieces, table)


def _measure(
    register: Register, before: RegisterSample, sample: RegisterSample, pieces: int, table: CounterTable
) -> Register:
    """Update the fastest rate from steps that have pieces and a known duration."""
    since, until = production_interval(before, sample, pieces, per_minute=table.likely_rate)
    waited = sample.dated is None and until - since > sample.at - before.at
    spell_ms, spell_pieces = register.spell_ms + until - since, register.spell_pieces + pieces
    if waited or not pieces:
        return replace(register, spell_ms=0, spell_pieces=0)
    if spell_ms < SUSTAINED_MS:
        return replace(register, spell_ms=spell_ms, spell_pieces=spell_pieces)
    return replace(
        register,
        fastest=max(register.fastest, rate_of(spell_pieces, spell_ms)),
        spells=min(register.spells + 1, MIN_SPELLS),
        spell_ms=0,
        spell_pieces=0,
    )


def _move_to(register: Register, sample: RegisterSample, *, lag_ms: int) -> Register:
    return replace(
        register,
        value=sample.value,
        at=sample.at,
        dated=sample.dated,
        boot_id=sample.boot_id,
        lag_ms=lag_ms,
        interrupted=False,
        suspect=None,
        may_hide_until=None,
    )
