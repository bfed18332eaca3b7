"""The `floor revoke` commands: write the list of revocations, which a running bridge follows within a second."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from bridge.adapters import revocation_file
from bridge.cli.journal_output import JsonOption, escape_unprintable, print_json, print_text
from bridge.cli.settings_options import ConfigOption, fail, read_settings
from bridge.cli.user_options import USAGE_ERROR
from bridge.domain.access.claims import TokenError, is_subject
from bridge.domain.access.revocations import AllEntry, Revocation, RevocationsError, TokenEntry, UserEntry, target
from bridge.domain.utc_time import Millis, Timestamp, parse_rfc3339, rfc3339
from bridge.ports.clock import wall_ms

NOTHING_UNDONE = 3  # exit code

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Revoke tokens before they expire: those of a user, a single one, or all (docs/authorization.md).

    Exit codes: 0 success, 1 failure, 2 invalid arguments, 3 nothing to undo.""",
)

BeforeOption = Annotated[
    str | None, typer.Option("--issued-before", help="Only tokens issued before: `now`, or an RFC 3339 time.")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", help="When the last of these tokens expires; the entry is removed then.")
]
NoteOption = Annotated[str | None, typer.Option("--note", help="Why, for people; at most 200 characters.")]
UndoOption = Annotated[bool, typer.Option("--undo", help="Remove the entry instead.")]


@app.command()
def init(config: ConfigOption = None) -> None:
    """Write an empty list where `token.revoked_file` says."""
    path = _list_path(config)
    with _exit_on_error(path):
        try:
            revocation_file.create(path)
        except FileExistsError:
            fail(f"{path} exists already")
    print_text(f"{path}: an empty list")


@app.command()
def user(
    subject: Annotated[str, typer.Argument(help="User id: the `sub` of the tokens.", show_default=False)],
    *,
    issued_before: BeforeOption = None,
    until: UntilOption = None,
    note: NoteOption = None,
    undo: UndoOption = False,
    config: ConfigOption = None,
) -> None:
    """Revoke all tokens of a user, or those issued before a time.

    `floor revoke user eva`, or `floor revoke user --issued-before now -- -name-with-a-dash`
    """
    if not is_subject(subject):
        fail("no token may name such a user: 1 to 255 printable characters", code=USAGE_ERROR)
    before = _time("--issued-before", issued_before)
    entry = UserEntry(
        subject=subject, issued_before=before, revoked_at=_now(), until=_time("--until", until), note=note
    )
    _apply(entry, f"user {subject}", undo=undo, config=config)


@app.command()
def token(
    token_id: Annotated[str | None, typer.Argument(help="The token's `jti`.", show_default=False)] = None,
    *,
    source: Annotated[
        str | None, typer.Option("--from", help="File with the token itself, `-` for stdin: `jti` and `exp` of it.")
    ] = None,
    until: UntilOption = None,
    note: NoteOption = None,
    undo: UndoOption = False,
    config: ConfigOption = None,
) -> None:
    """Revoke a single token.

    `floor revoke token 9f3bXk2`, or `floor revoke token --from stolen.jwt`
    """
    if (token_id is None) == (source is None):
        fail("give either the token's id, or the token itself with --from", code=USAGE_ERROR)
    end = _time("--until", until)
    if source is not None:
        token_id, expires = _read_token(source)
        end = end or (None if expires is None else rfc3339(expires))
    if not token_id:
        fail("an empty id", code=USAGE_ERROR)
    entry = TokenEntry(token_id=token_id, revoked_at=_now(), until=end, note=note)
    _apply(entry, f"token {token_id}", undo=undo, config=config)


@app.command(name="all")
def all_(
    *,
    issued_before: Annotated[
        str, typer.Option("--issued-before", help="`now`, or an RFC 3339 time.", show_default=False)
    ],
    until: UntilOption = None,
    note: NoteOption = None,
    undo: UndoOption = False,
    config: ConfigOption = None,
) -> None:
    """Revoke the tokens of all users that were issued before a time.

    `floor revoke all --issued-before now`
    """
    before = _time("--issued-before", issued_before)
    assert before is not None, "it is required"
    entry = AllEntry(issued_before=before, revoked_at=_now(), until=_time("--until", until), note=note)
    _apply(entry, f"all tokens issued before {before}", undo=undo, config=config)


@app.command(name="list")
def list_(*, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List what is revoked."""
    path = _list_path(config)
    with _exit_on_error(path):
        entries = revocation_file.read(path)
    if as_json:
        print_json(msgspec.to_builtins(entries))
        return
    for entry in entries:
        fields = msgspec.to_builtins(entry)
        who = [json.dumps(fields[name], ensure_ascii=False) for name in ("subject", "token_id") if name in fields]
        more = [f"{name} {fields[name]}" for name in ("issued_before", "until", "note") if name in fields]
        print_text("  ".join([entry.revoked_at, f"{fields['kind']:<5}", *who, *more]))
    if not entries:
        print_text("nothing is revoked")


def _apply(entry: Revocation, text: str, *, undo: bool, config: Path | None) -> None:
    """Put the entry in place of those with the same target, or only remove these; drop what has expired."""
    path, now = _list_path(config), wall_ms()
    with _exit_on_error(path), revocation_file.edit(path) as entries:
        others = [other for other in entries if target(other) != target(entry)]
        if undo and len(others) == len(entries):
            fail(f"{text}: there is no such entry", code=NOTHING_UNDONE)
        kept = [other for other in others if other.until is None or parse_rfc3339(other.until) > now]
        entries[:] = kept if undo else [*kept, entry]
    number = "1 entry" if len(entries) == 1 else f"{len(entries)} entries"
    print_text(f"{text}: {'no longer ' if undo else ''}revoked; {path} has {number}")


def _list_path(config: Path | None) -> Path:
    path = read_settings(config).token.revoked_file
    if path is None:
        fail("nothing can be revoked: set token.revoked_file, then `floor revoke init`, and restart the bridge once")
    return path


@contextmanager
def _exit_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        if not path.parent.is_dir():
            fail(f"{path}: the folder {path.parent} does not exist")
        fail(f"{path}: no such file: `floor revoke init` writes an empty list")
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except RevocationsError as error:
        fail(escape_unprintable(str(error)))


def _read_token(source: str) -> tuple[str, Millis | None]:
    """Return id and expiry of the token in a file, `-` for stdin."""
    from bridge.adapters.tokens import read_unverified_id  # noqa: PLC0415

    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
        token_id, expires = read_unverified_id(text.strip())
    except (OSError, UnicodeDecodeError, TokenError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a token"
        fail(f"{source}: {reason}", code=USAGE_ERROR)
    if token_id is None:
        fail("the token has no `jti`: revoke its user instead, with --issued-before now", code=USAGE_ERROR)
    return token_id, expires


def _now() -> Timestamp:
    return rfc3339(wall_ms())


def _time(option: str, text: str | None) -> Timestamp | None:
    if text is None or text == "now":
        return text and _now()
    try:
        at = datetime.fromisoformat(text)
        return rfc3339(round((at if at.tzinfo else at.astimezone()).timestamp() * 1_000))
    except (ValueError, OverflowError):  # OverflowError: a local time at an end of the calendar
        fail(f"{option}: {escape_unprintable(text)} is no time such as 2026-01-05T06:00:00Z", code=USAGE_ERROR)
