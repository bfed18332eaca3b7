"""Read-only access to quarantined inputs; safe while the bridge runs."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bridge.domain.events import Millis
from bridge.domain.topics import TopicError, TopicFilter, TopicName
from bridge.journal.sqlite.quarantine_decisions import DECISION_COLUMNS, check_decisions, read_decision
from bridge.journal.sqlite.rows import INPUT_COLUMNS, QUARANTINE_BYTES, read_input
from bridge.journal.tools.read_only import open_read_only, read_summary, translate_read_errors
from bridge.journal.tools.row_reader import Row
from bridge.ports.journal import JournalError

QuarantineState = Literal["waiting", "asked", "replayed", "dropped", "crowded out"]

QUARANTINED_INPUTS: Final = f"""
SELECT inputs.number, received_at, topic, reason, coalesce(length(quarantine.payload), length(inputs.payload)),
    coalesce(decision, CASE WHEN reached_core OR quarantine.number IS NOT NULL THEN 'waiting' ELSE 'crowded out' END)
        AS state,
    NOT reached_core AND length(quarantine.payload) >= ?, {DECISION_COLUMNS}
FROM inputs LEFT JOIN quarantine USING (number) LEFT JOIN quarantine_decisions USING (number)
WHERE effect = 'quarantined'
"""  # noqa: S608 - our own constant


class NotQuarantined(JournalError):
    def __init__(self, path: Path, number: int) -> None:
        super().__init__(f"{path}: no quarantined input {number} is held")
        self.number = number


@dataclass(frozen=True, slots=True)
class QuarantinedInput:
    """A quarantined input. `size`: bytes held; `truncated`: only the first `QUARANTINE_BYTES` are held."""

    number: int
    received_at: Millis
    topic: str
    reason: str
    size: int
    state: QuarantineState
    truncated: bool


@dataclass(frozen=True, slots=True)
class QuarantineReplay:
    """The input that a replay of a quarantined one has become, and its effect."""

    number: int
    effect: str
    reason: str | None
    event_count: int


class QuarantineReader:
    """Reads one journal's quarantined inputs; every answer is of one moment."""

    def __init__(self, path: Path) -> None:
        """Read the meta and check the decisions; raise `JournalError` if there is no readable journal."""
        self.path = path
        with closing(open_read_only(path)) as connection:
            self.meta = read_summary(connection, path).meta
            with translate_read_errors(path):
                check_decisions(connection, path)

    def list_inputs(
        self, *, reason: str | None = None, topic: TopicFilter | None = None, state: QuarantineState | None = None
    ) -> Iterator[QuarantinedInput]:
        """Yield quarantined inputs, newest first, filtered by reason, topic and state.

        A reason without its field, such as `bad_format`, matches every field.
        """
        of_reason = "(?2 IS NULL OR reason = ?2 OR substr(reason, 1, length(?2) + 1) = ?2 || ':')"
        for row in self._rows(f"{QUARANTINED_INPUTS} AND {of_reason} ORDER BY inputs.number DESC", reason):
            aside = _aside(row, self.path)
            if state in (None, aside.state) and (topic is None or _matches(topic, aside.topic)):
                yield aside

    def find_input(self, number: int) -> QuarantinedInput:
        """Return one quarantined input; raise `NotQuarantined` if it is not held."""
        for row in self._rows(f"{QUARANTINED_INPUTS} AND inputs.number = ?2", number):
            return _aside(row, self.path)
        raise NotQuarantined(self.path, number)

    def read_payload(self, number: int) -> bytes:
        """Return the bytes held of an input's payload; raise `JournalDamaged` if they do not match their checksum."""
        query = f"SELECT {INPUT_COLUMNS} FROM inputs LEFT JOIN quarantine USING (number) WHERE ?1 AND number = ?2"  # noqa: S608 - our own constant
        for row in self._rows(query, number):
            return read_input(row, self.path).payload
        raise NotQuarantined(self.path, number)

    def last_number(self) -> int:
        """Return the number of the newest input."""
        return int(next(self._rows("SELECT last_number FROM meta WHERE ?1 AND ?2 IS NULL", None))[0])

    def find_replay(self, number: int, *, after: int) -> QuarantineReplay | None:
        """Return the input after `after` that a replay of `number` has become; None while there is none."""
        if self.find_input(number).state != "replayed":
            return None
        query = (
            "SELECT again.number, again.effect, again.reason, again.event_count FROM inputs AS again "
            "LEFT JOIN quarantine AS kept ON kept.number = again.number JOIN inputs AS first ON first.number = ?2 "
            "LEFT JOIN quarantine AS aside ON aside.number = first.number "
            "WHERE ?1 AND again.number > max(?3, ?2) AND again.topic = first.topic "
            "AND coalesce(kept.payload, again.payload) = coalesce(aside.payload, first.payload) "
            "ORDER BY again.number LIMIT 1"
        )
        for row in self._rows(query, number, after):
            return QuarantineReplay(*row)
        return None

    def _rows(self, query: str, *values: object) -> Iterator[Row]:
        with translate_read_errors(self.path), closing(open_read_only(self.path)) as connection:
            yield from connection.execute(query, (QUARANTINE_BYTES, *values))


def _aside(row: Row, path: Path) -> QuarantinedInput:
    number, received_at, topic, reason, size, state, cut = row[:7]
    read_decision(row[7:], path)
    return QuarantinedInput(number, received_at, topic, reason, size, state, bool(cut))


def _matches(wanted: TopicFilter, topic: str) -> bool:
    try:
        return wanted.matches(TopicName.parse(topic))
    except TopicError:  # an invalid topic name: no filter matches it
        return False
