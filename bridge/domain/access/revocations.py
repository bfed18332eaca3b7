"""Revocations of access before a token expires: a list that an operator maintains.

One entry per line: `user ID` revokes every token of a user, `token JTI` a single one; `#` begins a comment.
"""

from dataclasses import dataclass
from typing import Final, Self

from bridge.domain.access.claims import Claims

MAX_ENTRIES: Final = 100_000  # stops a list that only grows: an entry can go once its tokens have expired


class RevocationsError(ValueError):
    """An invalid list; the text names source and line."""


@dataclass(frozen=True, slots=True)
class Revocations:
    """Users and tokens that are no longer admitted."""

    users: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str, *, source: str) -> Self:
        """Parse a list; raise `RevocationsError` for an invalid line: skipping a typo would leave a token valid."""
        ids: dict[str, set[str]] = {"user": set(), "token": set()}
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split("#", 1)[0].split()
            if not words:
                continue
            if len(words) != 2 or words[0] not in ids:
                raise RevocationsError(f"{source}:{number}: expected `user ID` or `token JTI`")
            ids[words[0]].add(words[1])
        if sum(map(len, ids.values())) > MAX_ENTRIES:
            raise RevocationsError(f"{source}: more than {MAX_ENTRIES} entries")
        return cls(frozenset(ids["user"]), frozenset(ids["token"]))

    def is_revoked(self, *, user_id: str, token_id: str | None) -> bool:
        """Return whether the list names this user or this token."""
        return user_id in self.users or token_id in self.tokens

    def is_token_revoked(self, claims: Claims) -> bool:
        return self.is_revoked(user_id=claims.subject, token_id=claims.token_id)
