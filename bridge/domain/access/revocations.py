"""Revocations of access before a token expires: the list that `floor revoke` writes, and what it revokes.

Texts are compared code point by code point: a subject may contain anything that separates or comments in other formats.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, Self, assert_never

import msgspec
from msgspec import Meta, Struct

from bridge.domain.access.claims import MAX_SUBJECT, Claims
from bridge.domain.strict_json import NotStrictJson, parse_json
from bridge.domain.utc_time import Millis, Timestamp, parse_rfc3339

MAX_ENTRIES: Final = 10_000  # stops a list that only grows: an entry can go once its tokens have expired
MAX_LIST_BYTES: Final = 8_388_608  # of so many entries with the longest texts, as they are written by `floor revoke`
MAX_NOTE: Final = 200
NEW_FORMAT: Final = "the format of the list is new: docs/authorization.md, «Revocation»"

Id = Annotated[str, Meta(min_length=1, max_length=MAX_SUBJECT)]


class RevocationsError(ValueError):
    """An invalid list; the text names source, entry and reason."""


class _Entry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"):
    """What every entry says about itself. `until`: when its last token expires; it has no effect before or after."""

    revoked_at: Timestamp
    until: Timestamp | None = None
    note: Annotated[str, Meta(max_length=MAX_NOTE)] | None = None

    def __post_init__(self) -> None:
        for name in ("issued_before", "revoked_at", "until"):
            time = getattr(self, name, None)
            if time is not None:
                parse_rfc3339(time)


class UserEntry(_Entry, frozen=True, tag="user"):
    """All tokens of a user, or those issued before a time; a token that does not tell its time is from before."""

    subject: Id
    issued_before: Timestamp | None = None


class TokenEntry(_Entry, frozen=True, tag="token"):
    """One token, by its `jti`."""

    token_id: Id


class AllEntry(_Entry, frozen=True, tag="all"):
    """All tokens of all users that were issued before a time."""

    issued_before: Timestamp


Revocation = UserEntry | TokenEntry | AllEntry


_ABOUT: Final = frozenset(_Entry.__struct_fields__)


def target(entry: Revocation) -> tuple[object, ...]:
    """Return what an entry revokes: equal for entries that differ in date, end or note only."""
    return type(entry), *(getattr(entry, name) for name in entry.__struct_fields__ if name not in _ABOUT)


class RevocationList(Struct, frozen=True, forbid_unknown_fields=True):
    """The file of `token.revoked_file`. One invalid entry makes it invalid: to skip one would leave tokens valid."""

    version: Literal[1]
    revocations: Annotated[tuple[Revocation, ...], Meta(max_length=MAX_ENTRIES)]


def parse_list(content: bytes, *, source: str) -> Sequence[Revocation]:
    """Return the entries of a list; raise `RevocationsError`."""
    try:
        tree = parse_json(content, max_bytes=MAX_LIST_BYTES, allow_control_characters=True)  # a `jti` may contain them
    except NotStrictJson as error:
        hint = f" ({NEW_FORMAT})" if error.reason in ("empty", "not_json") else ""
        raise RevocationsError(f"{source}: {error.text}{hint}") from None
    try:
        return msgspec.convert(tree, RevocationList).revocations
    except msgspec.ValidationError as error:
        fault, _, place = str(error).partition(" - at `$.")
        raise RevocationsError(f"{source}: {place.removesuffix('`') or 'the list'}: {fault}") from None


def encode_list(entries: Iterable[Revocation]) -> bytes:
    """Return a list as JSON for people, with a line for each field; raise `RevocationsError`."""
    try:
        content = msgspec.json.encode(RevocationList(1, tuple(entries)))
    except UnicodeEncodeError:  # a lone surrogate: of an argument in another encoding
        raise RevocationsError("an id or a note is not text in UTF-8") from None
    return msgspec.json.format(content, indent=2) + b"\n"


@dataclass(frozen=True, slots=True)
class Revocations:
    """What a list revokes."""

    users: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset()
    users_before: Mapping[str, Millis] = field(default_factory=dict)  # tokens of these, issued before
    all_before: Millis = 0

    @classmethod
    def parse(cls, content: bytes, *, source: str) -> Self:
        """Return what a list revokes; raise `RevocationsError`."""
        return cls.of(parse_list(content, source=source))

    @classmethod
    def of(cls, entries: Iterable[Revocation]) -> Self:
        users, tokens, users_before, all_before = set[str](), set[str](), dict[str, Millis](), 0
        for entry in entries:
            match entry:
                case UserEntry(subject=subject, issued_before=before):
                    if before is None:
                        users.add(subject)
                    else:
                        users_before[subject] = max(parse_rfc3339(before), users_before.get(subject, 0))
                case TokenEntry(token_id=token_id):
                    tokens.add(token_id)
                case AllEntry(issued_before=before):
                    all_before = max(parse_rfc3339(before), all_before)
                case _:
                    assert_never(entry)
        return cls(frozenset(users), frozenset(tokens), users_before, all_before)

    def __len__(self) -> int:
        return len(self.users) + len(self.tokens) + len(self.users_before) + (self.all_before > 0)

    def revokes(self, claims: Claims) -> bool:
        """Return whether the token with these claims is revoked."""
        before = max(self.all_before, self.users_before.get(claims.subject, 0))
        is_early = before > 0 and (claims.issued_at is None or claims.issued_at < before)
        return is_early or claims.subject in self.users or claims.token_id in self.tokens
