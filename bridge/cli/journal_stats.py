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
)
from bridge.cli.settings_options import ConfigOption, fail, read_settings
from bridge.domain.events import Millis, rfc3339, rfc3339_or_none

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
        found = journal_stats.read_stats(place, keep=None if settings is None else settings.keep, sizes=sizes)
    if as_json:
        print_json(_json_document(found))
    else:
        for name, text in _rows(found):
            print_text(f"{name:<13} {text}")
    if found.unaccounted:
        fail(f"{found.path}: {found.unaccounted} inputs are unaccounted for", code=NOT_WHOLE)


def _rows(found: "JournalStats") -> Iterator[tuple[str, str]]:
    meta = found.summary.meta
    yield "journal", f"{found.path}: stream {meta.stream}, schema {found.summary.schema}"
    for each in found.summary.epochs:
        yield "epoch", f"{each.epoch} from offset {each.first_offset:,}, {each.reason} {rfc3339(each.began)}"
    files = ", ".join(f"{suffix or 'file'} {_format_size(size)}" for suffix, size in found.files.items())
    yield "size", f"{files}; {_format_size(found.used)} used"
    for part, size in found.parts.items():
        yield "", f"{part} {_format_size(size)}"
    yield "events", _format_range(found.events)
    yield "inputs", _format_range(found.inputs)
    yield "current", f"{found.current:,} state keys, {found.older_current:,} of them older than the oldest kept event"
    behind = meta.last_offset - meta.published
    yield "published", f"up to offset {meta.published:,}" + (f", {behind:,} behind" if behind else ", all")
    yield "resends", f"{found.resends:,} digests; acknowledgement certain up to input {meta.settled:,}"
    after = f"after input {found.checkpoint:,}" + _format_checkpoint_age(found.checkpoint_arrival, meta.latest_arrival)
    tail = f"a start replays {meta.last_number - found.checkpoint:,} inputs"
    yield "checkpoints", f"{found.checkpoints:,} lines, {after}; {tail}"
    for kind, books in found.input_counts.items():
        reasons = [f"{count:,} suppressed ({reason})" for reason, count in books.suppressed.items()]
        reasons += [f"{count:,} quarantined ({reason})" for reason, count in books.quarantined.items()]
        yield "received", f"{kind}: {books.received:,} = {' + '.join([f'{books.applied:,} applied', *reasons])}"
    total = sum(books.received for books in found.input_counts.values())
    yield "", f"total: {total:,}; number of the last input: {meta.last_number:,}"
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(found.quarantine.items()))
    yield "quarantine", f"{states or 'empty'}; {_format_size(found.quarantine_bytes)} of payloads"
    if found.prunable is not None:
        events = max(0, found.prunable.offset - found.events.first + 1)
        inputs = max(0, found.prunable.number - found.inputs.first + 1)
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


def _json_document(found: "JournalStats") -> dict[str, Any]:
    meta = found.summary.meta

    def held(each: "HeldRange") -> dict[str, Any]:
        since, until = rfc3339_or_none(each.since), rfc3339_or_none(each.until)
        return {"first": each.first, "last": each.last, "count": each.count, "since": since, "until": until}

    return {
        "path": str(found.path),
        "stream": meta.stream,
        "schema": found.summary.schema,
        "epoch": meta.epoch,
        "epochs": [
            {"epoch": e.epoch, "first_offset": e.first_offset, "began": rfc3339(e.began), "reason": e.reason}
            for e in found.summary.epochs
        ],
        "bytes": {"files": {suffix or "file": size for suffix, size in found.files.items()}, "used": found.used,
                  "parts": found.parts},
        "events": held(found.events),
        "inputs": held(found.inputs),
        "current": {"held": found.current, "older": found.older_current},
        "published": {"offset": meta.published, "behind": meta.last_offset - meta.published},
        "resends": {"known": found.resends, "settled": meta.settled},
        "checkpoints": {
            "lines": found.checkpoints,
            "input": found.checkpoint,
            "arrived": rfc3339_or_none(found.checkpoint_arrival),
            "to_replay": meta.last_number - found.checkpoint,
        },
        "received": {
            kind: {"received": b.received, "applied": b.applied, "suppressed": b.suppressed,
                   "quarantined": b.quarantined}
            for kind, b in found.input_counts.items()
        },
        "unaccounted": found.unaccounted,
        "quarantine": {**found.quarantine, "bytes": found.quarantine_bytes},
        "retention": None
        if found.prunable is None
        else {"offset": found.prunable.offset, "number": found.prunable.number},
    }  # fmt: skip
