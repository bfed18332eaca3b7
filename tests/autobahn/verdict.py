"""What the Autobahn test suite may say about the server: strict, but for known cases, each with its reason."""

from collections.abc import Mapping
from typing import Any, Final

CASES: Final = 247  # all but load and compression
INFORMATIONAL: Final = "INFORMATIONAL"
NON_STRICT: Final = "NON-STRICT"
STRICT: Final = "OK"

_LATE_UTF8: Final = (NON_STRICT, "text is judged at the end of its message, not of each fragment or read")
_ANY_ANSWER: Final = (INFORMATIONAL, "the standard leaves the answer open")
EXPECTED: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("6.4.1", "6.4.2", "6.4.3", "6.4.4"), _LATE_UTF8),
    **dict.fromkeys(("7.1.6", "7.13.1", "7.13.2"), _ANY_ANSWER),
}
"""Case -> its verdict, and why it is not strict."""


def faults(verdicts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with the verdicts of a run, by case."""
    wrong = [] if len(verdicts) == CASES else [f"{len(verdicts)} cases were run, not {CASES}"]
    for case in sorted(verdicts, key=_order):
        found, closing = verdicts[case]["behavior"], verdicts[case]["behaviorClose"]
        expected, _ = EXPECTED.get(case, (STRICT, ""))
        if found != expected:
            wrong.append(f"{case}: {found} instead of {expected}")
        if closing not in (STRICT, INFORMATIONAL):
            wrong.append(f"{case}: its closing handshake is {closing}")
    return wrong


def summary(verdicts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table of the verdicts by section of the suite."""
    sections: dict[str, dict[str, int]] = {}
    for case, verdict in verdicts.items():
        counts = sections.setdefault(case.partition(".")[0], {})
        counts[verdict["behavior"]] = counts.get(verdict["behavior"], 0) + 1
    lines = ["| section | strict | not strict | informational | else |", "| --- | --- | --- | --- | --- |"]
    for section in sorted(sections, key=int):
        counts = sections[section]
        known = [counts.get(verdict, 0) for verdict in (STRICT, NON_STRICT, INFORMATIONAL)]
        lines.append(f"| {section} | {' | '.join(map(str, known))} | {sum(counts.values()) - sum(known)} |")
    return "\n".join(lines)


def _order(case: str) -> list[int]:
    return [int(number) for number in case.split(".")]
