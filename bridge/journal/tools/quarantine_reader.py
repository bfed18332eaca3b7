"""Read-only access to quarantined inputs; safe while the bridge runs."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bridge.domain.topics import TopicError, TopicFilter, TopicName
from bridge.domain.utc_time import Millis
from bridge.journal.sqlite.batch_rows import QUARANTINE_BYTES
from bridge.journal.sqlite.quarantine_decisions import DECISION_COLUMNS, check_decisions, read_decision
from bridge.journal.sqlite.rows import INPUT_COLUMNS, read_input
from bridge.journal.tools.read_only import open_read_only, read_summary, translate_read_errors
from bridge.journal.tools.row_reader import Row
from bridge.ports.journal import JournalError

QuarantineState = Literal["waiting", "asked", "replayed", "dropped", "crowded out"]

QUARANTINED_INPUTS: Final = f"""
SELECT inputs.number, received_at, topic, reason, coalesce(length(quarantine.payload), length(inputs.payload)),
    coalesce(decision, CASE WHEN reached_core OR quarantine.number IS NOT NULL THEN 'waiting' ELSE 'crowded out' END)
        AS state,
    NOT reached_core AND length(quarantine.payload) >= {QUARANTINE_BYTES}, {DECISION_COLUMNS}
FROM inputs LEFT JOIN quarantine USING (number) LEFT JOIN quarantine_decisions USING (number)
WHERE effect = 'quarantined'
"""  # noqa: S608 - our own constants


class NotQuarantined(JournalError):
    """No quarantined input has this number, or retention removed it."""

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
        query, values = QUARANTINED_INPUTS, {}
        if reason is not None:
            query += " AND (reason = :reason OR substr(reason, 1, length(:reason) + 1) = :reason || ':')"
            values["reason"] = reason
        for row in self._rows(f"{query} ORDER BY inputs.number DESC", values):
            listed = _quarantined_input(row, self.path)
            if state in (None, listed.state) and (topic is None or _matches(topic, listed.topic)):
                yield listed

    def find_input(self, number: int) -> QuarantinedInput:
        """Return one quarantined input; raise `NotQuarantined` if it is not held."""
        row = self._row(f"{QUARANTINED_INPUTS} AND inputs.number = :number", {"number": number})
        if row is None:
            raise NotQuarantined(self.path, number)
        return _quarantined_input(row, self.path)

    def read_payload(self, number: int) -> bytes:
        """Return the bytes held of an input's payload; raise `JournalDamaged` if they do not match their checksum."""
        query = f"SELECT {INPUT_COLUMNS} FROM inputs LEFT JOIN quarantine USING (number) WHERE number = :number"  # noqa: S608 - our own constant
        row = self._row(query, {"number": number})
        if row is None:
            raise NotQuarantined(self.path, number)
        return read_input(row, self.path).payload

    def last_number(self) -> int:
        """Return the number of the newest input."""
        row = self._row("SELECT last_number FROM meta", {})
        assert row is not None, "the meta row was read when this journal was opened"
        return int(row[0])

    def find_replay(self, number: int, *, after: int) -> QuarantineReplay | None:
        """Return the input after `after` that a replay of `number` has become; None while there is none."""
        if self.find_input(number).state != "replayed":
            return None
        query = (
            "SELECT replay.number, replay.effect, replay.reason, replay.event_count FROM inputs AS replay "
            "LEFT JOIN quarantine AS replay_payload ON replay_payload.number = replay.number "
            "JOIN inputs AS original ON original.number = :number "
            "LEFT JOIN quarantine AS original_payload ON original_payload.number = original.number "
            "WHERE replay.number > max(:after, :number) AND replay.topic = original.topic "
            "AND coalesce(replay_payload.payload, replay.payload) "
            "= coalesce(original_payload.payload, original.payload) "
            "ORDER BY replay.number LIMIT 1"
        )
        row = self._row(query, {"number": number, "after": after})
        return None if row is None else QuarantineReplay(*row)

    def _row(self, query: str, values: Mapping[str, object]) -> Row | None:
        """Return the first row, None if there is none."""
        with closing(self._rows(query, values)) as rows:
            return next(rows, None)

    def _rows(self, query: str, values: Mapping[str, object]) -> Generator[Row, None, None]:
        with translate_read_errors(self.path), closing(open_read_only(self.path)) as connection:
            yield from connection.execute(query, values)


def _quarantined_input(row: Row, path: Path) -> QuarantinedInput:
    number, received_at, topic, reason, size, state, truncated = row[:7]
    read_decision(row[7:], path)
    return QuarantinedInput(number, received_at, topic, reason, size, state, bool(truncated))


def _matches(topic_filter: TopicFilter, topic: str) -> bool:
    try:
        return topic_filter.matches(TopicName.parse(topic))
    except TopicError:  # an invalid topic name: no filter matches it
        return False
