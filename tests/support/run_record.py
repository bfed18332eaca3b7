"""The record of a run: titles, figures and ledgers, printed as they come and kept in docs/proof.md by `make`.

Any test may call `note`. Where FAULT_RECORD names the run (`faults` or `proof`), its section of the document is
written at the end; the other run's stays as it is. Where several processes share the tests, the first collects the
notes of the others.
"""

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.brokers import find_mosquitto

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "proof.md"
VARIABLE: Final = "FAULT_RECORD"
NOTES: Final = "notes"
NAMES: Final = {name: f"`make {name}`" for name in ("faults", "proof", "attack")}
HEAD: Final = """\
# What the fault runs found

Written by the runs themselves: the last `make faults`, `make proof` and `make attack`, each with its date and machine.
The tests are in `tests/faults`, the attacks in `tests/attack`. A ledger compares what devices sent, what the broker
acknowledged to them, what the journal holds, and what MQTT consumers and dashboards had.

| words | meaning |
| --- | --- |
| sent | reports that were published, and foreign messages; one that was sent again is counted once |
| acknowledged by the broker | those of QoS 1 that the broker acknowledged to the device |
| journalled, of them repeats | messages in the journal; those suppressed as duplicates |
| published, again | events that an MQTT consumer received; further copies, as after a reconnect |
| lossless up to the dashboard's position | events that a dashboard had to receive, each once |
| resumed | resumes of that dashboard |
| retained | events and lit lamps that the broker retains at the end |
| wrong | what is missing, doubled or invented; `explained`: mismatches that devices without identity cause |
| made, counted | pieces that machines made; those that the bridge counted |
| forgotten by registers | of those made, how many no report shows, because a register was reset |
| difference declared | pieces counted too many or too few, which the bridge marked as in doubt |

A recount (`tests/recount`) computes from the simulator's truth what the bridge must have produced, with no code of the
bridge, and compares: discrete facts (statuses, downtimes with their culprits, calls, ladders, orders, changeovers), the
time base of OEE, and pieces.

Each mutation of the rules (`tests/mutations/rules.toml`) is applied alone by `make proof`, and must turn a test red.

Each random case of access (`tests/domain/access/test_random_cases.py`) is a subscription, and two tokens of one user.
What is granted, narrowed and refused, and what a refresh revokes and widens, is compared with sets of topics.
"""

_notes: list[tuple[str, str]] = []


def note(title: str, text: str) -> None:
    """Print a line of figures, and keep it for the record of this run."""
    print(f"\n{title}: {text}")  # noqa: T201 - what the run is for
    _notes.append((title, text))


def collect(worker: Mapping[str, Any]) -> None:
    """Take the notes of a process that has run its share of the tests; one that crashed has none."""
    _notes.extend(tuple(note) for note in worker.get(NOTES, ()))


def keep(began: float, session: pytest.Session) -> None:
    """Write this run's section of the document, where the run is named and has notes."""
    if (worker := getattr(session.config, "workeroutput", None)) is not None:  # the word of pytest-xdist
        worker[NOTES] = _notes
        return
    run = os.environ.get(VARIABLE)
    if run is None or not _notes:
        return
    stats = session.config.pluginmanager.getplugin("terminalreporter").stats
    failed, passed = (sum(len(stats.get(word, ())) for word in words) for words in (("failed", "error"), ("passed",)))
    write_section(run, _section(began, failed=failed, tests=failed + passed))


def write_section(run: str, section: str) -> None:
    """Replace what the document says of this run."""
    sections = _sections()
    sections[NAMES[run]] = section
    text = HEAD + "".join(f"\n## {name}\n\n{sections[name]}" for name in NAMES.values() if name in sections)
    DOCUMENT.write_text(text)


def _sections() -> dict[str, str]:
    if not DOCUMENT.exists():
        return {}
    _, *parts = DOCUMENT.read_text().split("\n## ")
    return {name: body for name, _, body in (part.partition("\n\n") for part in parts)}


def _section(began: float, *, failed: int, tests: int) -> str:
    minutes = (time.time() - began) / 60
    verdict = "none failed" if not failed else f"{failed} failed"
    lines = [
        f"{time.strftime('%Y-%m-%d', time.gmtime(began))}, {minutes:.0f} minutes, {tests} tests, {verdict}.",
        f"{machine()}.\n",
        "| what was done | what was found |",
        "| --- | --- |",
        *(f"| {title} | {text} |" for title, text in _notes),
    ]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Describe the machine of the measurement."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    answer = subprocess.run([find_mosquitto(), "-h"], capture_output=True, text=True, check=False).stdout
    mosquitto = answer.splitlines()[0].removeprefix("mosquitto version ")
    kernel = f"{platform.system()} {platform.release().partition('-')[0]}"  # not what a vendor appends to it
    return (
        f"{len(os.sched_getaffinity(0))} cores, {pages:.0f} GiB, {kernel}, "
        f"Mosquitto {mosquitto}, Python {platform.python_version()}"
    )
