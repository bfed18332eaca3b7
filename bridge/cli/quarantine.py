"""The `floor quarantine` commands: list, show, replay and drop quarantined inputs; safe while the bridge runs."""

import time
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any

import typer

from bridge.cli.journal_output import (
    NOT_DONE,
    NOT_WHOLE,
    JsonOption,
    PathOption,
    escape_unprintable,
    exit_on_journal_error,
    journal_path,
    print_json,
    print_text,
)
from bridge.cli.settings_options import ConfigOption, fail
from bridge.domain.events import rfc3339
from bridge.domain.topics import TopicError, TopicFilter
from bridge.journal.tools.quarantine_reader import NotQuarantined, QuarantinedInput, QuarantineReader
from bridge.journal.tools.quarantine_writer import SqliteQuarantineWriter

SHOWN_BYTES = 2_048
POLL_SECONDS = 0.2
ROW_BYTES = 16  # of a hex dump

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Look at what was quarantined; replay it once its cause is mended, or drop it. Docs: docs/journal.md.

    Exit codes: 0 done, 1 not all of it, 2 it could not be done.""",
)

NumbersArgument = Annotated[list[int] | None, typer.Argument(help="Numbers, as `list` shows them.", show_default=False)]
ReasonOption = Annotated[
    str | None, typer.Option("--reason", help="All that wait with this reason, or its kind: `bad_format`.")
]
AllOption = Annotated[bool, typer.Option("--all", help="All that wait.")]


@app.command(name="list")
def list_(
    *,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Only of this reason, or kind: `bad_format`, `bad_format:state`.")
    ] = None,
    topic: Annotated[str | None, typer.Option("--topic", help="Only on such topics: an MQTT filter.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 50,
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
        found = list(islice(quarantine.list_inputs(reason=reason, topic=wanted), limit + 1))
    shown, more = found[:limit], len(found) > limit
    if as_json:
        print_json({"inputs": [_as_json(each) for each in shown], "more": more})
        return
    for each in shown:
        size = f"{each.size}+" if each.truncated else str(each.size)
        when = rfc3339(each.received_at)
        print_text(f"{each.number:>10}  {when}  {each.state:<11}  {each.reason:<20}  {size:>6}  {each.topic}")
    if more:
        print_text(f"and older ones: --limit {limit * 2}")
    if not shown:
        print_text(
            "nothing is quarantined" if reason is None and topic is None else "nothing of the kind is quarantined"
        )


@app.command()
def show(
    number: Annotated[int, typer.Argument(help="Its number.")],
    *,
    as_hex: Annotated[bool, typer.Option("--hex", help="In hexadecimal, as it is anyway when it is no text.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help=f"All of it, not the first {SHOWN_BYTES:,} bytes.")] = False,
    as_json: JsonOption = False,
    path: PathOption = None,
    config: ConfigOption = None,
) -> None:
    """Show the payload of a quarantined input, with unprintable characters escaped."""
    with exit_on_journal_error():
        quarantine = QuarantineReader(journal_path(path, config))
        aside, payload = quarantine.find_input(number), quarantine.read_payload(number)
    if as_json:
        print_json({**_as_json(aside), "payload_hex": payload.hex()})
        return
    print_text(f"input {aside.number} of {rfc3339(aside.received_at)} on {aside.topic}")
    print_text(f"{aside.reason}, {aside.state}, {aside.size} bytes" + (" held of more" if aside.truncated else ""))
    bytes_ = payload if whole else payload[:SHOWN_BYTES]
    for line in _payload_lines(bytes_, as_hex=as_hex):
        print_text(line)
    if len(bytes_) < len(payload):
        print_text(f"and {len(payload) - len(bytes_):,} bytes more: --whole")


@app.command()
def replay(
    numbers: NumbersArgument = None,
    *,
    reason: ReasonOption = None,
    everything: AllOption = False,
    wait: Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for what becomes of it.")] = 15.0,
    path: PathOption = None,
    config: ConfigOption = None,
) -> None:
    """Make the bridge process inputs again, each once: now if it runs, else at its next start.

    Use it for correct reports once the cause of their refusal is fixed, such as a place missing in plant.toml. They
    count as received now: a report keeps its own timestamp, and one without gets the time of the replay.
    """
    with exit_on_journal_error():
        quarantine = QuarantineReader(journal_path(path, config))
        chosen = _select_numbers(quarantine, numbers, reason, everything=everything)
        before = quarantine.last_number()
        writer = SqliteQuarantineWriter.open(quarantine.path, stream=quarantine.meta.stream)
        try:
            asked = writer.request_replays(chosen)
        finally:
            writer.close()
        for number in sorted(set(chosen) - set(asked)):
            print_text(f"{number}: {_refusal_reason(quarantine, number)}")
        waiting = _print_outcomes(quarantine, asked, before, time.monotonic() + wait)
    if waiting:
        print_text(f"{len(waiting)} asked: a running bridge takes them in soon, a stopped one when it starts")
    if len(asked) < len(chosen):
        fail(f"{len(asked)} of {len(chosen)} asked", code=NOT_WHOLE)


@app.command()
def drop(
    numbers: NumbersArgument = None,
    *,
    reason: ReasonOption = None,
    everything: AllOption = False,
    path: PathOption = None,
    config: ConfigOption = None,
) -> None:
    """Drop quarantined inputs for good: their payloads are deleted, and they stay counted as received."""
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
    print_text(f"{len(dropped)} dropped")
    if len(dropped) < len(chosen):
        fail(f"{len(dropped)} of {len(chosen)} dropped", code=NOT_WHOLE)


def _select_numbers(
    quarantine: QuarantineReader, numbers: list[int] | None, reason: str | None, *, everything: bool
) -> list[int]:
    if [bool(numbers), reason is not None, everything].count(True) != 1:
        fail("name numbers, or --reason, or --all: one of the three", code=NOT_DONE)
    if numbers:
        return sorted(set(numbers))
    return sorted(each.number for each in quarantine.list_inputs(reason=reason, state="waiting"))


def _refusal_reason(quarantine: QuarantineReader, number: int) -> str:
    try:
        aside = quarantine.find_input(number)
    except NotQuarantined:
        return "no such input is quarantined"
    return "its bytes are not held whole" if aside.state == "waiting" else aside.state


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


def _as_json(aside: QuarantinedInput) -> dict[str, Any]:
    return {
        "number": aside.number,
        "received_at": rfc3339(aside.received_at),
        "topic": aside.topic,
        "reason": aside.reason,
        "bytes": aside.size,
        "cut": aside.truncated,
        "state": aside.state,
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
