"""A fact: something discrete that happened on the floor, as the recount expects it and as an event reports it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """Two facts are the same where only `at` differs, and only a little."""

    kind: str
    line: str
    subject: str
    at: int
    value: tuple[object, ...] = ()
    slack: int = 0  # milliseconds by which `at` may differ more than usual

    @property
    def key(self) -> tuple[object, ...]:
        return (self.kind, self.line, self.subject, self.value)
