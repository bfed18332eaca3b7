"""The `floor journal stats` command: contents, sizes and accounting of a journal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.journal_output import (
    NOT_DONE,
    NOT_WHOLE,
    JsonOption,
    PathOption,
    exit_on_journal_error,
    print_json,
    print_text,
    state_text,
)
from bridge.cli.settings_options import ConfigOption, fail, read_settings
from bridge.domain.utc_time import Millis, rfc3339, rfc3339_or_none

if TYPE_CHECKING:
    from bridge.journal.tools.stats import HeldRange, JournalStats


def stats(
    path: PathOption = None,
    *,
    sizes: Annotated[
        bool, typer.Option("--sizes", help="Show the size of each table too; reads the whole file.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show contents, age, sizes and published offset of the journal, and the accounting of its inputs.

    For every kind, received = applied + suppressed + quarantined. If they do not add up, the exit code is 1.
    """
    from bridge.journal.tools import stats as journal_stats  # noqa: PLC0415 - only what the command needs

    settings = None if path is not None else read_settings(config, code=NOT_DONE).journal
    with exit_on_journal_error():
        place = path if settings is None else settings.path
        assert place is not None
        figures = journal_stats.read_stats(place, keep=None if settings is None else settings.keep, sizes=sizes)
    if as_json:
        print_json(_json_document(figures))
    else:
        for name, text in _rows(figures):
            print_text(f"{name:<13} {text}")
    if figures.unaccounted:
        fail(f"{figures.path}: {figures.unaccounted} inputs are unaccounted for", code=NOT_WHOLE)


def _rows(figures: "JournalStats") -> Iterator[tuple[str, str]]:
    meta = figures.summary.meta
    yield "journal", f"{figures.path}: stream {meta.stream}, schema {figures.summary.schema}"
    for epoch in figures.summary.epochs:
        yield "epoch", f"{epoch.epoch} from offset {epoch.first_offset:,}, {epoch.reason} {rfc3339(epoch.began_at)}"
    files = ", ".join(f"{suffix or 'file'} {_format_size(size)}" for suffix, size in figures.files.items())
    yield "size", f"{files}; {_format_size(figures.used)} used"
    for part, size in figures.parts.items():
        yield "", f"{part} {_format_size(size)}"
    yield "events", _format_range(figures.events)
    yield "inputs", _format_range(figures.inputs)
    older = f"{figures.older_current:,} of them older than the oldest kept event"
    yield "current", f"{figures.current:,} state keys, {older}"
    behind = meta.last_offset - meta.published_offset
    yield "published", f"up to offset {meta.published_offset:,}" + (f", {behind:,} behind" if behind else ", all")
    yield "dedup digests", f"{figures.dedup_digests:,}; acknowledgement certain up to input {meta.acked_up_to:,}"
    age = _format_checkpoint_age(figures.checkpoint_arrival, meta.latest_arrival)
    to_replay = f"a start replays {meta.last_number - figures.checkpoint_number:,} inputs"
    yield "checkpoints", f"{figures.checkpoints:,} lines, after input {figures.checkpoint_number:,}{age}; {to_replay}"
    for kind, counts in figures.input_counts.items():
        reasons = [f"{count:,} suppressed ({reason})" for reason, count in counts.suppressed.items()]
        reasons += [f"{count:,} quarantined ({reason})" for reason, count in counts.quarantined.items()]
        yield "received", f"{kind}: {counts.received:,} = {' + '.join([f'{counts.applied:,} applied', *reasons])}"
    total = sum(counts.received for counts in figures.input_counts.values())
    yield "", f"total: {total:,}; number of the last input: {meta.last_number:,}"
    states = ", ".join(f"{count:,} {state_text(state)}" for state, count in sorted(figures.quarantine.items()))
    yield "quarantine", f"{states or 'empty'}; {_format_size(figures.quarantine_bytes)} of payloads"
    if figures.prunable is not None:
        events = max(0, figures.prunable.offset - figures.events.first + 1)
        inputs = max(0, figures.prunable.number - figures.inputs.first + 1)
        yield "retention", f"{events:,} events and {inputs:,} inputs are due for deletion"


def _format_range(held: "HeldRange") -> str:
    if not held.count:
        return f"none; the next one is {held.first:,}"
    when = f", {rfc3339(held.since)} to {rfc3339(held.until)}" if held.since is not None and held.until else ""
    return f"{held.count:,}, from {held.first:,} to {held.last:,}{when}"


def _format_checkpoint_age(at: Millis | None, latest: Millis) -> str:
    return "" if at is None else f", {(latest - at) / 1_000:.1f} s before the last input"


def _format_size(size: int) -> str:
    return f"{size / 1024**2:,.1f} MiB" if size >= 1024**2 else f"{size / 1024:,.0f} KiB"


def _json_document(figures: "JournalStats") -> dict[str, Any]:
    meta = figures.summary.meta

    def as_json(entries: "HeldRange") -> dict[str, Any]:
        since, until = rfc3339_or_none(entries.since), rfc3339_or_none(entries.until)
        return {"first": entries.first, "last": entries.last, "count": entries.count, "since": since, "until": until}

    return {
        "path": str(figures.path),
        "stream": meta.stream,
        "schema": figures.summary.schema,
        "epoch": meta.epoch,
        "epochs": [
            {"epoch": epoch.epoch, "first_offset": epoch.first_offset, "began": rfc3339(epoch.began_at),
             "reason": epoch.reason}
            for epoch in figures.summary.epochs
        ],
        "bytes": {"files": {suffix or "file": size for suffix, size in figures.files.items()}, "used": figures.used,
                  "parts": figures.parts},
        "events": as_json(figures.events),
        "inputs": as_json(figures.inputs),
        "current": {"held": figures.current, "older": figures.older_current},
        "published": {"offset": meta.published_offset, "behind": meta.last_offset - meta.published_offset},
        "dedup_digests": {"count": figures.dedup_digests, "acked_up_to": meta.acked_up_to},
        "checkpoints": {
            "lines": figures.checkpoints,
            "input": figures.checkpoint_number,
            "arrived": rfc3339_or_none(figures.checkpoint_arrival),
            "to_replay": meta.last_number - figures.checkpoint_number,
        },
        "received": {
            kind: {"received": counts.received, "applied": counts.applied, "suppressed": counts.suppressed,
                   "quarantined": counts.quarantined}
            for kind, counts in figures.input_counts.items()
        },
        "unaccounted": figures.unaccounted,
        "quarantine": {**figures.quarantine, "bytes": figures.quarantine_bytes},
        "retention": None
        if figures.prunable is None
        else {"offset": figures.prunable.offset, "number": figures.prunable.number},
    }  # fmt: skip
