"""One recount: a rehearsal, the bridge's events of it, and the expected ones."""

from dataclasses import dataclass

from device_sim import plant_file, profile
from device_sim.rehearsal import rehearse
from device_sim.truth.truth import Truth
from tests.recount import plant_facts
from tests.recount.comparison import Comparison, compare
from tests.recount.core_driver import DrivenRun, drive
from tests.recount.line_history import LineHistory
from tests.recount.listener import IdealReceiver
from tests.recount.oee_windows import (
    ExpectedWindow,
    WindowComparison,
    compare_windows,
    expected_windows,
    reported_windows,
)
from tests.recount.piece_accounts import PieceAccount, accounts
from tests.recount.reported_facts import facts_of

HOUR = 3_600_000
START = 1_767_600_000_000  # 2026-01-05 08:00 UTC
FIRST_SHIFT_END = START + 5 * HOUR
PLANT = plant_facts.load()
SIMULATED = plant_file.load(plant_file.SHIPPED)


@dataclass(slots=True)
class Recount:
    truth: Truth
    driven: DrivenRun
    stories: dict[str, LineHistory]
    facts: Comparison
    windows: WindowComparison
    accounts: list[PieceAccount]


def recount(name: str, *, seed: int, hours: float) -> Recount:
    run = rehearse(SIMULATED, profile.load(name), seed=seed, start=START, duration=round(hours * HOUR))
    driven = drive(run, start=START, until=START + round(hours * HOUR))
    stories = build_stories(run.truth, driven)
    expected = [fact for story in stories.values() for fact in story.facts]
    windows: list[ExpectedWindow] = []
    pieces: list[PieceAccount] = []
    for story in stories.values():
        windows += expected_windows(story, start=START, until=run.truth.until, shift_ends=shift_ends(run.truth.until))
        pieces += accounts(run.truth, story, driven.events)
    return Recount(
        truth=run.truth,
        driven=driven,
        stories=stories,
        facts=compare(expected, facts_of(driven.events)),
        windows=compare_windows(windows, list(reported_windows(driven.events))),
        accounts=pieces,
    )


def shift_ends(until: int) -> tuple[int, ...]:
    """Return when shifts end: at 14:00 in Berlin, and it is winter."""
    return tuple(end for end in (FIRST_SHIFT_END, FIRST_SHIFT_END + 8 * HOUR) if end <= until)


def build_stories(truth: Truth, driven: DrivenRun) -> dict[str, LineHistory]:
    stories = {name: LineHistory(PLANT, line, truth) for name, line in PLANT.lines.items()}
    for received in IdealReceiver(PLANT, truth).receive(driven.fed):
        stories[received.line].receive(received)
    for story in stories.values():
        story.pass_time(truth.until)
        story.troubles.facts()
        story.work.facts()
    return stories
