"""One recount: a rehearsal, the bridge over it, and what the bridge must have made of it."""

from dataclasses import dataclass

from device_sim import plant_file, profile
from device_sim.rehearsal import rehearse
from device_sim.truth import Truth
from tests.recount import floor_facts
from tests.recount.comparison import Comparison, compare
from tests.recount.drive import Driven, drive
from tests.recount.fact import Fact
from tests.recount.line_story import LineStory
from tests.recount.listening import Listener
from tests.recount.reported import facts_of

START = 1_767_600_000_000
HOUR = 3_600_000
PLANT = floor_facts.load()
SIMULATED = plant_file.load(plant_file.SHIPPED)


@dataclass(slots=True)
class Recount:
    truth: Truth
    driven: Driven
    stories: dict[str, LineStory]
    facts: Comparison


def recount(name: str, *, seed: int, hours: float) -> Recount:
    run = rehearse(SIMULATED, profile.load(name), seed=seed, start=START, duration=round(hours * HOUR))
    driven = drive(run, start=START, until=START + round(hours * HOUR))
    stories = tell(run.truth, driven)
    expected: list[Fact] = []
    for story in stories.values():
        expected += story.facts
    return Recount(run.truth, driven, stories, compare(expected, facts_of(driven.events)))


def tell(truth: Truth, driven: Driven) -> dict[str, LineStory]:
    stories = {name: LineStory(PLANT, line) for name, line in PLANT.lines.items()}
    for heard in Listener(PLANT, truth).listen(driven.fed):
        stories[heard.line].hear(heard)
    for story in stories.values():
        story.pass_time(truth.until)
        story.troubles.facts()
    return stories
