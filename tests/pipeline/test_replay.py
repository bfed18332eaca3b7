"""Promise P7 over a long run: at any batch, checkpoint and replay give the very floor that made the journal."""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bridge.adapters import plant_file
from bridge.domain.events import EventType
from bridge.domain.intake import Intake
from bridge.domain.internal_inputs import plant_from_json, plant_to_json
from bridge.domain.line.floor import Floor
from bridge.domain.line.plant_migration import orphaned_keys
from bridge.domain.plant import Plant
from bridge.domain.records import JournalEntry
from bridge.domain.utc_time import Millis
from bridge.ingest.native import decode
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.replay import CheckpointUnreadable, restore_floor
from bridge.pipeline.startup_inputs import journal_plant
from bridge.ports.journal import Batch
from device_sim import plant_file as simulated_file
from device_sim.plant import simulated_plant as simulated
from tests.device_sim.report_numbering import ReportNumbering
from tests.support.bridge_process import DEMO_PLANT, ROOT
from tests.support.driven_intake import driven_intake, take_with_ticks
from tests.support.journal_samples import forget_checkpoints
from tests.support.packing_line import T0

HOUR: Millis = 3_600_000
INPUTS = 500  # of a batch, at most
CHANGES = 0.5  # how often a restart finds another plant file
CHECKPOINTS = 0.3  # how often a batch carries checkpoints; the others leave more to be replayed
read = partial(decode, max_bytes=65_536)


def messages_until(until: Millis) -> Iterator[tuple[Millis, str, bytes]]:
    """Yield the messages of the simulated plant as (arrival, topic, payload)."""
    plant = simulated.SimulatedPlant(simulated_file.load(ROOT / "device_sim" / "plant.toml"), seed=3, start=T0)
    stamps = {device: ReportNumbering(1) for device in plant.devices}
    for message in [message for device in plant.devices for message in plant.birth_messages(device)]:
        yield message.at, message.topic, stamps[message.device].payload(message)
    while plant.now < until:
        for message in plant.step(plant.now + 60_000):
            payload = stamps[message.device].payload(message)
            garbled = "/Case-Packer-1/" in message.topic and (message.at - T0) % HOUR < HOUR // 4
            yield message.at, message.topic, payload[:-1] if garbled else payload


def restarted(
    plant: Plant, journal: SqliteJournal, *, now: Millis = T0, was: tuple[Plant, Floor] | None = None
) -> Intake:
    """Start as the bridge does: from the newest checkpoints, the inputs after them, and the plant file of today."""
    restored = restore_floor(plant, journal, decode=read)
    assert restored.differences == 0, restored.first_differences
    assert was is None or states(was[0], restored.floor) == states(*was), "as it was, under the plant file of then"
    change = journal_plant(plant, restored, journal, decode=read, now=max(now, journal.last_input()[1]))
    return driven_intake(change.floor, journal, decode=read)


def states(plant: Plant, floor: Floor) -> dict[str, bytes]:
    lines = {spec.id: floor.line(spec.id) for spec in plant.lines}
    return {line_id: line.checkpoint() for line_id, line in lines.items() if line is not None}


def plants(plant: Plant) -> list[Plant]:
    """The plant file of today, and others that an engineer may write next."""
    first, *others = plant.lines
    machines = tuple(machine for machine in first.equipment if machine.kind == "plc")
    unrated = tuple(machine.model_copy(update={"ideal_cycle_seconds": None}) for machine in first.equipment)
    changed = (
        {"lines": tuple(others)},
        {"lines": (first.model_copy(update={"equipment": machines}), *others)},
        {"lines": (first.model_copy(update={"equipment": unrated}), *others)},
        {"shifts": plant.shifts[:2], "ladder": {}},
    )
    return [plant, *(plant_from_json(plant_to_json(plant.model_copy(update=changes))) for changes in changed)]


@pytest.mark.parametrize("hours", [0.5, pytest.param(24.0, marks=pytest.mark.proof)])
def test_replay_equals_the_journal_byte_for_byte_at_every_batch(tmp_path: Path, hours: float) -> None:
    chance = random.Random(5)
    files = plants(plant_file.load(DEMO_PLANT))
    plant = files[0]
    journal = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    intake = restarted(plant, journal)
    batch = list[JournalEntry]()
    expected: dict[str, bytes] = {}
    size = restarts = changes = 0
    for now, topic, payload in messages_until(T0 + round(hours * HOUR)):
        batch += take_with_ticks(intake, topic, payload, now=now)
        if len(batch) < size:
            continue
        lines = intake.floor.changed_lines() if chance.random() < CHECKPOINTS else frozenset[str]()
        journal.commit(Batch(entries=batch, checkpoints={line: intake.floor.checkpoint(line) for line in lines}))
        before, plant = plant, chance.choice(files) if chance.random() < CHANGES else plant
        intake = restarted(plant, journal, now=now, was=(before, intake.floor))  # as after a kill -9
        batch, size, restarts = [], chance.randint(1, INPUTS), restarts + 1
        expected = states(plant, intake.floor)
        changes += plant is not before
        assert orphaned_keys((event.state_key for event in journal.snapshot().events), plant) == [], (
            "nothing frozen green"
        )
    assert changes >= 2
    forget_checkpoints(journal.path)
    assert states(plant, restarted(plant, journal).floor) == expected, "from the first input on"
    events = journal.events_after(0, limit=10_000_000)
    assert [event.offset for event in events] == list(range(1, journal.position().offset + 1))
    assert {event.type for event in events} <= set(EventType)
    assert any(b'"ineffective":true' in event.body for event in events), "a device that is not understood is shown"
    print(  # noqa: T201 - the proof's size
        f"\n{hours} h: {journal.last_input()[0]} inputs, {len(events)} events, {restarts} restarts, "
        f"{changes} other plant files"
    )
    journal.close()


def test_a_checkpoint_of_another_version_is_refused_not_guessed_at(tmp_path: Path) -> None:
    journal = SqliteJournal.open(tmp_path / "journal.db", stream="main")
    try:
        journal.commit(Batch(entries=[], checkpoints={"L1": b"\x81\xa2at\xa3one"}))
        with pytest.raises(CheckpointUnreadable, match="another version"):
            restore_floor(plant_file.load(DEMO_PLANT), journal, decode=decode)
    finally:
        journal.close()
