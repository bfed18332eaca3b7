"""The `floor quarantine` commands: list, show, replay and drop quarantined inputs; safe while the bridge runs."""

import time
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any

import typer

from bridge.cli.journal_output import (
    MAX_NUMBER,
    NOT_DONE,
    NOT_WHOLE,
    JsonOption,
    PathOption,
    escape_unprintable,
    exit_on_journal_error,
    journal_path,
    print_json,
    print_text,
    state_text,
)
from bridge.cli.settings_options import ConfigOption, fail
from bridge.domain.topics import TopicError, TopicFilter
from bridge.domain.utc_time import rfc3339
from bridge.journal.tools.quarantine_reader import NotQuarantined, QuarantinedInput, QuarantineReader
from bridge.journal.tools.quarantine_writer import SqliteQuarantineWriter

SHOWN_BYTES = 2_048
POLL_SECONDS = 0.2
ROW_BYTES = 16  # of a hex dump
MAX_LISTED = 1_000_000
NOTHING_WAITING = "no waiting input matches"

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Inspect quarantined inputs; replay them once their cause is fixed, or drop them (docs/journal.md).

    Exit codes: 0 success, 1 partial success, 2 failure.""",
)

NumbersArgument = Annotated[
    list[int] | None,
    typer.Argument(help="Numbers of inputs, from `list`.", min=1, max=MAX_NUMBER, show_default=False),
]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="All waiting inputs with this reason, or kind of reason: `bad_format`.")
]
AllOption = Annotated[bool, typer.Option("--all", help="All waiting inputs.")]


@app.command(name="list")
def list_(
    *,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="Only with this reason, or kind of reason: `bad_format`, `bad_format:state`."),
    ] = None,
    topic: Annotated[str | None, typer.Option("--topic", help="Only on topics that match this MQTT filter.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MAX_LISTED, help="Number of inputs to list.")] = 50,
    as_json: JsonOption = False,
    path: PathOption = None,
    config: ConfigOption = None,
) -> None:
    """List quarantined inputs, newest first: number, time, state, reason, bytes, topic.

    `floor quarantine list --reason unknown_place --topic 'report/+/+/L1/#'`
    """
    try:
        wanted = None if topic is None else TopicFilter.parse(topic)
    except TopicError as error:
        fail(f"--topic: {escape_unprintable(str(error))}", code=NOT_DONE)
    with exit_on_journal_error():
        quarantine = QuarantineReader(journal_path(path, config))
        inputs = list(islice(quarantine.list_inputs(reason=reason, topic=wanted), limit + 1))
    shown, more = inputs[:limit], len(inputs) > limit
    if as_json:
        print_json({"inputs": [_as_json(entry) for entry in shown], "more": more})
        return
    for entry in shown:
        size = f"{entry.size}+" if entry.truncated else str(entry.size)
        when, state = rfc3339(entry.received_at), state_text(entry.state)
        print_text(f"{entry.number:>10}  {when}  {state:<16}  {entry.reason:<20}  {size:>6}  {entry.topic}")
    if more:
        print_text(f"there are older ones: --limit {limit * 2}")
    if not shown:
        print_text("nothing is quarantined" if reason is None and topic is None else "no quarantined input matches")


@app.command()
def show(
    number: Annotated[int, typer.Argument(help="Number of the input, from `list`.", min=1, max=MAX_NUMBER)],
    *,
    as_hex: Annotated[
        bool, typer.Option("--hex", help="Show in hexadecimal; default for payloads that are not text.")
    ] = False,
    whole: Annotated[
        bool, typer.Option("--whole", help=f"Show all of it. Default: the first {SHOWN_BYTES:,} bytes.")
    ] = False,
    as_json: JsonOption = False,
    path: PathOption = None,
    config: ConfigOption = None,
) -> None:
    """Show the payload of a quarantined input, with unprintable characters escaped."""
    with exit_on_journal_error():
        quarantine = QuarantineReader(journal_path(path, config))
        entry, payload = quarantine.find_input(number), quarantine.read_payload(number)
    if as_json:
        print_json({**_as_json(entry), "payload_hex": payload.hex()})
        return
    print_text(f"input {entry.number} of {rfc3339(entry.received_at)} on {entry.topic}")
    size = f"{entry.size} bytes" + (" kept of a longer payload" if entry.truncated else "")
    print_text(f"{entry.reason}, {state_text(entry.state)}, {size}")
    bytes_ = payload if whole else payload[:SHOWN_BYTES]
    for line in _payload_lines(bytes_, as_hex=as_hex):
        print_text(line)
    if len(bytes_) < len(payload):
        print_text(f"{len(payload) - len(bytes_):,} more bytes: --whole")


@app.command()
def replay(
    numbers: NumbersArgument = None,
    *,
    reason: ReasonOption = None,
    everything: AllOption = False,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the outcomes.")] = 15.0,
    path: PathOption = None,
    config: ConfigOption = None,
) -> None:
    """Make the bridge process inputs again, once each: now if it runs, else at its next start.

    For valid reports, once the cause is fixed, such as a place missing in plant.toml. They count as received now: a
    report keeps its own timestamp, and one without gets the time of the replay.
    """
    with exit_on_journal_error():
        quarantine = QuarantineReader(journal_path(path, config))
        chosen = _select_numbers(quarantine, numbers, reason, everything=everything)
        before = quarantine.last_number()
        writer = SqliteQuarantineWriter.open(quarantine.path, stream=quarantine.meta.stream)
        try:
            requested = writer.request_replays(chosen)
        finally:
            writer.close()
        for number in sorted(set(chosen) - set(requested)):
            print_text(f"{number}: {_refusal_reason(quarantine, number)}")
        waiting = _print_outcomes(quarantine, requested, before, time.monotonic() + wait)
    if not chosen:
        print_text(NOTHING_WAITING)
    if waiting:
        print_text(f"{len(waiting)} requested, no outcome yet: a stopped bridge processes them when it starts")
    if len(requested) < len(chosen):
        fail(f"{len(requested)} of {len(chosen)} replays requested", code=NOT_WHOLE)


@app.command()
def drop(
    numbers: NumbersArgument = None,
    *,
    reason: ReasonOption = None,
    everything: AllOption = False,
    path: PathOption = None,
    config: ConfigOption = None,
) -> None:
    """Delete the payloads of quarantined inputs for good. The inputs stay in the counts."""
    with exit_on_journal_error():
        quarantine = QuarantineReader(journal_path(path, config))
        chosen = _select_numbers(quarantine, numbers, reason, everything=everything)
        writer = SqliteQuarantineWriter.open(quarantine.path, stream=quarantine.meta.stream)
        try:
            dropped = writer.drop_payloads(chosen)
        finally:
            writer.close()
        for number in sorted(set(chosen) - set(dropped)):
            print_text(f"{number}: {_refusal_reason(quarantine, number)}")
    if len(dropped) < len(chosen):
        fail(f"{len(dropped)} of {len(chosen)} dropped", code=NOT_WHOLE)
    print_text(f"{len(dropped)} dropped" if chosen else NOTHING_WAITING)


def _select_numbers(
    quarantine: QuarantineReader, numbers: list[int] | None, reason: str | None, *, everything: bool
) -> list[int]:
    if [bool(numbers), reason is not None, everything].count(True) != 1:
        fail("give either numbers, --reason or --all", code=NOT_DONE)
    if numbers:
        return sorted(set(numbers))
    return sorted(entry.number for entry in quarantine.list_inputs(reason=reason, state="waiting"))


def _refusal_reason(quarantine: QuarantineReader, number: int) -> str:
    try:
        entry = quarantine.find_input(number)
    except NotQuarantined:
        return "not in quarantine"
    return "its payload was not kept completely" if entry.state == "waiting" else state_text(entry.state)


def _print_outcomes(quarantine: QuarantineReader, numbers: Sequence[int], after: int, deadline: float) -> list[int]:
    """Print the outcome of each replay as soon as it is known; return those still unknown at the deadline."""
    waiting = list(numbers)
    while True:
        for number in list(waiting):
            outcome = quarantine.find_replay(number, after=after)
            if outcome is not None:
                waiting.remove(number)
                became = outcome.effect + (f" ({outcome.reason})" if outcome.reason else "")
                print_text(f"{number}: {became}, {outcome.event_count} events, as input {outcome.number}")
        if not waiting or time.monotonic() >= deadline:
            return waiting
        time.sleep(POLL_SECONDS)


def _as_json(entry: QuarantinedInput) -> dict[str, Any]:
    return {
        "number": entry.number,
        "received_at": rfc3339(entry.received_at),
        "topic": entry.topic,
        "reason": entry.reason,
        "bytes": entry.size,
        "cut": entry.truncated,
        "state": entry.state,
    }


def _payload_lines(payload: bytes, *, as_hex: bool) -> list[str]:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        as_hex = True
        text = ""
    if not as_hex:
        return [escape_unprintable(line) for line in text.split("\n")]
    rows = [payload[at : at + ROW_BYTES] for at in range(0, len(payload), ROW_BYTES)]
    return [
        f"{index * ROW_BYTES:08x}  {row.hex(' '):<47}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in row)}"
        for index, row in enumerate(rows)
    ]
